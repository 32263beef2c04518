"""Brokers that many tests use: each keeps to topics and identifiers of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import pytest
from tmqtt.app import app

from tests.cli.programs import Program, running_broker


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
    with running_broker() as (broker, url):
        yield broker, url
        assert broker.stop() == 0
        assert broker.out.text.endswith("Stopped.\n")
        assert broker.err.data == b""
        assert b"\x1b" not in broker.out.data


@pytest.fixture(scope="session")
def on_screen() -> Iterator[tuple[Program, str]]:
    """A broker in a terminal, and its address."""
    with running_broker(terminal=True) as (broker, url):
        yield broker, url
        broker.press_ctrl_c()
        assert broker.ended() == 0
        assert broker.out.text.endswith("Stopped.\n")
        assert "Traceback" not in broker.out.text


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: object
    out: str
    err: str


class Run(Protocol):
    """Runs `tmqtt` to its end."""

    def __call__(self, *arguments: str) -> Ended: ...


@pytest.fixture
def in_process(capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command within this process: a process for each sentence would take a minute."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def run(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            app(arguments, prog_name="tmqtt")
        return Ended(ended.value.code, *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
