"""How far restoring is, and what is forgotten, as a person sees it."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import trio
from tmqtt.broker.data import Data
from tmqtt.broker.restoring import shown_restoring
from tmqtt.broker.systemd import Notifier
from tmqtt.terminal.output import Output
from tmqtt.terminal.terminal import Terminal
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_mqtt import Holdings
from trio_mqtt.configuration import StorageSettings


class Display:
    """Stands for the error output, and knows what it was given."""

    def __init__(self, *, terminal: bool) -> None:
        self.is_terminal = terminal
        self.shown: list[str] = []

    def redraw(self, line: str, above: bytes = b"") -> None:
        self.shown.append(line)

    line = redraw


@pytest.mark.trio
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("seconds", [0.25, 0.45])
async def test_what_takes_long_is_shown_in_a_terminal(
    terminal: bool, seconds: float, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    display = Display(terminal=terminal)
    output = cast(Output, display)
    async with shown_restoring(Terminal(output, output), lambda _: None) as restoring:
        restoring.progress(0.25)
        await trio.sleep(seconds - 0.15)
        restoring.progress(0.5)
        await trio.sleep(0.15)
        restoring.end()
        await wait_all_tasks_blocked()
        expected = ["Restoring what is kept: 25%", "Restoring what is kept: 50%", ""]
        assert display.shown == (expected if terminal and seconds > 0.3 else [])


@pytest.mark.trio
async def test_nothing_of_it_is_drawn_after_its_end(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The broker's own lines come at once, before any other task has a turn."""
    monkeypatch.setenv("TERM", "xterm")
    display = Display(terminal=True)
    output = cast(Output, display)
    async with shown_restoring(Terminal(output, output), lambda _: None) as restoring:
        await trio.sleep(0.35)
        restoring.end()
        output.line("Listening")
        await trio.sleep(1)
    assert display.shown == ["Restoring what is kept: 0%", "", "Listening"]


@pytest.mark.trio
async def test_systemd_waits_while_it_goes_on_and_not_while_it_hangs(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    output = cast(Output, Display(terminal=False))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "notify"))
        notices.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})

        def told() -> list[str]:
            found = []
            with suppress(BlockingIOError):
                while True:
                    found.append(notices.recv(1_000).decode())
            return found

        async with shown_restoring(Terminal(output, output), notifier.restoring) as restoring:
            restoring.progress(0.1)
            await trio.sleep(4)
            assert told() == []  # most are ready by then
            restoring.progress(0.25)
            await trio.sleep(4)
            expected = ["STATUS=Restoring what is kept: 25%", "EXTEND_TIMEOUT_USEC=60000000"]
            assert told() == expected
            await trio.sleep(100)
            assert told() == []
            restoring.end()
            with notifier.serving():
                await trio.sleep(100)
                assert told() == ["READY=1", "STATUS="]


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (Holdings(), ""),
        (Holdings(sessions=1), "1 session ends with it: --data DIR keeps it."),
        (
            Holdings(sessions=2, retained=1_000),
            "2 sessions and 1,000 retained messages end with it: --data DIR keeps them.",
        ),
    ],
)
def test_what_is_forgotten_is_said_in_a_sentence(left: Holdings, sentence: str) -> None:
    assert Data(StorageSettings()).forgotten(left) == sentence
    assert Data(StorageSettings(path="here")).forgotten(left) == ""
    assert Data(StorageSettings(), "house:Storage").forgotten(left) == ""
