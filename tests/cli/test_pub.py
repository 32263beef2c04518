"""`tmqtt pub`: where messages come from, how often they go, and what is seen of it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.programs import Program, screen


def published(url: str, *arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
    """Run pub to its end: its exit code, what it printed, and what it said."""
    if stdin is None:
        with Program("pub", *arguments, "-b", url) as pub:
            return pub.ended(), pub.out.text, pub.err.text
    reading, writing = os.pipe()
    with Program("pub", *arguments, "-b", url, stdin=reading) as pub:
        os.close(reading)
        os.write(writing, stdin)
        os.close(writing)
        return pub.ended(), pub.out.text, pub.err.text


def test_a_message_may_come_from_anywhere(in_pipe: tuple[Program, str], tmp_path: Path) -> None:
    broker, url = in_pipe
    file = tmp_path / "file"
    file.write_bytes(b"{n} \xff\x00\nfile")
    with Program("sub", "from/#", "-v", "-C", "9", "-b", url) as sub:
        broker.out.expect("subscribed to from/#")
        for arguments, stdin in (
            (("from/a", "{n}"), None),
            (("from/a", "{n}", "--raw"), None),
            (("-t", "from/b", "-t", "from/{n}", "-m", "two"), None),
            (("from/c", "-n"), None),
            (("from/d", "-f", str(file)), None),
            (("from/e", "-s"), b"{n}\nall of it\n"),
            (("from/f", "-l", "-q", "1"), b"one {n}\ntwo"),
        ):
            assert published(url, *arguments, stdin=stdin) == (0, "", ""), arguments
        assert sub.ended() == 0
        assert sub.out.data == (
            b"from/a 1\nfrom/a {n}\nfrom/b two\nfrom/1 two\nfrom/c \n"
            b"from/d {n} \xff\x00\nfile\nfrom/e {n}\nall of it\n\nfrom/f one {n}\nfrom/f two\n"
        )


def test_random_bytes_are_of_the_size_and_others_each_time(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    with Program("pub", "s", "--size", "4KB", "--count", "2", "-v", "-b", url) as pub:
        assert pub.ended() == 0
        data = pub.out.data
    assert len(data) == 2 * 4_003
    assert data[:4_003] != data[4_003:]


def test_messages_keep_their_order_at_every_qos(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    for qos in ("0", "1", "2"):
        with Program("sub", f"order/{qos}", "-q", qos, "-C", "300", "-b", url) as sub:
            broker.out.expect(f"subscribed to order/{qos}")
            code, out, err = published(url, f"order/{qos}", "{n}", "--count", "300", "-q", qos)
            assert (code, out, err) == (0, "", "")
            assert sub.ended() == 0
            assert sub.out.text == "".join(f"{number}\n" for number in range(1, 301))


def test_the_end_may_be_a_time(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    with Program("pub", "a", "{n}", "--rate", "50/s", "--for", "300ms", "-v", "-b", url) as pub:
        assert pub.ended() == 0
        assert 1 <= pub.out.text.count("\n") <= 15


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_how_it_goes_and_a_summary(
    in_pipe: tuple[Program, str], columns: int
) -> None:
    _, url = in_pipe
    with Program(
        "pub", "a/\x1b[2J", "{n} [red]", "--every", "20ms", "--count", "40", "-q", "1", "-b", url,
        terminal=True, columns=columns, environment={"NO_COLOR": "1"},
    ) as pub:  # fmt: skip
        pub.out.expect(r"2\d sent · ")
        middle = screen(pub.out.data, columns)
        assert pub.ended() == 0
        end = screen(pub.out.data, columns)
    status = [line for line in middle if "sent" in line]
    assert len(status) == 1  # redrawn in its place, however narrow
    assert "acknowledged" in status[0] or columns == 40
    assert "%" in status[0]
    assert ("━" in status[0]) == (columns > 40)
    shown = [line for line in end if line]
    assert any(line.endswith(r"a/\x1b[2J 20 [red]") for line in shown)
    assert "… 20 more messages not shown" in shown
    text = "".join(shown).replace(" ", "")
    assert re.search(r"40messagessentin[\d.]+s,40acknowledged,40heardbynobody,roundtrip", text)
    assert "40 sent" not in "\n".join(shown)  # the line of how it goes is gone
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", pub.out.data)


def test_ctrl_c_says_goodbye_and_how_it_went(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("pub", "a", "--every", "10ms", "-q", "1", "-i", "cc", "-b", url) as pub:
        broker.out.expect("cc → a Hello", times=3)
        assert pub.stop(signal.SIGINT) == 130
        assert pub.out.data == b""
        assert re.fullmatch(r"[\d,]+ messages sent in .+ \(median\)\.\n", pub.err.text)
    broker.out.expect("cc disconnected\n")


def test_two_messages_at_once_are_refused(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    code, _, err = published(url, "a", "b", "-n")
    assert code == 2
    assert err.endswith("There can be one message only, but there are MESSAGE and -n.\n")
