"""What `tmqtt broker` tells, where, and that it serves on where it can tell nothing."""

from __future__ import annotations

import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import trio_mqtt
from tests.cli.programs import DATE_AND_TIME, DEADLINE, IN_TERMINAL, Program, publish, screen
from tests.ports import free_port
from trio_mqtt import sync
from trio_mqtt.access import set_password

pytestmark = pytest.mark.slow

# Of a kind that is read for the sake of old files, and warned of.
OLD_HASH = (
    "carol:$6$3YcLqTL1aAcjBJ63$ODCs7fgAZ0BMqM12I2INw0AttnpvSm5jylx1MPQXmznNC2oBmBfi7tu1Ox/FB3XM"
    "bHgiqraNFC3ruKosIEETtQ==\n"
)


@pytest.fixture
def free_url() -> str:
    """An address for a broker that cannot tell where it listens."""
    return f"mqtt://127.0.0.1:{free_port()}"


def serves(url: str) -> bool:
    """Whether the broker takes a message."""
    publish(url, "t", "payload", qos=1)
    return True


# -- the terminal ---------------------------------------------------------------------------------


def test_the_c_of_ctrl_c_leaves_nothing_behind_however_narrow_the_terminal() -> None:
    for columns in (40, 41):  # the line of how things stand is longer
        with Program("broker", "-p", "0", terminal=True, columns=columns) as broker:
            broker.out.expect("0 clients")
            broker.press_ctrl_c()
            assert broker.ended() == 0
            shown = screen(broker.out.data, columns)
        assert any("Stopped." in line for line in shown)
        assert not any("^" in line for line in shown)


