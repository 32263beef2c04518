"""Terminals that a page shows, typed and compared: what was said there is said.

A `console` block is a terminal: lines that begin with a prompt are typed, and what stands below
each is what it shows, once it has. What goes on (a broker, a subscriber, a program that says
"until Ctrl-C" in its first lines) does so while the rest of the page is typed, until `^C` or the
end. A block without any prompt is what one of those shows next; one that begins as another did is
the same terminal, shown again. Times, sizes and ports may differ; `…` stands for any text, and on a
line of its own for any lines. Blocks of code whose first line is a name in a comment are files of
the folder in which all of it happens.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, chdir
from pathlib import Path

from tests.cli.programs import DEADLINE, Program, Stream
from tests.docs.blocks import Block
from tests.docs.commands import PROMPT
from trio_mqtt.testing import broker_in_thread

_COLUMNS = 100
_CTRL_C, _ANY = "^C", "…"
# A status line is drawn over the one before.
_REDRAWN = re.compile(rb"[^\n]*\r\x1b\[2K")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ENDLESS = ("broker", "sub", "top", "explore", "events", "trace")
_BOUNDED = ("-C", "--count", "--retained-only", "--help")
_ENDS_WELL = (0, 130, -signal.SIGINT)
_LISTENS = re.compile(r"mqtt://127\.0\.0\.1:\d+")
# What differs from run to run, and what it stands for.
_VARIES = {
    r"\d{4}-\d\d-\d\d": r"\d{4}-\d\d-\d\d",
    r"\d\d:\d\d:\d\d(?:[.]\d+)?": r"\d\d:\d\d:\d\d(?:[.]\d+)?",
    r"(?:127\.0\.0\.1|localhost):\d+": r"(?:127\.0\.0\.1|localhost):\d+",
    r"\btmqtt-[a-z]+-\w+": r"tmqtt-[a-z]+-\w+",
    r"\b\d{13}\b": r"\d{13}",
    r"\b[\d,.]+ ?(?:µs|ms|s)\b": r"[\d,.]+ ?(?:µs|ms|s)",
    r"\b[\d,.]+ (?:[KMk]i?)?B\b": r"[\d,.]+ (?:[KMk]i?)?B",
    r"\b[\d,.]+/s": r"[\d,.]+/s",
    _ANY: r".*",
}
_VARYING = re.compile("|".join(f"({one})" for one in _VARIES))


def pattern_of(lines: Iterable[str]) -> str:
    """What these lines of a page stand for, as a regular expression."""
    return "".join(
        "(?:.*\n)*?" if line.strip() == _ANY else f"{_line_pattern(line.rstrip())}\n"
        for line in lines
    )


def _line_pattern(line: str) -> str:
    patterns = list(_VARIES.values())
    found, at = "", 0
    for varying in _VARYING.finditer(line):
        found += re.escape(line[at : varying.start()]) + patterns[(varying.lastindex or 1) - 1]
        at = varying.end()
    return found + re.escape(line[at:])


class Terminal:
    """A process in a terminal of a page."""

    def __init__(self, command: str, process: Program | Script) -> None:
        self.command = command
        self.seen = 0  # of what it has shown, what the page has spoken of
        self._process = process

    @property
    def text(self) -> str:
        """What a person sees there."""
        data = _REDRAWN.sub(b"", self._process.out.data.replace(b"\r\n", b"\n"))
        text = _ESCAPES.sub("", data.decode(errors="replace")).replace(_CTRL_C, "")
        lines = [line.rstrip() for line in text.split("\n")]
        return "\n".join(lines).rstrip("\n") + "\n" if any(lines) else ""

    def shows(self, pattern: str) -> bool:
        """Whether it shows this next; what it has shown so far has been spoken of then."""
        found = re.compile(pattern).match(self.text)
        if found is not None:
            self.seen = found.end()
        return found is not None

    def shows_later(self, pattern: str) -> bool:
        """The same somewhere below what has been spoken of."""
        found = re.compile(f"^{pattern}", re.MULTILINE).search(self.text, self.seen)
        if found is not None:
            self.seen = found.end()
        return found is not None

    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.process.poll() is not None

    def interrupt(self) -> None:
        """Press Ctrl-C there, and wait for the end."""
        code = self._process.stop(signal.SIGINT)
        assert code in _ENDS_WELL, f"{self.command} ends with {code}:\n{self.text}"

    def end(self) -> None:
        """Wait until it has ended by itself."""
        self._process.ended()


class Script:
    """A program of a page, or another one than `tmqtt`."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        reading, writing = os.pipe()
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error"} | environment,
        )
        os.close(writing)
        self.out = Stream(reading)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(DEADLINE)
        self.out.finish()
        return code

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.finish()


