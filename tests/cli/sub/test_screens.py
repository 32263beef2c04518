"""`sub --watch` and `--tree` in terminals of several widths, and in a pipe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.cli.programs import DEADLINE, Program, publish, running_broker, screen, shows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A broker with some messages retained."""
    with running_broker() as (_, url):
        for topic, payload in (
            ("home/kitchen/t", "21.5"),
            ("home/hall", '{"t": 3}'),
            ("x/[red]\x1b[2J", "\x1b[31m"),
        ):
            publish(url, topic, payload, qos=1, retain=True)
        yield url


@pytest.mark.parametrize("columns", [40, 80, 132])
def test_a_table_stays_and_changes_in_place(url: str, columns: int) -> None:
    with Program("sub", "#", "--watch", "-b", url, terminal=True, columns=columns) as sub:
        lines = shows(sub, columns, r"x/\[red.*")
        assert len(lines) == 6
        assert re.search(r"(\? keys|q ends)", lines[-1])
        assert re.match(r"#.*3 topics", lines[0])
        assert lines[1].split()[:3] == ["TOPIC", "RATE", "AGE"]
        publish(url, "home/hall", "9")
        shows(sub, columns, r"home/hall .* 9")
        assert b"\x1b[2J" not in sub.out.data.replace(b"\x1b[H\x1b[2J", b"")
        sub.press_ctrl_c()
        assert sub.ended() == 130
    assert sub.out.data.count(b"\x1b[?1049h") == sub.out.data.count(b"\x1b[?1049l") == 1
    after = sub.out.data.rpartition(b"\x1b[?1049l")[2].decode()
    assert re.search(r"4 messages, \d+ bytes of payload in", after)


def test_a_field_is_drawn_and_a_new_width_is_followed(url: str) -> None:
    with Program(
        "sub", "home/#", "--watch", "--plot", ".t", "--sort", "rate", "-b", url,
        terminal=True, columns=100,
    ) as sub:  # fmt: skip
        shows(sub, 100, r"home/hall .*▁ +\{\"t\": 3\}")
        before = len(sub.out.data)
        sub.resize(50)
        end = time.monotonic() + DEADLINE
        while b"\x1b[2J" not in sub.out.data[before:]:
            assert time.monotonic() < end
            time.sleep(0.02)
        lines = screen(sub.out.data[sub.out.data.rindex(b"\x1b[2J") :], 50)
        assert any(line.startswith("home/hall") for line in lines)
        assert not any("TREND" in line for line in lines)
        sub.stop()


def test_a_tree_without_colours(url: str) -> None:
    with Program(
        "sub", "#", "--tree", "-b", url, terminal=True, columns=80, environment={"NO_COLOR": "1"}
    ) as sub:
        shows(sub, 80, r"└─ \[red\]\\x1b\[2J  1  \\x1b\[31m")
        lines = shows(sub, 80, "home  2 in 2 topics")
        assert '├─ hall  1  {"t": 3}' in lines
        assert "   └─ t  1  21.5" in lines
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", sub.out.data)
        sub.stop()


def test_in_a_pipe_the_table_comes_at_the_end(url: str) -> None:
    with Program("sub", "home/#", "--watch", "-C", "2", "-b", url) as sub:
        assert sub.ended() == 0
        lines = sub.out.text.splitlines()
        assert lines[1].split() == ["TOPIC", "RATE", "AGE", "TREND", "LAST"]
        assert [line.split()[0] for line in lines[2:]] == ["home/hall", "home/kitchen/t"]
        assert b"\x1b" not in sub.out.data


def test_a_lost_connection_is_told_on_the_screen() -> None:
    with (
        running_broker() as (broker, url),
        Program("sub", "#", "--watch", "-b", url, terminal=True, columns=100) as sub,
    ):
        shows(sub, 100, "TOPIC.*")
        broker.process.kill()
        shows(sub, 100, r".*Trying again\.")
        assert sub.stop() == 143
        assert sub.out.data.count(b"\x1b[?1049l") == 1


def test_a_sentence_does_not_hide_how_much_is_not_shown() -> None:
    with running_broker() as (broker, url):
        for number in range(3):
            topics = [word for n in range(20) for word in ("-t", f"{number}/{n}")]
            with Program("pub", *topics, "-m", "x", "-r", "-b", url) as pub:
                assert pub.ended() == 0
        with Program("sub", "#", "--watch", "-b", url, terminal=True, columns=100) as sub:
            shows(sub, 100, "1 to 21 of 60 · .*q ends")
            broker.process.kill()
            lines = shows(sub, 100, r".*Trying again\.")
            assert re.fullmatch("1 to 20 of 60 · .*q ends", lines[-2])
            assert sub.stop() == 143
