"""Draw the pictures terminals.svg and pub.svg: commands of the README and of terminal.md, run for
real in pseudo-terminals.

    python docs/making/terminals.py

Port 1883 has to be free for the ten seconds that it takes.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

PICTURES = Path(__file__).parents[1] / "pictures"
WIDTH = 96
MESSAGES = 3
PUBLISHING = 'tmqtt pub dice \'{"n": {n}, "eyes": {random:1:6}}\' --rate 10/s --count 100 -q 1'
_DEADLINE = 60.0  # seconds
# Each look of the broker draws its status line over the one before.
_REDRAWN = re.compile(r"[^\n]*\r\x1b\[2K")


class Terminal:
    """A pseudo-terminal with one command of the README in it."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.shown = ""
        self._screen, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, WIDTH - 4))
        self._process = subprocess.Popen(  # noqa: S603 # our own commands
            [sys.executable, "-m", *shlex.split(command)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(inner)

    def show(self, pattern: str, times: int = 1) -> None:
        """Read on until `pattern` has been shown so many times."""
        deadline = time.monotonic() + _DEADLINE
        while len(re.findall(pattern, self.shown)) < times:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.command} did not show {pattern}, but:\n{self.shown}")
            data = os.read(self._screen, 65_536).decode()
            self.shown = _REDRAWN.sub("", (self.shown + data).replace("\r\n", "\n"))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        os.close(self._screen)

    def picture(self) -> Panel:
        """The terminal as it looks now."""
        prompt = Text.assemble(("$ ", "dim"), (self.command, "bold"))
        return Panel(
            Group(prompt, Text.from_ansi(self.shown.rstrip("\n"))),
            width=WIDTH,
            border_style="dim",
        )


def main() -> None:
    """Run the three commands, and draw what they showed."""
    terminals: list[Terminal] = []
    try:
        for command, started in (
            ("tmqtt broker", "0 clients"),
            ("tmqtt sub test", "Subscribed"),
            ("tmqtt pub test --every 3s", "Hello"),
        ):
            terminals.append(Terminal(command))
            terminals[-1].show(started)
        broker, sub, pub = terminals
        pub.show("Hello", MESSAGES)
        sub.show("Hello", MESSAGES)
        broker.show("Hello", MESSAGES)
        broker.show(rf"{MESSAGES} messages in all")
        _draw("terminals", broker, pub, sub)
        terminals.append(Terminal(PUBLISHING))
        terminals[-1].show(r"1[2-9] sent")
        _draw("pub", terminals[-1])
    finally:
        for terminal in reversed(terminals):
            terminal.stop()


def _draw(name: str, *terminals: Terminal) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for terminal in terminals:
        console.print(terminal.picture())
    svg = console.export_svg(title="tmqtt", unique_id=name)
    # Without web fonts: a picture should not make its reader's browser call anybody.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (PICTURES / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
