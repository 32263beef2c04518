"""What `sub --record` writes, `replay` publishes again, bit for bit."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_mqtt
from tests.cli.programs import Program, running_broker

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Program, str]]:
    """A broker for these tests."""
    with running_broker() as found:
        yield found


MESSAGES: list[tuple[str, bytes, int, bool, trio_mqtt.Properties]] = [
    ("rec/a", b"plain", 0, False, {}),
    ("rec/ä \x1b[2J/漢", "ünï\n\u202e".encode(), 1, True, {"content_type": "text/plain"}),
    ("rec/bin", bytes(range(256)), 2, False, {"correlation_data": b"\xff\x00"}),
    ("rec/empty", b"", 1, False, {"user_property": [("a", "1"), ("a", "2"), ("b", "")]}),
    ("rec/all", b"x", 2, True, {
        "payload_format_indicator": 1, "message_expiry_interval": 3_600, "content_type": "c",
        "response_topic": "r/t", "correlation_data": b"", "user_property": [("k", "v")],
    }),
]  # fmt: skip


def records(path: Path) -> list[dict[str, Any]]:
    """The lines of a recording, without their times."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for one in found:
        del one["time"]
    return found


def test_a_recording_of_a_replay_is_the_same(broker: tuple[Program, str], tmp_path: Path) -> None:
    program, url = broker
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"

    async def publish() -> None:
        async with trio_mqtt.open_client(url) as client:
            for topic, payload, qos, retain, properties in MESSAGES:
                await client.publish(
                    topic, payload, qos=qos, retain=retain, properties=properties or None
                )
                await trio.sleep(0.05)

    count = str(len(MESSAGES))
    for path in (first, second):
        with Program(
            "sub", "rec/#", "--record", str(path), "-C", count, "--retain-handling", "never",
            "-i", f"{path.stem}-2", "-b", url,
        ) as sub:  # fmt: skip
            program.out.expect(f"{path.stem}-2 subscribed to rec/")
            if path == first:
                trio.run(publish)
            else:
                with Program("replay", str(first), "-b", url) as replay:
                    assert replay.ended() == 0
                    assert replay.err.data == b""
            assert sub.ended() == 0
            assert sub.out.data == b""
    assert first.stat().st_mode & 0o777 == 0o600
    assert records(first) == records(second)
    assert [(one["topic"], one["qos"], one["retain"]) for one in records(first)] == [
        (topic, qos, retain) for topic, _, qos, retain, _ in MESSAGES
    ]


def line(second: float, payload: str, topic: str = "again") -> bytes:
    stamp = f"2026-11-24T17:00:{second:09.6f}Z"
    record = {"time": stamp, "topic": topic, "qos": 1, "retain": False, "payload": payload}
    return json.dumps(record).encode() + b"\n"


def test_the_pace_is_kept_or_changed_and_a_file_may_loop(
    broker: tuple[Program, str], tmp_path: Path
) -> None:
    program, url = broker
    path = tmp_path / "paced.jsonl"
    path.write_bytes(line(1.0, "1") + line(11.0, "2") + line(11.0, "3"))
    with Program("sub", "p/#", "-C", "6", "-F", "%t %p %U", "-i", "pace", "-b", url) as sub:
        program.out.expect("pace subscribed to p/")
        with Program(
            "replay", str(path), "--speed", "10x", "--loop", "2", "--topic-prefix", "p/", "-b", url
        ) as replay:
            assert replay.ended() == 0
        assert sub.ended() == 0
        shown = [row.split() for row in sub.out.text.splitlines()]
    assert [row[:2] for row in shown] == [["p/again", number] for number in "123123"]
    times = [float(row[2]) for row in shown]
    # A second each, as published: the first may reach whoever notes the time late.
    assert times[1] - times[0] >= 0.5
    assert times[4] - times[3] >= 0.5


def test_ctrl_c_between_two_messages_leaves_nothing_to_warn_of(
    broker: tuple[Program, str], tmp_path: Path
) -> None:
    program, url = broker
    path = tmp_path / "long.jsonl"
    path.write_bytes(line(0, "1", "long") + line(59, "2", "long"))
    with Program("sub", "long", "-C", "1", "-i", "long", "-b", url) as sub:
        program.out.expect("long subscribed to long")
        with Program("replay", str(path), "-b", url) as replay:
            assert sub.ended() == 0
            assert replay.stop(signal.SIGINT) == 130
    assert re.fullmatch(r"1 message replayed in [\d.]+ s\.\n", replay.err.text)


def test_stdin_is_replayed_and_a_line_that_was_cut_off_is_left_out(
    broker: tuple[Program, str], tmp_path: Path
) -> None:
    program, url = broker
    path = tmp_path / "piped.jsonl"
    path.write_bytes(line(0, "x", "piped") + line(50, "y", "piped") + b'{"cut off')
    with Program("sub", "piped", "-C", "2", "-i", "piped", "-b", url) as sub, path.open() as file:
        program.out.expect("piped subscribed to piped")
        with Program("replay", "-", "--speed", "max", "-b", url, stdin=file.fileno()) as replay:
            assert replay.ended() == 0
            assert replay.err.text == "Warning: Line 3 of - is cut off, and left out.\n"
        assert sub.ended() == 0
        assert sub.out.data == b"x\ny\n"


def test_a_recording_to_stdout_is_what_json_prints(broker: tuple[Program, str]) -> None:
    program, url = broker
    with Program("sub", "out", "--record", "-", "-C", "1", "-i", "out", "-b", url) as sub:
        program.out.expect(r"out subscribed to out \(QoS 2\)")
        with Program("pub", "out", "x", "-b", url) as pub:
            assert pub.ended() == 0
        assert sub.ended() == 0
        assert json.loads(sub.out.data)["payload"] == "x"


def test_what_is_wrong_is_told_with_its_line_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(line(0, "x") + line(1, "y", "a/+") + line(2, "z"))
    with Program("replay", str(path), "-b", "mqtt://127.0.0.1:1") as replay:
        assert replay.ended() == 1
        assert replay.err.text == (
            f"Error: Line 2 of {path} has the topic 'a/+', which holds a wildcard character.\n"
        )
    with Program("replay", str(tmp_path / "missing")) as replay:
        assert replay.ended() == 1
        assert "cannot be read: No such file" in replay.err.text


def test_a_recording_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"mine")
    with Program("sub", "a", "--record", str(path), "-b", "mqtt://127.0.0.1:1") as sub:
        assert sub.ended() == 1
        assert "exists already" in sub.err.text
    assert path.read_bytes() == b"mine"