# -- warnings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_terminal", [True, False])
def test_what_is_to_be_said_of_files_is_said_at_the_start_and_at_sighup(
    in_terminal: bool, tmp_path: Path
) -> None:
    path = tmp_path / "passwords"
    set_password(path, "ann", b"right", create=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(OLD_HASH)
    path.chmod(0o644)
    command = ("broker", "mqtt://127.0.0.1:0", "--password-file", str(path))
    with Program(*command, terminal=in_terminal) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        for number in (1, 2, 3):
            broker.err.expect(
                r"Warning: Everybody on this machine can read the password file", times=number
            )
            broker.err.expect(r"Warning: 1 of the passwords in .* the old kind \$6\$", times=number)
            broker.process.send_signal(signal.SIGHUP)
            broker.out.expect(r"The settings were read again\.\n", times=number)
        with sync.open_client(url, username="ann", password="right") as client:
            client.publish("t", "still here", qos=1)
        assert broker.stop() == 0
        assert (
            len(
                re.findall(r"Everybody on this machine can read the password file", broker.err.text)
            )
            == 4
        )
        assert "Traceback" not in broker.err.text
        if not in_terminal:
            for line in broker.err.text.splitlines():
                assert re.match(DATE_AND_TIME + "Warning: ", line)


def test_warnings_are_told_where_the_broker_cannot_start_for_another_reason(
    tmp_path: Path,
) -> None:
    path = tmp_path / "passwords"
    path.write_text("", encoding="utf-8")
    path.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        with Program("broker", "--password-file", str(path), url) as broker:
            assert broker.ended() == 1
    assert re.fullmatch(r"Warning: .* has no users: .*\nError: .*\n", broker.err.text)


# -- how much is told -----------------------------------------------------------------------------


def refused_at(url: str) -> None:
    with (
        pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError),
        sync.open_client(url, client_id="guess", username="ann"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), {"Listening", "turned away", "guest connected", "guest → t payload", "Stopped"}),
        (
            ("--log-level", "info"),
            {"Listening", "turned away", "guest connected", "Stopped"},
        ),
        (("--log-level", "warning"), {"turned away"}),
        (("--quiet",), {"turned away"}),
        (("--log-level", "error"), set()),
    ],
)
@pytest.mark.parametrize("in_terminal", [True, False])
def test_failed_logins_are_told_at_every_level_but_error(
    in_terminal: bool, options: tuple[str, ...], told: set[str], free_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "passwords"
    set_password(path, "ann", b"right", create=True)
    security = ("--password-file", str(path), "--allow-anonymous")
    with Program("broker", free_url, *security, *options, terminal=in_terminal) as broker:
        with sync.open_client(free_url, client_id="guest", wait_for_broker=True) as client:
            client.publish("t", "payload", qos=1)
        refused_at(free_url)
        assert broker.stop() == 0
        everything = ("Listening", "turned away", "guest connected", "guest → t payload", "Stopped")
        assert {words for words in everything if words in broker.out.text} == told
        if not in_terminal:
            assert broker.err.data == b""
            for line in broker.out.text.splitlines():
                assert re.match(DATE_AND_TIME, line)


@pytest.mark.parametrize("in_terminal", [True, False])
def test_a_quiet_broker_tells_whom_it_refuses_what_and_by_which_rule(
    in_terminal: bool, free_url: str, tmp_path: Path
) -> None:
    access = tmp_path / "access"
    access.write_text("topic read home/#\n", encoding="utf-8")
    access.chmod(0o600)
    passwords = tmp_path / "passwords"
    set_password(passwords, "ann", b"right", create=True)
    options = ("--quiet", "--access-file", str(access), "--password-file", str(passwords))
    with Program("broker", free_url, *options, "--allow-anonymous", terminal=in_terminal) as broker:
        with (
            sync.open_client(free_url, client_id="lamp", wait_for_broker=True) as client,
            pytest.raises(trio_mqtt.RequestRefusedError),
        ):
            client.publish("home/door", "open", qos=1)
        line = broker.out.expect(
            r"(.*)'lamp' \(no user name, 127\.0\.0\.1:\d+\) may not publish to 'home/door': (.*)\n"
        )
        assert str(access) in line[2]
        start = r"(.*\r)?\d\d:\d\d:\d\d " if in_terminal else DATE_AND_TIME
        assert re.fullmatch(start, line[1])
        refused_at(free_url)
        broker.out.expect(r"guess at 127\.0\.0\.1:\d+, user ann, turned away: .*\n")
        assert broker.stop() == 0
        assert broker.out.text.count("\n") == 2


def test_a_quiet_broker_and_a_level_are_too_much() -> None:
    with Program("broker", "--quiet", "--log-level", "all") as broker:
        assert broker.ended() == 2
        assert "give one of them" in broker.err.text


def test_the_journal_gets_priorities_instead_of_times(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    status = os.fstat(writing)
    environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    with Program("broker", "mqtt://127.0.0.1:0", stdout=writing, environment=environment) as broker:
        os.close(writing)
        with open(reading, encoding="utf-8") as lines:
            url = lines.readline().removeprefix("<6>Listening at ").rstrip()
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                sock.settimeout(DEADLINE)
                sock.recv(100)
            while "turned away" not in (line := lines.readline()):
                assert line.startswith("<6>")
            assert line.startswith("<4>127.0.0.1:")
            assert broker.stop() == 0


# -- what is told cannot be written ---------------------------------------------------------------


def test_a_disk_that_is_full_from_the_start_ends_nothing(free_url: str) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
    ):
        name = f"trio-mqtt-test-{os.getpid()}"
        notices.bind(f"\0{name}")
        notices.settimeout(DEADLINE)
        with Program(
            "broker", free_url, stdout=full.fileno(), environment={"NOTIFY_SOCKET": f"@{name}"}
        ) as broker:
            broker.err.expect(
                rf"{DATE_AND_TIME}Warning: The output cannot be written: No space left on device\."
                r" The broker goes on, and tries again each second\.\n"
            )
            while (notice := notices.recv(1000)) == b"READY=1":
                pass
            assert notice == b"STATUS=The output cannot be written: No space left on device."
            assert serves(free_url)
            assert broker.stop() == 0
        assert broker.err.text.count("\n") == 1


def test_a_log_goes_on_without_a_torn_line_when_its_disk_has_room_again(
    free_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "broker.log"
    with path.open("wb") as log, Program("broker", free_url, stdout=log.fileno()) as broker:
        assert serves_soon(free_url)
        # What a full disk does, of a size that the test knows: in the middle of a line.
        _, most = resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (1_000, most))
        while not broker.err.data:
            assert serves(free_url)
        broker.err.expect(r"Warning: The output cannot be written: File too large\..*\n")
        assert path.stat().st_size == 1_000
        publish(free_url, "t", "unseen", qos=1)
        resource.prlimit(broker.process.pid, resource.RLIMIT_FSIZE, (most, most))
        broker.err.expect(r"Warning: The output can be written again\.\n")
        publish(free_url, "t", "seen", qos=1)
        assert broker.stop() == 0
        lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert re.match(rf"{DATE_AND_TIME}\S", line)
    text = "\n".join(lines)
    assert re.search(
        rf"Warning: The output could not be written from {DATE_AND_TIME}to {DATE_AND_TIME[:-1]}:"
        r" File too large\.\n",
        text,
    )
    assert "unseen" not in text
    assert re.search(r" … [\d,]+ more messages? not shown\n", text)
    assert re.search(r" → t seen \(QoS 1\)\n(.*\n)*.* Stopped\.$", text)


def serves_soon(url: str) -> bool:
    """Whether a broker that has only just been started takes a message."""
    with sync.open_client(url, wait_for_broker=True) as client:
        client.publish("t", "payload", qos=1)
    return True


def test_a_broker_goes_on_without_the_reader_of_its_output() -> None:
    reading, writing = os.pipe()
    with Program("broker", "mqtt://127.0.0.1:0", stdout=writing) as broker:
        os.close(writing)
        with open(reading, encoding="utf-8") as lines:  # as head -1 does it
            url = lines.readline().split("Listening at ")[1].rstrip()
        broker.err.expect(
            rf"{DATE_AND_TIME}Warning: Nobody reads the output any more\."
            r" The broker goes on without it\.\n"
        )
        for _ in range(3):
            assert serves(url)
        assert broker.stop() == 0
        assert broker.err.text.count("\n") == 1


def test_a_broker_goes_on_without_the_readers_of_both_of_its_outputs(free_url: str) -> None:
    reading, writing = os.pipe()
    broker = subprocess.Popen(
        [sys.executable, "-m", "tmqtt", "broker", free_url], stdout=writing, stderr=writing
    )
    try:
        os.close(writing)
        assert serves_soon(free_url)
        os.close(reading)
        for _ in range(3):
            assert serves(free_url)
        broker.send_signal(signal.SIGTERM)
        assert broker.wait(DEADLINE) == 0
    finally:
        broker.kill()
        broker.wait()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_broker_ends_in_order_with_its_terminal_where_that_is_told_to_it(
    is_told: bool, free_url: str
) -> None:
    # Only a terminal that controls the process sends SIGHUP when it is closed.
    python = IN_TERMINAL if is_told else ("-m", "tmqtt")
    terminal, inner = pty.openpty()
    broker = subprocess.Popen(
        [sys.executable, *python, "broker", free_url],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    try:
        os.close(inner)
        with socket.socket() as sock:
            assert serves_soon(free_url)
            sock.settimeout(DEADLINE)
            sock.connect(("127.0.0.1", int(free_url.rpartition(":")[2])))
            sock.sendall(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01c")
            assert sock.recv(1_000)[0] == 0x20  # CONNACK
            os.close(terminal)
            if not is_told:
                for _ in range(3):
                    assert serves(free_url)
                broker.send_signal(signal.SIGTERM)
            goodbye = sock.recv(1_000)
            assert (goodbye[0], goodbye[2]) == (0xE0, 0x8B)  # DISCONNECT: server shutting down
        assert broker.wait(DEADLINE) == 0
    finally:
        broker.kill()
        broker.wait()
