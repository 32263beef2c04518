"""`tmqtt top` in terminals and pipes, and what it leaves behind."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest

import trio_mqtt
from tests.cli.programs import Program, running_broker, screen
from trio_mqtt.testing import broker_in_thread

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = trio_mqtt.BrokerOptions(system_topics_interval=0.2)
    with broker_in_thread(options=options) as broker:
        yield broker.url


def test_a_pipe_gets_one_snapshot(url: str) -> None:
    with Program("top", url) as top:
        assert top.ended() == 0
    lines = top.out.text.splitlines()
    assert lines[0].startswith("trio-mqtt version ")
    assert f" at {url}  up " in lines[0]
    assert "subscriptions   1 · 0 shared" in lines
    assert b"\x1b" not in top.out.data
    assert top.err.data == b""


def test_programs_get_json(url: str) -> None:
    with Program("top", url, "--json") as top:
        assert top.ended() == 0
    (line,) = top.out.text.splitlines()
    found = json.loads(line)
    assert found["schema"] == "tmqtt-top/1"
    assert found["url"] == url
    assert found["clients_connected"] == found["subscriptions"] == 1


def test_with_an_interval_a_pipe_gets_a_line_each_time(url: str) -> None:
    with Program("top", url, "--interval", "50ms") as top:
        line = r"\d\d:\d\d:\d\d 1 client · 1 subscription · 0 retained · \S+ in · .*\n"
        top.out.expect(line, times=3)
        assert top.stop() == 143


@pytest.mark.parametrize(("columns", "colour"), [(40, True), (80, False), (200, True)])
def test_a_terminal_shows_a_screen_that_fits(url: str, columns: int, colour: bool) -> None:
    environment = {} if colour else {"NO_COLOR": "1"}
    with Program(
        "top", url, "--interval", "100ms", terminal=True, columns=columns, environment=environment
    ) as top:
        top.out.expect("news every")
        shown = screen(top.out.data, columns)
        assert shown[0].startswith("trio-mqtt version ")
        assert any(re.match("clients +1 connected", line) for line in shown)
        assert any(line.startswith("messages in") for line in shown)
        assert "q ends" in shown[23]
        top.press_ctrl_c()
        assert top.ended() == 130
    assert top.out.data.startswith(b"\x1b[?1049h")
    assert (b"\x1b[1m" in top.out.data) is True  # bold is no colour
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]m", top.out.data)) is colour
    after = top.out.data[top.out.data.rindex(b"\x1b[?1049l") :]
    assert top.out.data.count(b"\x1b[?1049h") == top.out.data.count(b"\x1b[?1049l") == 1
    assert b"\x1b[?25h" in top.out.data
    assert b"Traceback" not in after


def test_a_terminal_that_changes_its_size_is_drawn_anew_at_once(url: str) -> None:
    stale = {"LINES": "24", "COLUMNS": "80"}  # of a shell that exports them
    with Program(
        "top", url, "--interval", "1h", terminal=True, columns=80, environment=stale
    ) as top:
        top.out.expect("q ends")
        before = len(top.out.data)
        top.resize(60, 10)
        top.out.expect("q ends", times=2)
        drawn = top.out.data[before:]
        assert b"\x1b[2J" in drawn
        assert drawn.count(b"\r\n") == 9
        assert top.stop(signal.SIGTERM) == 143
    assert top.out.data.endswith(b"\x1b[?25h\x1b[?1049l")


def test_a_broker_that_goes_and_comes_back_is_followed() -> None:
    with (
        running_broker() as (broker, url),
        Program("top", url, "--interval", "100ms", terminal=True) as top,
    ):
        top.out.expect("q ends")
        broker.process.kill()
        broker.process.wait()
        top.out.expect("the connection is lost: trying again")
        all_is_well = r"\n(?:↑↓ scroll|~: its|news every)"
        seen = len(re.findall(all_is_well, top.out.text))
        with running_broker(url):
            top.out.expect(all_is_well, times=seen + 1)
        top.press_ctrl_c()
        assert top.ended() == 130


def test_a_broker_without_system_topics_gets_a_sentence() -> None:
    options = trio_mqtt.BrokerOptions(system_topics_interval=0)
    with broker_in_thread(options=options) as broker, Program("top", broker.url) as top:
        assert top.ended() == 1
    assert top.err.text.startswith(f"Error: The broker at {broker.url} tells nothing below $SYS")
    assert top.err.text.count("\n") == 1
    assert top.out.data == b""


def test_no_broker_gets_a_sentence() -> None:
    with Program("top", "mqtt://127.0.0.1:1", terminal=True) as top:
        assert top.ended() == 1
    assert top.out.text.startswith("Error: No broker answers at mqtt://127.0.0.1:1")
    assert b"\x1b[?1049h" not in top.out.data
