"""Brokers that many tests use: each keeps to topics and identifiers of its own."""

from __future__ import annotations

import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest
from tmqtt.app import app

from tests.cli.programs import Ended, Program, Run, Stream, running_broker


@pytest.fixture(scope="session", autouse=True)
def _sigint_as_in_a_shell() -> Iterator[None]:
    """Ctrl-C works in the processes, even where the tests run in the background.

    There the shell has SIGINT ignored, processes inherit it, and `tmqtt` rightly leaves it so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def in_pipe() -> Iterator[tuple[Program, str]]:
    """A broker whose output is a pipe, and its address."""
    with running_broker("mqtt://127.0.0.1:0") as (broker, url):
        yield broker, url
        assert broker.stop() == 0
        assert broker.out.text.endswith("Stopped.\n")
        assert broker.err.data == b""
        assert b"\x1b" not in broker.out.data


@pytest.fixture(scope="session")
def on_screen() -> Iterator[tuple[Program, str]]:
    """A broker in a terminal, and its address."""
    with running_broker("mqtt://127.0.0.1:0", terminal=True) as (broker, url):
        yield broker, url
        broker.press_ctrl_c()
        assert broker.ended() == 0
        assert broker.out.text.endswith("Stopped.\n")
        assert "Traceback" not in broker.out.text


@pytest.fixture
def in_process(capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command within this process: a process for each sentence would take a minute."""

    def run(*arguments: str) -> Ended:
        return Ended(_code_of(arguments), *capfd.readouterr())

    with _signal_handlers_kept():
        yield run


@pytest.fixture
def in_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The same with a pseudo-terminal for all three streams; `out` and `err` are what it got."""

    def run(*arguments: str) -> Ended:
        keyboard, inner = pty.openpty()
        termios.tcsetwinsize(inner, (24, 200))
        shown = Stream(keyboard)
        before = [os.dup(descriptor) for descriptor in range(3)]
        try:
            for descriptor in range(3):
                os.dup2(inner, descriptor)
            os.close(inner)
            with monkeypatch.context() as patch, _on(1) as out, _on(2) as err:
                patch.setattr(sys, "stdout", out)
                patch.setattr(sys, "stderr", err)
                patch.setenv("TERM", "xterm-256color")
                code = _code_of(arguments)
        finally:
            for descriptor, kept in enumerate(before):
                os.dup2(kept, descriptor)
                os.close(kept)
        shown.finish()
        return Ended(code, shown.text, shown.text)

    with _signal_handlers_kept():
        yield run


def _code_of(arguments: tuple[str, ...]) -> object:
    with pytest.raises(SystemExit) as ended:
        app(arguments, prog_name="tmqtt")
    return ended.value.code


def _on(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", closefd=False)


@contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
