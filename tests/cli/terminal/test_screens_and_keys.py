"""Keys typed at screens, Ctrl-Z in a real shell, and what is left at the end."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from tests.cli.programs import (
    DEADLINE,
    ENTER_SCREEN,
    LEAVE_SCREEN,
    LINES,
    Program,
    Stream,
    publish,
    running_broker,
    screen,
    shows,
)
from trio_mqtt import sync

pytestmark = pytest.mark.slow

_NAMES = [f"home/room{n % 5}/lamp{n:03}" for n in range(200)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A broker with two hundred retained messages."""
    with running_broker() as (_, url):
        with sync.open_client(url) as client:
            for number, name in enumerate(_NAMES):
                client.publish(name, f"value {number}", retain=True)
            client.publish("alarm", '{"who": "nobody", "when": "never"}', qos=1, retain=True)
        yield url


def left(data: bytes, columns: int) -> list[str]:
    """What is on the ordinary screen at the end."""
    return [line for line in screen(data.rpartition(LEAVE_SCREEN)[2], columns) if line]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_keys_scroll_and_filter_a_table_and_q_ends_and_leaves_it(url: str, columns: int) -> None:
    with Program("sub", "#", "--watch", "-b", url, terminal=True, columns=columns) as sub:
        shows(sub, columns, r"1 to 21 of 201 .*q ends")
        sub.type("\x1b[6~")  # PgDn
        shows(sub, columns, r"22 to 42 of 201 .*")
        sub.type("\x1b[F")  # End
        assert shows(sub, columns, r"181 to 201 of 201 .*")[-2].startswith("home/room4/lam")
        sub.type("/LAMP01")
        shows(sub, columns, r"/LAMP01_ 10 found · .*")
        sub.type("\r")
        lines = shows(sub, columns, r"/LAMP01 · 1 to 10 of 10.*")
        assert [line[:14] for line in lines[2:-1]] == sorted(
            name[:14] for name in _NAMES if "lamp01" in name
        )
        if columns == 200:
            sub.type("\x1b[A\x1b[B\r")
            shows(sub, columns, r"1 message, .*, [78] bytes")
            sub.type("\x1b")
            shows(sub, columns, r"/LAMP01 · 1 to 10 of 10.*")
        sub.type("q")
        assert sub.ended() == 0
    rows = left(sub.out.data, columns)
    assert len([line for line in rows if line.startswith("home/room")]) == 10
    assert rows[-1].startswith("only with 'LAMP01'")
    assert sub.out.data.count(ENTER_SCREEN) == sub.out.data.count(LEAVE_SCREEN) == 1


def test_keys_open_branches_and_the_tree_is_left_by_ctrl_c(url: str) -> None:
    with Program("sub", "#", "--tree", "-b", url, terminal=True, columns=80) as sub:
        shows(sub, 80, r"└─ room4  40 in 40 topics  ▸")
        sub.type("\x1b[B\x1b[B\x1b[B\x1bOC")  # down to room1, and right
        shows(sub, 80, r"│  ├─ lamp001  1  value 1")
        sub.type("\x1b[D")
        shows(sub, 80, r"├─ room1  40 in 40 topics  ▸")
        sub.type("?")
        shows(sub, 80, r" e c +open all branches, close all")
        sub.type("?e")
        shows(sub, 80, r"[0-9]+ to [0-9]+ of 207 .*")
        sub.press_ctrl_c()
        assert sub.ended() == 130
    rows = left(sub.out.data, 80)
    assert "├─ room1  40 in 40 topics" in rows
    assert any(re.fullmatch("… 18[0-9] more not shown", line) for line in rows)
    assert re.search(r"201 messages, .* bytes of payload", rows[-1])
    assert len(rows) < LINES


# Which of two subscriptions gets its retained messages first is not said: a count has one only.
@pytest.mark.parametrize("options", [["-C", "1"], ["#", "-W", "5s"]])
def test_the_table_is_left_however_it_ends(url: str, options: list[str]) -> None:
    with Program("sub", "alarm", *options, "--watch", "-b", url, terminal=True) as sub:
        assert sub.ended() == (27 if "-W" in options else 0)
    rows = left(sub.out.data, 250)
    assert rows[1].split() == ["TOPIC", "RATE", "AGE", "LAST"]
    assert any(line.startswith("alarm ") and "nobody" in line for line in rows)


