"""`--payload-format` of `sub` and `pub`: in a pipe, in a terminal, and where it is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import Program, Run, publish, running_broker, screen

pytestmark = pytest.mark.slow

# RFC 8949, appendix A: {"a": 1, "b": [2, 3]}
CBOR = bytes.fromhex("a26161016162820203")
SHOWN = '{"a": 1, "b": [2, 3]}'


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Program, str]]:
    with running_broker() as found:
        yield found


def test_a_pipe_gets_json_and_what_is_none_as_it_came(
    broker: tuple[Program, str], tmp_path: Path
) -> None:
    record = tmp_path / "record"
    with Program(
        *("sub", "p/#", "-v", "--payload-format", "cbor", "-C", "3", "-b", broker[1]),
        *("--record", str(record), "--json"),
    ) as sub:
        broker[0].out.expect("subscribed to p/#")
        publish(broker[1], "p/a", CBOR)
        publish(broker[1], "p/b", b"\x81")
        publish(broker[1], "p/c", b"")
        assert sub.ended() == 0
        payloads = [json.loads(line)["payload"] for line in sub.out.text.splitlines()[::2]]
        assert payloads == [SHOWN, ""]
        assert json.loads(sub.out.text.splitlines()[1])["payload_base64"] == "gQ=="
        assert sub.err.text == (
            "Warning: The payload of a message on p/b is not CBOR: it ends too early.\n"
        )
    # A recording is of what came.
    assert json.loads(record.read_text().splitlines()[0])["payload_base64"] == "omFhAWFiggID"


def test_a_terminal_shows_json_and_what_is_none_with_a_word(broker: tuple[Program, str]) -> None:
    with Program(
        *("sub", "t", "--payload-format", "cbor", "-C", "2", "-b", broker[1]), terminal=True
    ) as sub:
        broker[0].out.expect(r"subscribed to t\n")
        publish(broker[1], "t", CBOR)
        publish(broker[1], "t", b"\x81\x00\xff")
        assert sub.ended() == 0
        shown = [line for line in screen(sub.out.data, 250) if " t " in line]
    assert shown[-2].endswith(f" t {SHOWN}")
    assert shown[-1].endswith(" t 81 00 ff  |...| (not CBOR: bytes follow its end (1))")


@pytest.mark.parametrize("ways", ["at once", "by a client", "by lines", "by null bytes"])
def test_json_is_published_in_the_format(broker: tuple[Program, str], ways: str) -> None:
    topic = f"pub/{ways.replace(' ', '-')}"
    stdin = None
    words = ["pub", "-t", topic, "-m", SHOWN, "-b", broker[1], "--payload-format", "msgpack"]
    if ways == "by a client":
        words += ["-t", "pub/other"]
    if ways == "by lines":
        words[3:5] = ["-l", "-v"]
        stdin = SHOWN.encode()
    if ways == "by null bytes":  # of which lines are no end
        words[3:5] = ["-0", "-v"]
        stdin = SHOWN.replace(" ", "\n").encode() + b"\0"
    with Program("sub", topic, "-F", "%x", "-C", "1", "-b", broker[1]) as sub:
        broker[0].out.expect(f"subscribed to {topic}")
        reading, writing = os.pipe()
        with Program(*words, stdin=reading) as pub:
            os.close(reading)
            os.write(writing, stdin or b"")
            os.close(writing)
            assert (pub.ended(), pub.err.text) == (0, "")
            given = (stdin or b"").rstrip(b"\0").decode()
            assert pub.out.text == (f"{topic} {given}\n" if "-v" in words else "")
        assert sub.ended() == 0
        assert sub.out.text == "82a16101a162920203\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("pub a {x} --payload-format cbor", "CBOR cannot be made of the message: it is not JSON"),
        ("pub a {x} --payload-format cbor --every 1s", "CBOR cannot be made of the message"),
        ("pub a --payload-format cbor", "--payload-format needs a message"),
        ("pub a --size 4KB --payload-format cbor", "--payload-format needs a message"),
        ("pub a 1 --payload-format xml", "there is no format 'xml': write cbor, msgpack"),
        ("sub a --payload-format protobuf", "Protocol Buffers need --descriptors FILE"),
        ("sub a --payload-format cbor --message-type b", "it goes with --payload-format protobuf"),
    ],
)
def test_wrong_options(
    in_process: Run, broker: tuple[Program, str], words: str, sentence: str
) -> None:
    ended = in_process(*words.split(), "-b", broker[1])
    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err
