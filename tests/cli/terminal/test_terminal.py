"""What a command says beside its output, and in which order a terminal gets both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tmqtt.terminal.output import Output
from tmqtt.terminal.terminal import Terminal


@pytest.fixture
def descriptor() -> Iterator[int]:
    ends = os.openpty()
    yield ends[1]
    for end in ends:
        with suppress(OSError):
            os.close(end)


def an_output(descriptor: int) -> Output:
    return Output(descriptor, lambda: None)


def test_a_sentence_comes_behind_what_the_terminal_is_still_to_get(descriptor: int) -> None:
    output, messages = an_output(descriptor), an_output(descriptor)
    terminal = Terminal(output, messages)
    output.line("the last line of a screen")
    before = output.size
    terminal.say("the sum")
    assert output.size == before + len("the sum\n")
    assert messages.idle


def test_a_sentence_goes_to_stderr_else(descriptor: int) -> None:
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
