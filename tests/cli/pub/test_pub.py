"""`tmqtt pub`: where messages come from, how often they go, and what is seen of it."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.cli.programs import DEADLINE, Program, broker_that_answers, running_broker, screen

pytestmark = pytest.mark.slow


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
    with Program("sub", "from/#", "-v", "-C", "12", "-b", url) as sub:
        broker.out.expect("subscribed to from/#")
        for arguments, stdin in (
            (("from/a", "{n}"), None),
            (("from/a", "{n}", "--raw"), None),
            (("-t", "from/b", "-t", "from/{n}", "-m", "two"), None),
            (("from/c", "-n"), None),
            (("from/d", "-f", str(file)), None),
            (("from/e", "-s"), b"{n}\nall of it\n"),
            (("from/f", "-l", "-q", "1"), b"one {n}\ntwo"),
            (("from/g", "-0", "-q", "1"), b"one\nline\0two\n\0\0"),
        ):
            assert published(url, *arguments, stdin=stdin) == (0, "", ""), arguments
        assert sub.ended() == 0
        assert sub.out.data == (
            b"from/a 1\nfrom/a {n}\nfrom/b two\nfrom/1 two\nfrom/c \n"
            b"from/d {n} \xff\x00\nfile\nfrom/e {n}\nall of it\n\nfrom/f one {n}\nfrom/f two\n"
            b"from/g one\nline\nfrom/g two\n\nfrom/g \n"
        )


def test_lines_go_to_a_topic_that_is_called_as_a_protocol(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    assert published(url, "mqtt", "-l", "-q", "1", stdin=b"one\n") == (0, "", "")


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
    with Program("pub", "a", "{n}", "--rate", "50/s", "--for", "5s", "-v", "-b", url) as pub:
        assert pub.ended() == 0
        assert 1 <= pub.out.text.count("\n") <= 250


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_how_it_goes_and_a_summary(
    in_pipe: tuple[Program, str], columns: int
) -> None:
    _, url = in_pipe
    with Program(
        "pub", "a/\x1b[2J", "{n} [red]", "--every", "50ms", "--count", "15", "-q", "1", "-b", url,
        terminal=True, columns=columns, environment={"NO_COLOR": "1"},
    ) as pub:  # fmt: skip
        pub.out.expect(r"1\d sent · ")
        middle = screen(pub.out.data, columns)
        assert pub.ended() == 0
        end = screen(pub.out.data, columns)
    status = [line for line in middle if "sent" in line]
    assert len(status) == 1  # redrawn in its place, however narrow
    assert "acknowledged" in status[0] or columns == 40
    assert "%" in status[0]
    assert ("━" in status[0]) == (columns > 40)
    shown = [line for line in end if line]
    assert any(line.endswith(r"a/\x1b[2J 15 [red]") for line in shown)
    text = "".join(shown).replace(" ", "")
    assert re.search(r"15messagessentin[\d.]+s,15acknowledged,15heardbynobody,roundtrip", text)
    assert "15 sent" not in "\n".join(shown)  # the line of how it goes is gone
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", pub.out.data)


def test_what_is_not_acknowledged_is_not_done() -> None:
    with (
        broker_that_answers(b"\x20\x03\x00\x00\x00") as url,
        Program("pub", "a", "-q", "1", "--count", "3", "-b", url, terminal=True) as pub,
    ):
        pub.out.expect(r"3 sent · 0 acknowledged .* 0%")
        assert "100%" not in pub.out.text
        assert pub.stop() == 143


def test_what_happens_is_told_above_the_line_of_how_it_goes() -> None:
    with (
        running_broker() as (broker, url),
        Program("pub", "a", "b", "--every", "20ms", "-b", url, terminal=True, columns=80) as pub,
    ):
        pub.out.expect(r"\d sent · ")
        broker.process.kill()
        pub.out.expect(r"Trying\s+again\.")
        pub.out.expect(r"\d sent · ")
        lines = [line for line in screen(pub.out.data, 80) if line]
        assert pub.stop() == 143
    assert any(line.startswith("The broker at ") or url in line for line in lines)
    assert [line for line in lines if " sent · " in line] == [lines[-1]]
    assert re.fullmatch(r"\d+ sent · \S+ s", lines[-1])


def test_what_waits_for_a_connection_is_neither_shown_nor_summed_up_as_sent() -> None:
    with (
        running_broker() as (broker, url),
        Program("pub", "a", "b", "--every", "100ms", "-b", url, terminal=True) as pub,
    ):
        pub.out.expect(r"\d sent · ")
        broker.process.kill()
        told = pub.out.expect(r"Trying again\.")
        before = pub.out.text[: told.end()]
        lines = before.count(" sent · ")
        pub.out.expect(" sent · ", times=lines + 10)
        pub.press_ctrl_c()
        assert pub.ended() == 130
        shown = len(re.findall(r"\d a b\n", pub.out.text))
        assert shown == len(re.findall(r"\d a b\n", before))
        assert re.search(rf"\D{shown} messages? sent in ", pub.out.text)


def test_of_a_flood_a_sample_is_shown_and_the_rest_counted(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    with Program("pub", "flood", "--count", "500", "-b", url, terminal=True) as pub:
        assert pub.ended() == 0
        text = pub.out.text
    hidden = sum(int(count) for count in re.findall(r"… (\d+) more messages? not shown", text))
    shown = len(re.findall(r"\d flood Hello", text))
    assert 20 <= shown < 500
    assert shown + hidden == 500


def test_ctrl_c_says_goodbye_and_how_it_went(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("pub", "a", "--every", "10ms", "-q", "1", "-i", "cc", "-b", url) as pub:
        broker.out.expect("cc → a Hello", times=3)
        assert pub.stop(signal.SIGINT) == 130
        assert pub.out.data == b""
        assert re.fullmatch(r"[\d,]+ messages sent in .+ \(median\)\.\n", pub.err.text)
    broker.out.expect("cc disconnected\n")


@pytest.mark.parametrize("count", ["1", "3"])
def test_what_the_broker_refuses_is_its_code(in_pipe: tuple[Program, str], count: str) -> None:
    _, url = in_pipe
    code, out, err = published(url, "$SYS/x", "y", "-q", "1", "--count", count)
    assert (code, out) == (135, "")
    assert err.splitlines()[-1].startswith("Error: The broker at")
    assert "not authorized" in err


def test_a_password_is_asked_for_and_not_shown(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    with Program("pub", "a", "b", "-u", "asked", "-P", "-", "-b", url, terminal=True) as pub:
        pub.out.expect("Password of asked: ")
        pub.type("s3cret\n")
        assert pub.ended() == 0
        assert "s3cret" not in pub.out.text
    broker.out.expect("user asked\n")


def test_a_message_that_is_not_acknowledged_is_given_up_by_ctrl_c() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Program("pub", "a", "b", "-q", "1", "-b", f"mqtt://{_address_of(listener)}") as pub,
    ):
        listener.settimeout(DEADLINE)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            assert connection.recv(65_536)
            connection.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK
            assert connection.recv(65_536)[0] == 0x32  # PUBLISH
            assert pub.stop(signal.SIGINT) == 130
            assert connection.recv(65_536).startswith(b"\xe0")  # DISCONNECT
        assert (pub.out.data, pub.err.data) == (b"", b"")


def test_where_nobody_listens_it_is_said_how_to_begin() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = _address_of(listener)
    for arguments in (["a", "b"], ["-t", "a", "-t", "c", "-m", "b"]):
        with Program("pub", *arguments, "-b", f"mqtt://{address}") as pub:
            assert pub.ended() == 1
            assert "connection refused): start one with `tmqtt broker`" in pub.err.text


def _address_of(listener: socket.socket) -> str:
    return "{}:{}".format(*listener.getsockname())


def test_waiting_for_a_broker_is_said_once_and_ends_by_ctrl_c() -> None:
    with Program("pub", "a", "b", "--wait", "-b", "mqtt://127.0.0.1:1") as pub:
        pub.err.expect("Waiting for a broker at mqtt://127.0.0.1:1 ")
        assert pub.stop(signal.SIGINT) == 130
        assert pub.err.text.count("\n") == 1
        assert pub.out.data == b""


def test_lines_that_do_not_come_do_not_hold_up_the_end(in_pipe: tuple[Program, str]) -> None:
    broker, url = in_pipe
    reading, writing = os.pipe()
    with Program("pub", "slow", "-l", "-i", "slow", "-b", url, stdin=reading) as pub:
        os.close(reading)
        os.write(writing, b"first\nsec")
        broker.out.expect("slow → slow first\n")
        assert pub.stop() == 143
        os.close(writing)
    broker.out.expect("slow disconnected\n")


def test_two_messages_at_once_are_refused(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    code, _, err = published(url, "a", "b", "-n")
    assert code == 2
    assert err.endswith("There can be one message only, but there are MESSAGE and -n.\n")


def test_no_more_are_on_their_way_than_asked_for(in_pipe: tuple[Program, str]) -> None:
    words = ("pub", "m", "x", "--count", "20", "-q", "1", "-M", "1", "-d", "-b", in_pipe[1])
    with Program(*words) as pub:
        assert pub.ended() == 0
    assert re.findall(r"-> PUBLISH|<- PUBACK", pub.err.text) == ["-> PUBLISH", "<- PUBACK"] * 20
