"""What is seen of the broker is what is new, and costs nothing while nothing is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import trio
import trio.testing
from tmqtt.broker.library_log import library_log
from tmqtt.broker.remedies import Remedies
from tmqtt.broker.traffic import CLIENT_EVENTS, MESSAGES
from tmqtt.broker.view import REST, BrokerView
from tmqtt.terminal.output import Output
from tmqtt.terminal.streams import STDOUT
from tmqtt.terminal.terminal import Terminal

import trio_mqtt
from trio_mqtt.events import Subscribed
from trio_mqtt.testing import open_memory_broker


class Display(Output):
    """An output that keeps what is put, and says that it is a terminal if it shall."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(STDOUT, lambda: None)
        self.is_terminal = terminal
        self.shown: list[str] = []
        self.busy = False

    @property
    def idle(self) -> bool:
        return not self.busy

    def put(self, data: bytes) -> None:
        self.shown.append(data.decode())


class Clock:
    """Monotonic time that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("tmqtt.broker.view.time.monotonic", lambda: self.now)


@contextmanager
def view_of(
    broker: trio_mqtt.Broker, *, terminal: bool
) -> Iterator[tuple[BrokerView, trio_mqtt.events.EventSample, Display]]:
    display = Display(terminal=terminal)
    with broker.sample(*CLIENT_EVENTS, *MESSAGES, limit=200) as sample, library_log() as log:
        yield BrokerView(broker, Terminal(display, display), log), sample, display


@pytest.mark.trio
async def test_the_view_is_drawn_only_when_something_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    clock = Clock(monkeypatch)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        await trio.testing.wait_all_tasks_blocked()
        with view_of(broker, terminal=True) as (view, sample, display):
            view.begin(Remedies())
            view.tick(sample)
            assert len(display.shown) == 2
            for _ in range(100):
                clock.now += 0.1
                view.tick(sample)
            assert len(display.shown) == 2
            await broker.publish("t", b"news")
            view.tick(sample)
            assert "the broker" in display.shown[2]
            assert "1 message in all" in display.shown[2]
            assert re.match(r"\r\x1b\[2K", display.shown[2])  # over the old status line


@pytest.mark.trio
async def test_a_busy_terminal_is_shown_a_summary_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        with view_of(broker, terminal=False) as (view, sample, display):
            display.busy = True
            for _ in range(1_000):
                await broker.publish("t", b"x")
                clock.now += 0.1
                view.tick(sample)
            assert display.shown == []
            display.busy = False
            view.tick(sample)
            view.end(sample)
    lines = "".join(display.shown).splitlines()
    messages = [line for line in lines if "the broker → t x" in line]
    left_out = [line for line in lines if "more messages not shown" in line]
    assert len(messages) == 20
    assert [line.split(" ", 1)[1] for line in left_out] == ["… 980 more messages not shown"]
    assert lines[-1].endswith("Stopped.")


@pytest.mark.trio
async def test_warnings_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        await trio.testing.wait_all_tasks_blocked()
        with view_of(broker, terminal=False) as (view, sample, display):
            view.warn("too many\x1b[2J")
            view.tick(sample)
            line = display.shown[0].split(" ", 1)[1]
            assert line == "Warning: too many\\x1b[2J\n"


@pytest.mark.trio
async def test_a_narrow_terminal_cuts_what_clients_do_but_not_what_the_broker_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    Clock(monkeypatch)
    where = "It is kept in /a/folder/whose/name/is/longer/than/the/terminal/is/wide."
    changed = "limits.maximum_connections is 6 (broker.toml, line 12); it was 5 before."
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        with view_of(broker, terminal=True) as (view, sample, display):
            view.begin(Remedies(), where)
            view.tell(changed)
            await broker.publish("a/topic/that/is/long", b"with much to say")
            view.tick(sample)
    lines = "".join(display.shown).splitlines()
    assert where in "".join(lines)
    assert changed in "".join(lines)
    (message,) = (line for line in lines if "the broker" in line)
    assert "much to say" not in message


@pytest.mark.trio
async def test_what_a_client_is_refused_stands_between_its_coming_and_its_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        with view_of(broker, terminal=False) as (view, sample, display):
            async with trio_mqtt.open_client(broker.url, client_id="lamp"):
                pass
            await trio.testing.wait_all_tasks_blocked(0.01)
            logging.getLogger("trio_mqtt.access").warning("no!", extra={"client_id": "lamp"})
            view.tick(sample)
    lines = [line.split(" ", 1)[1] for line in "".join(display.shown).splitlines()]
    assert [line.partition(" from")[0] for line in lines] == [
        "lamp connected",
        "no!",
        "lamp disconnected",
    ]


@pytest.mark.trio
async def test_the_view_rests_until_something_happens(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    Clock(monkeypatch)
    async with open_memory_broker() as memory:
        broker = memory.broker
        with view_of(broker, terminal=False) as (view, sample, display):

            async def rested(happens: Callable[[], object]) -> float:
                """How long it rests, in seconds, where this happens after a quarter of one."""
                while sample.take():
                    pass
                view.tick(sample)
                display.shown.clear()
                began = trio.current_time()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(view.rest, sample)
                    await trio.sleep(0.25)
                    happens()
                view.tick(sample)
                return trio.current_time() - began

            def tell_of_a_client() -> None:
                broker._core.event_streams.tell(Subscribed("lamp", "t", 0))

            def warn_of_nothing() -> None:
                logging.getLogger("trio_mqtt.broker").warning("a warning")

            assert await rested(lambda: None) == pytest.approx(REST)
            assert not "".join(display.shown)
            assert await rested(tell_of_a_client) == pytest.approx(0.25)
            assert "lamp subscribed to t" in "".join(display.shown)
            assert await rested(warn_of_nothing) < REST
            assert await rested(partial(view.note, "a note")) == pytest.approx(0.25)
            assert "a note" in "".join(display.shown)
            # What comes between a look and the rest is seen with the next look, too.
            for happens in (tell_of_a_client, warn_of_nothing, partial(view.tell, "a sentence")):
                view.tick(sample)
                happens()
                began = trio.current_time()
                await view.rest(sample)
                assert trio.current_time() == began
            display.busy = True
            await view.rest(sample)
            assert trio.current_time() == began