class Session:
    """The terminals of a page, in a folder that has its files."""

    def __init__(self, folder: Path, files: list[Block]) -> None:
        self._folder = folder
        self._files = files
        self._terminals: list[Terminal] = []
        self._url = ""
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        self._stack.__enter__()
        self._stack.enter_context(chdir(self._folder))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type] # as it was given

    def play(self, block: Block) -> None:
        """Type what is typed in a block, and see what it shows."""
        typed: list[tuple[str, list[str]]] = [("", [])]
        for line in block.text.splitlines():
            if line.startswith(PROMPT):
                typed.append((line.removeprefix(PROMPT), []))
            else:
                typed[-1][1].append(line)
        (_, first), *rest = typed
        if first:
            self._expect_somewhere(block, first)
        for command, lines in rest:
            self._type(block, command, lines)

    def finish(self) -> None:
        """Press Ctrl-C in each terminal in which something goes on."""
        for terminal in reversed(self._terminals):
            terminal.interrupt()
            assert "Traceback" not in terminal.text, terminal.text

    def _type(self, block: Block, command: str, lines: list[str]) -> None:
        known = next((one for one in self._terminals if one.command == command), None)
        if known is not None:  # the same terminal, shown again
            terminal, goes_on, listens = known, True, False
            self._terminals.remove(known)
        else:
            terminal, goes_on, listens = self._start(command)
        if any(line.startswith("Error") for line in lines):
            goes_on = False  # it ended
        before = lines[: lines.index(_CTRL_C)] if _CTRL_C in lines else lines
        pattern = pattern_of(line for line in lines if line != _CTRL_C)
        told = f"{block.place}: {command} shows\n"
        if goes_on:
            expected = pattern_of(before)
            _wait(lambda: terminal.shows(expected) or terminal.has_ended(), told, terminal)
            assert terminal.shows(expected), told + terminal.text
            if listens:
                found = _LISTENS.search(terminal.text)
                assert found is not None, told + terminal.text
                self._url = found[0]
            if _CTRL_C not in lines:
                self._terminals.append(terminal)
                return
            terminal.interrupt()
        else:
            terminal.end()
        assert re.fullmatch(pattern, terminal.text), f"{told}{terminal.text}\nand not\n{lines}"

    def _start(self, command: str) -> tuple[Terminal, bool, bool]:
        """A command in a terminal of its own, whether it goes on, and whether it is a broker."""
        program, *words = shlex.split(command, comments=True)
        if program == "tmqtt":
            listens = words[0] == "broker"
            if listens:
                words += ["-p", "0"]
            process: Program | Script = Program(
                *words, terminal=True, columns=_COLUMNS, environment=self._environment(listens)
            )
            goes_on = words[0] in _ENDLESS and not any(word in _BOUNDED for word in words)
        else:
            file = next((one for one in self._files if one.name in words), None)
            listens = file is not None and "open_broker(" in file.text
            environment = self._environment(listens)
            self._write_files()
            if program in ("python", "python3"):
                program = sys.executable
            process = Script([program, *words], environment)
            goes_on = file is not None and "until Ctrl-C" in file.text
        self._stack.enter_context(process)
        return Terminal(command, process), goes_on, listens

    def _environment(self, listens: bool) -> dict[str, str]:
        if not self._url and not listens:
            self._url = self._stack.enter_context(broker_in_thread()).url
        return {"TMQTT_BROKER": self._url} if self._url else {}

    def _write_files(self) -> None:
        for file in self._files:
            text = file.text.replace("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:0")
            text = re.sub(r"mqtt://localhost(:1883)?", self._url, text)
            (self._folder / file.name).write_text(text, encoding="utf-8")

    def _expect_somewhere(self, block: Block, lines: list[str]) -> None:
        pattern = pattern_of(lines)
        told = f"{block.place}: no terminal shows this:\n" + "\n".join(lines) + "\n"
        _wait(
            lambda: any(terminal.shows_later(pattern) for terminal in self._terminals),
            told,
            *self._terminals,
        )


def _wait(is_so: Callable[[], bool], told: str, *terminals: Terminal) -> None:
    """Look until it is so."""
    end = time.monotonic() + DEADLINE
    while not is_so():
        shown = "\n".join(f"{one.command}\n{one.text}" for one in terminals)
        assert time.monotonic() < end, f"{told}{shown}"
        time.sleep(0.02)
