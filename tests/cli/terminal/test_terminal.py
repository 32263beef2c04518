"""What a command says beside its output, and in which order a terminal gets both."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tmqtt.terminal import output as terminal_output
from tmqtt.terminal.output import Output, open_outputs
from tmqtt.terminal.terminal import Terminal

from tests.cli.programs import Stream, screen


@pytest.fixture
def descriptor() -> Iterator[int]:
    ends = os.openpty()
    yield ends[1]
    for end in ends:
        with suppress(OSError):
            os.close(end)


def an_output(descriptor: int) -> Output:
    return Output(descriptor, lambda: None)


@pytest.mark.trio
async def test_a_terminal_gets_everything_in_the_order_in_which_it_was_put(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whichever of the streams it is put to, and however slowly one of them is written."""
    keyboard, output = os.openpty()
    messages = os.dup(output)
    shown = Stream(keyboard)
    write = terminal_output._write_all

    def write_slowly(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
        if descriptor == messages:
            time.sleep(0.1)  # its thread gets no processor
        return write(descriptor, data)

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal_output, "_write_all", write_slowly)
    async with open_outputs(output, messages, lambda: None) as outputs:
        terminal = Terminal(*outputs)
        terminal.pass_by("Waiting")
        await terminal.messages.flush()
        terminal.pass_by("")
        terminal.say("Connected.")
        terminal.output.line("a message")
        terminal.say("the sum")
    os.close(messages)
    os.close(output)
    shown.finish()
    lines = [line for line in screen(shown.data, 80) if line]
    assert lines == ["Connected.", "a message", "the sum"]


def test_dev_tty_is_the_same_terminal(descriptor: int) -> None:
    """As in `tmqtt sub a 2> /dev/tty`."""
    script = (
        "import fcntl, os, termios\n"
        "from tmqtt.terminal.output import _same_terminal\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "tty, other = os.open('/dev/tty', os.O_RDWR), os.openpty()[1]\n"
        "print(_same_terminal(0, tty), _same_terminal(0, other), _same_terminal(0, 1))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        stdin=descriptor,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    assert ran.stdout == b"True False False\n"


@pytest.mark.trio
async def test_two_terminals_are_two_outputs(descriptor: int) -> None:
    """As in `tmqtt sub a 2> /dev/pts/5`."""
    keyboard, other = os.openpty()
    async with open_outputs(descriptor, other, lambda: None) as (output, messages):
        Terminal(output, messages).say("the sum")
        assert output.idle
        assert not messages.idle
    assert os.read(keyboard, 100) == b"the sum\r\n"
    os.close(keyboard)
    os.close(other)


def test_a_sentence_goes_to_stderr(descriptor: int) -> None:
    output, messages = an_output(descriptor), an_output(descriptor)
    Terminal(output, messages).say("the sum")
    assert output.idle
    assert messages.size == len("the sum\n")


def test_a_sentence_never_gets_into_a_pipe(descriptor: int) -> None:
    reading, writing = os.pipe()
    output, messages = an_output(writing), an_output(descriptor)
    output.line("for another program")
    before = output.size
    Terminal(output, messages).say("the sum")
    assert output.size == before
    assert messages.size == len("the sum\n")
    os.close(reading)
    os.close(writing)
