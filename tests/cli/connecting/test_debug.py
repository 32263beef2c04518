"""`-d` of `pub` and `sub`: each packet is a line on stderr."""

from __future__ import annotations

import re

import pytest
from tmqtt.connecting.packet_lines import PacketLines
from tmqtt.terminal.looks import Line, plain

from tests.cli.programs import Program, Run, broker_that_answers
from trio_mqtt.events import PacketEvent

pytestmark = pytest.mark.slow

CONNACK = b"\x20\x03\x00\x00\x00"
BROKER_ENDS = b"\xe0\x02\x8b\x00"  # DISCONNECT: server shutting down


def packets(text: str) -> list[str]:
    """What the lines tell of, as "-> CONNECT"."""
    return re.findall(r"^\d\d:\d\d:\d\d\.\d{3} (-> \w+|<- \w+)", text, re.MULTILINE)


@pytest.mark.parametrize("more", [(), ("--count", "1", "--every", "1ms")])  # by either way
def test_a_pipe_gets_a_plain_line_for_each(
    in_pipe: tuple[Program, str], in_process: Run, more: tuple[str, ...]
) -> None:
    _, url = in_pipe
    ended = in_process("pub", "t", "x\x1b[2J", "-q", "2", "-d", "-P", "hush", "-b", url, *more)
    assert (ended.code, ended.out) == (0, "")
    assert packets(ended.err) == [
        "-> CONNECT", "<- CONNACK", "-> PUBLISH", "<- PUBREC", "-> PUBREL", "<- PUBCOMP",
        "-> DISCONNECT",
    ]  # fmt: skip
    assert len(ended.err.splitlines()) == 7
    assert "topic='t', payload=b'x\\x1b[2J', qos=2" in ended.err
    assert "\x1b" not in ended.err
    assert "hush" not in ended.err


def test_a_refusal_is_shown_before_it_is_told(in_process: Run) -> None:
    with broker_that_answers(b"\x20\x03\x00\x87\x00") as url:
        ended = in_process("pub", "t", "x", "--debug", "-b", url)
    assert ended.code == 135
    assert packets(ended.err) == ["-> CONNECT", "<- CONNACK"]
    assert "\nError: " in ended.err


def test_each_connection_is_shown() -> None:
    with (
        broker_that_answers(CONNACK + BROKER_ENDS, CONNACK) as url,
        Program("sub", "t", "-d", "-b", url) as sub,
    ):
        sub.err.expect(r"-> SUBSCRIBE \(.*'t'")
        assert sub.stop() == 143
    found = packets(sub.err.text)
    assert found[:5] == ["-> CONNECT", "<- CONNACK", "<- DISCONNECT", "-> CONNECT", "<- CONNACK"]
    assert sub.out.data == b""


@pytest.mark.parametrize("command", [("pub", "t", "x"), ("pub", "t", "x", "--every", "1s")])
def test_a_terminal_has_colours(in_pipe: tuple[Program, str], command: tuple[str, ...]) -> None:
    _, url = in_pipe
    with Program(*command, "--count", "1", "-d", "-b", url, terminal=True) as pub:
        assert pub.ended() == 0
    assert packets(pub.out.text) == ["-> CONNECT", "<- CONNACK", "-> PUBLISH", "-> DISCONNECT"]
    assert re.search(rb"\x1b\[[0-9;]+m-> CONNECT\x1b\[0m", pub.out.data)
    plainly = {"NO_COLOR": "1"}
    with Program(
        *command, "--count", "1", "-d", "-b", url, terminal=True, environment=plainly
    ) as pub:
        assert pub.ended() == 0
    assert "-> CONNECT" in pub.out.text
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", pub.out.data)


def test_on_a_screen_of_its_own_packets_go_to_a_file(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    for option in ("--watch", "--tree"):
        with Program("sub", "t", option, "-d", "-b", url, terminal=True) as sub:
            assert sub.ended() == 2
        assert "send them to a file, 2>packets.log" in " ".join(sub.out.text.split())
    with Program("sub", "t", "--watch", "-d", "-b", url) as sub:  # in a pipe, there is none
        sub.err.expect("<- SUBACK")
        assert sub.stop() == 143


def test_those_for_which_there_is_no_room_are_counted() -> None:
    lines: list[str] = []
    room = True

    class Place:
        def detail(self, line: Line) -> bool:
            if room:
                lines.append(plain(line))
            return room

    shown = PacketLines(Place())
    event = PacketEvent(True, "PINGREQ", {})
    shown.show(event)
    room = False
    for _ in range(3):
        shown.show(event)
    shown.end()
    room = True
    shown.show(event)
    room = False
    shown.show(event)
    room = True
    shown.end()
    assert [line.partition(" ")[2] for line in lines] == [
        "-> PINGREQ", "3 more packets not shown", "-> PINGREQ", "1 more packet not shown",
    ]  # fmt: skip