def test_without_colours_a_chosen_row_is_still_seen(url: str) -> None:
    with Program(
        "sub", "#", "--watch", "-b", url, terminal=True, environment={"NO_COLOR": "1"}
    ) as sub:
        shows(sub, 250, r"1 to 21 of 201 .*")
        assert b"\x1b[7malarm" in sub.out.data
        assert not re.search(rb"\x1b\[[0-9;]*3[0-9]m", sub.out.data)
        sub.type("q")
        assert sub.ended() == 0


def test_where_stdin_is_no_terminal_there_are_no_keys(url: str) -> None:
    with Program("sub", "#", "--watch", "-b", url, terminal=True, keys=False, columns=80) as sub:
        lines = shows(sub, 80, r"… 180 more topics not shown")
        assert not any("q ends" in line for line in lines)
        sub.type("q")
        assert sub.stop() == 143
        assert len(left(sub.out.data, 80)) == LINES - 3


def test_the_terminal_has_its_own_mode_again(url: str) -> None:
    for end in ("q", "\x03"):
        with Program("sub", "#", "--watch", "-b", url, terminal=True) as sub:
            keyboard = sub._keyboard
            echo = termios.ECHO | termios.ICANON
            shows(sub, 250, r"1 to 21 of 201 .*")
            assert termios.tcgetattr(keyboard)[3] & echo == 0
            sub.type(end)
            sub.process.wait(DEADLINE)
            assert termios.tcgetattr(keyboard)[3] & echo == echo


def test_a_lost_key_sequence_and_a_paste_do_no_harm(url: str) -> None:
    with Program("sub", "#", "--watch", "-b", url, terminal=True, columns=80) as sub:
        shows(sub, 80, r"1 to 21 of 201 .*")
        sub.type("\x1b[<0;3;4M\x1b[200~" + "j" * 3_000 + "\x1b[201~")
        shows(sub, 80, r"181 to 201 of 201 .*")
        sub.type("/\x1b")
        shows(sub, 80, r"181 to 201 of 201 .*q ends")
        sub.type("q")
        assert sub.ended() == 0
    assert "Traceback" not in sub.out.text


@pytest.mark.skipif(shutil.which("bash") is None, reason="a shell with job control")
@pytest.mark.parametrize(
    "command", ["sub '#' --watch -b", "sub '#' --tree -b", "explore -b", "top"]
)
def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(url: str, command: str) -> None:
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (LINES, 100))
    become = "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    become += "os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])"
    shell = subprocess.Popen(
        [sys.executable, "-c", become],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PS1": "ready> ", "HISTFILE": ""},
    )
    os.close(inner)
    out = Stream(os.dup(outer))

    def until(pattern: bytes, after: int = 0) -> None:
        end = time.monotonic() + DEADLINE
        while not re.search(pattern, out.data[after:], re.DOTALL):
            assert time.monotonic() < end, out.data[after:]
            time.sleep(0.02)

    try:
        until(rb"ready> ")
        os.write(outer, f"{shlex.quote(sys.executable)} -m tmqtt {command} {url}\n".encode())
        until(re.escape(ENTER_SCREEN) + rb".*q ends")
        for _ in range(2):
            at = len(out.data)
            os.write(outer, b"\x1a")
            until(rb"1049l.*Stopped.*ready> ", at)
            assert ENTER_SCREEN not in out.data[at:]
            at = len(out.data)
            os.write(outer, b"echo $((40 + 2))\n")  # the shell's line is what it was
            until(rb"\r42\r\n.*ready> ", at)
            at = len(out.data)
            os.write(outer, b"fg\n")
            until(rb"1049h.*q ends", at)
        at = len(out.data)
        publish(url, "later", "seen")
        os.write(outer, b"q")
        until(rb"1049l.*ready> ", at)
        os.write(outer, b"exit\n")
        assert shell.wait(DEADLINE) == 0
    finally:
        shell.kill()
        shell.wait()
        os.close(outer)
        out.finish()
    assert out.data.count(ENTER_SCREEN) == out.data.count(LEAVE_SCREEN) == 3
    assert b"Traceback" not in out.data
