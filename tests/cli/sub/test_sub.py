"""`tmqtt sub` as its users run it: which messages, how they are printed, when it ends."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.programs import Program, Run, publish, running_broker, screen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker() -> Iterator[tuple[Program, str]]:
    """A broker for these tests: each keeps to topics of its own."""
    with running_broker() as found:
        yield found


@contextmanager
def subscribed(
    broker: tuple[Program, str], *arguments: str, terminal: bool = False, columns: int = 250
) -> Iterator[Program]:
    """A `sub` whose first filter has been granted."""
    program, url = broker
    name = f"sub-{len(program.out.data)}"
    with Program(
        "sub", *arguments, "-b", url, "-i", name, terminal=terminal, columns=columns
    ) as sub:
        program.out.expect(f"{name} subscribed to ")
        yield sub


def test_formats_and_topics_left_out(broker: tuple[Program, str]) -> None:
    with subscribed(
        broker, "f/#", "-T", "f/no/+", "-q", "1", "-F", "%t=%p/%q@@\\t%5l", "-C", "2"
    ) as sub:
        publish(broker[1], "f/no/x", "hidden")
        publish(broker[1], "f/a", "one", qos=2)
        publish(broker[1], "f/b", "\x1b[1m")
        assert sub.ended() == 0
        assert sub.out.data == b"f/a=one/1@\t    3\nf/b=\x1b[1m/0@\t    4\n"


def test_each_filter_has_its_own_quality(broker: tuple[Program, str]) -> None:
    with subscribed(
        broker, "q/a", "-t", "q/b", "-q", "0", "-q", "2", "-F", "%t %q", "-C", "2", "-N"
    ) as sub:
        broker[0].out.expect(r"subscribed to q/b \(QoS 2\)")
        publish(broker[1], "q/a", "x", qos=2)
        publish(broker[1], "q/b", "x", qos=2)
        assert sub.ended() == 0
        assert sub.out.data == b"q/a 0q/b 2"


def test_json_lines_carry_everything(broker: tuple[Program, str]) -> None:
    with subscribed(broker, "j", "--json", "-C", "2", "--identifier", "7") as sub:
        publish(broker[1], "j", b"\xff\x01", properties={"content_type": "x"})
        publish(broker[1], "j", "text")
        assert sub.ended() == 0
        first, second = map(json.loads, sub.out.text.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.pop("time"))
    assert first == {
        "topic": "j", "qos": 0, "retain": False, "payload_base64": "/wE=",
        "properties": {"content_type": "x", "subscription_identifier": [7]},
    }  # fmt: skip
    assert second["payload"] == "text"


def test_what_is_retained_may_be_left_out_or_be_all_or_be_removed(
    broker: tuple[Program, str],
) -> None:
    url = broker[1]
    publish(broker[1], "r/a", "old", retain=True)
    publish(broker[1], "r/b", "older", retain=True)
    with subscribed(broker, "r/#", "-R", "-C", "1") as sub:
        publish(broker[1], "r/c", "new")
        assert sub.ended() == 0
        assert sub.out.data == b"new\n"
    with subscribed(broker, "r/#", "--retained-only", "-v") as sub:
        sub.out.expect("r/[ab] old(er)?\n", times=2)
        publish(broker[1], "r/c", "new")
        assert sub.ended() == 0
        assert sorted(sub.out.text.splitlines()) == ["r/a old", "r/b older"]
    for option, said in (("--dry-run", "2 retained messages would be removed"), ("-v", "2 retain")):
        with Program("sub", "r/#", "--remove-retained", option, "-C", "2", "-b", url) as remover:
            assert remover.ended() == 0
            assert said in remover.err.text
    with Program("sub", "r/#", "-W", "2s", "-b", url) as late:
        assert late.ended() == 27
        assert late.out.data == b""
        assert "The 2 s are over. 0 messages" in late.err.text


def test_it_ends_once_subscribed_and_the_session_collects(broker: tuple[Program, str]) -> None:
    url = broker[1]
    session = ("-i", "keeper", "--session", "10m", "-q", "1", "-b", url)
    with Program("sub", "e", "-E", *session) as sub:
        assert sub.ended() == 0
    publish(broker[1], "e", "meanwhile", qos=1)
    with Program("sub", "e", "-C", "1", *session) as sub:
        assert sub.ended() == 0
        assert sub.out.data == b"meanwhile\n"


def test_ctrl_c_ends_with_a_summary(broker: tuple[Program, str]) -> None:
    with subscribed(broker, "c", terminal=True) as sub:
        sub.out.expect("Ctrl-C ends it")
        publish(broker[1], "c", "12345")
        sub.out.expect("c 12345\n")
        sub.press_ctrl_c()
        assert sub.ended() == 130
        # In the place of ^C, which the terminal has written.
        *_, last = filter(None, screen(sub.out.data, 250))
        assert re.fullmatch(r"1 message, 5 bytes of payload in \d+\.\d s\.", last)
    broker[0].out.expect(r"sub-\d+ disconnected\n")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_json_bytes_and_marks(broker: tuple[Program, str], columns: int) -> None:
    topic = f"t/{columns}"
    with subscribed(broker, topic, "-q", "1", "-C", "3", terminal=True, columns=columns) as sub:
        publish(broker[1], topic, '{"t":1}', qos=1)
        publish(broker[1], topic, '{"t":2}')
        publish(broker[1], topic, bytes(range(1, 20)) + b"\xff")
        assert sub.ended() == 0
    shown = [line for line in screen(sub.out.data, columns) if line]
    assert any(line.endswith(f'{topic} {{"t": 1}} (QoS 1)') for line in shown)
    assert any("01 02 03" in line for line in shown)
    assert all(len(line) <= columns for line in shown)
    assert b"\x1b[7;36m2\x1b[0m" in sub.out.data  # what changed is lit


def test_what_is_not_shown_is_counted(broker: tuple[Program, str]) -> None:
    with subscribed(broker, "many", "-C", "3000", terminal=True) as sub:
        with Program("pub", "many", "x", "--count", "3000", "-b", broker[1]) as pub:
            assert pub.ended() == 0
        assert sub.ended() == 0
    text = sub.out.text
    shown = len(re.findall(r"\d\d:\d\d:\d\d many x\n", text))
    said = re.findall(r"… ([\d,]+) shown of ([\d,]+)\n", text)
    assert said
    assert shown < 3000
    hidden = sum(
        int(came.replace(",", "")) - int(of_them.replace(",", "")) for of_them, came in said
    )
    assert shown + hidden == 3000


def test_formats_steer_a_terminal_but_messages_do_not(broker: tuple[Program, str]) -> None:
    with subscribed(broker, "s", "-F", "\\e[1m%p\\e[0m", "-C", "1", terminal=True) as sub:
        publish(broker[1], "s", "\x1b[2J[red]\u202e")
        assert sub.ended() == 0
        assert b"\x1b[1m\\x1b[2J[red]\\u202e\x1b[0m" in sub.out.data


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("-q", "1", "-q", "2", "-q", "0"), 2, "there are 1 filters and 3 of these"),
        (("-q", "3"), 2, "3"),
        (("--watch", "--json"), 2, "--watch and --json do not go together"),
        (("--dry-run",), 2, "it goes with --remove-retained"),
        (("--plot", "..", "--watch"), 2, "is not the way to a field"),
        (("--retain-handling", "4"), 2, "there is no retain handling '4'"),
        (("--identifier", "0"), 2, "'0' is not a number from 1"),
        (("--sort", "size"), 2, "there is no order 'size'"),
        (("-W", "soon"), 2, "'soon' is not a duration"),
        (("-W", "0.2"), 27, "0.2 s"),
        (("-F", "%z"), 1, "a code that does not exist: '%z'"),
        (("-T", "a/#/b"), 1, "The topic filter 'a/#/b'"),
        (("--record", "/nonexistent/file"), 1, "cannot be written: No such file"),
    ],
)
def test_wrong_options(
    in_process: Run,
    broker: tuple[Program, str],
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    sub = in_process("sub", "wrong", *arguments, "-b", broker[1])
    assert sub.code == code
    assert sentence in sub.err
    assert "Traceback" not in sub.err


def test_sigterm_gives_the_screen_back(broker: tuple[Program, str]) -> None:
    with subscribed(broker, "w", "--watch", terminal=True) as sub:
        sub.out.expect("TOPIC")
        sub.process.send_signal(signal.SIGTERM)
        assert sub.ended() == 143
        assert sub.out.data.count(b"\x1b[?1049l") == 1
