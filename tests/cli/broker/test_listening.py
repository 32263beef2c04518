"""`tmqtt broker` at every kind of listener, and under systemd."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.cli.programs import DEADLINE, Program

pytestmark = pytest.mark.slow

HELLO = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
WELCOME = b"\x20\x02\x00\x00"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(ca: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    issue(ca, path, "first.example")
    return path


def issue(ca: trustme.CA, path: Path, name: str) -> None:
    leaf = ca.issue_cert(name, "127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(path))


def connect(sock: socket.socket) -> None:
    sock.settimeout(DEADLINE)
    sock.sendall(HELLO)
    assert sock.recv(100) == WELCOME


def name_shown(ca: trustme.CA, port: int) -> str:
    """The name in the certificate that clients are shown, after an exchange."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        connect(sock)
        names = (sock.getpeercert() or {})["subjectAltName"]
        return str(names[0][1])


def test_each_listener_has_its_own_options_and_common_ones(
    ca: trustme.CA, certificate: Path, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    urls = (
        "mqtts://127.0.0.1:0",
        f"any://127.0.0.1:0?cert={certificate}",
        f"unix://{path}?mode=600",
    )
    with Program("broker", *urls, "--cert", str(certificate)) as broker:
        for number in (1, 2):
            port = int(broker.out.expect(r"Listening at \w+://127.0.0.1:(\d+)", times=number)[1])
            assert name_shown(ca, port) == "first.example"
        broker.out.expect(r"Listening at unix:")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            connect(sock)
        assert path.stat().st_mode & 0o777 == 0o600
        assert broker.stop() == 0
    assert not path.exists()


def test_sighup_shows_new_certificates_and_keeps_the_old_where_they_are_wrong(
    ca: trustme.CA, certificate: Path
) -> None:
    with Program("broker", "mqtts://127.0.0.1:0", "--cert", str(certificate)) as broker:
        port = int(broker.out.expect(r"Listening at mqtts://127.0.0.1:(\d+)")[1])
        certificate.write_text("nonsense")
        broker.process.send_signal(signal.SIGHUP)
        broker.err.expect(r"server\.pem.* holds none")
        assert name_shown(ca, port) == "first.example"
        issue(ca, certificate, "second.example")
        broker.process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if name_shown(ca, port) == "second.example":
                break
        assert name_shown(ca, port) == "second.example"
        broker.out.expect(r"The settings were read again\.\n")
        assert broker.out.text.count("read again") == 1  # not where that failed
        assert broker.stop() == 0


def test_a_key_that_everybody_can_read_is_warned_of(certificate: Path) -> None:
    for mode, warned in ((0o644, True), (0o640, False)):
        certificate.chmod(mode)
        with Program("broker", "mqtts://127.0.0.1:0", "--cert", str(certificate)) as broker:
            broker.out.expect("Listening")
            assert broker.stop() == 0
        sentence = f"Everybody on this machine can read the private key in {certificate}, and pass"
        assert (sentence in broker.err.text) is warned


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mqtts://127.0.0.1:0"], "needs a certificate"),
        (["mqtts://127.0.0.1:0?cert=/no/such.pem"], "/no/such.pem, the certificate of"),
        (["mqtt://127.0.0.1:0?crt=x"], "has no option 'crt'"),
        (["mqtt://127.0.0.1:0", "--cert", "x"], "no listener uses TLS"),
        (["unix:///no/such/folder/s"], "The folder of the socket"),
        (["mqtt://127.0.0.1:0", "--proxy-protocol", "everybody"], "'everybody'"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: list[str], sentence: str) -> None:
    with Program("broker", *arguments) as broker:
        assert broker.ended() in (1, 2)
        assert sentence in broker.err.text
        assert broker.err.text.count("\n") == 1
        assert broker.out.text == ""


def test_websocket_clients_call_the_broker_by_the_names_that_are_allowed() -> None:
    with Program("broker", "ws://127.0.0.1:0", "--allowed-host", "mqtt.example") as broker:
        port = int(broker.out.expect(r"Listening at ws://127.0.0.1:(\d+)")[1])
        for host, welcome in (("mqtt.example", True), ("evil.example", False)):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.settimeout(DEADLINE)
                sock.sendall(
                    f"GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    "Sec-WebSocket-Protocol: mqtt\r\n\r\n".encode()
                )
                answer = sock.recv(1_000)
                assert answer.startswith(b"HTTP/1.1 101" if welcome else b"HTTP/1.1 403")
        assert broker.stop() == 0


# -- systemd --------------------------------------------------------------------------------------

# Becomes `tmqtt broker` with the given sockets from descriptor 3 on, as systemd does it.
_HAND_OVER = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
os.environ["LISTEN_PID"] = os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "tmqtt", "broker", *sys.argv[2:]])
"""


@contextmanager
def under_systemd(
    sockets: list[socket.socket], names: str, notify: str, *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    descriptors = [sock.fileno() for sock in sockets]
    environment = os.environ | {
        "LISTEN_FDS": str(len(sockets)),
        "LISTEN_FDNAMES": names,
        "NOTIFY_SOCKET": notify,
        "WATCHDOG_USEC": "200000",
        "PYTHONWARNINGS": "error",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _HAND_OVER, ",".join(map(str, descriptors)), *arguments],
        env=environment,
        pass_fds=descriptors,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_systemd_hands_over_sockets_and_is_told_how_things_stand(
    ca: trustme.CA, certificate: Path, tmp_path: Path
) -> None:
    abstract = f"@trio-mqtt-test-{os.getpid()}"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
        socket.create_server(("127.0.0.1", 0)) as secure,
        socket.create_server(("127.0.0.1", 0)) as everything,
        socket.socket(socket.AF_UNIX) as local,
    ):
        notices.bind("\0" + abstract[1:])
        notices.settimeout(DEADLINE)
        local.bind(str(tmp_path / "s"))
        local.listen()

        def expect(state: bytes) -> None:
            deadline = time.monotonic() + DEADLINE
            while not notices.recv(1000).startswith(state):
                assert time.monotonic() < deadline, state  # the watchdog goes on telling

        with under_systemd(
            [secure, everything, local],
            "mqtts-outside:all:local",
            abstract,
            *("--quiet", "--cert", str(certificate)),
        ) as process:
            expect(b"READY=1")
            for sock in (secure, everything):
                assert name_shown(ca, sock.getsockname()[1]) == "first.example"
            with socket.create_connection(everything.getsockname()) as sock:
                connect(sock)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(tmp_path / "s"))
                connect(sock)
            expect(b"WATCHDOG=1")
            expect(b"WATCHDOG=1")
            process.send_signal(signal.SIGHUP)
            expect(b"RELOADING=1\nMONOTONIC_USEC=")
            expect(b"READY=1")
            process.terminate()
            expect(b"STOPPING=1")
            assert process.wait(DEADLINE) == 0
        assert (tmp_path / "s").exists()  # it is systemd's


def test_a_file_that_no_longer_goes_with_the_options_leaves_the_broker_as_it_is(
    tmp_path: Path,
) -> None:
    file, said = tmp_path / "broker.toml", tmp_path / "log"
    began = f"[logging]\nfile = {str(said)!r}\n"
    file.write_text(began)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        notices.bind(str(tmp_path / "n"))
        notices.settimeout(DEADLINE)
        arguments = ("--quiet", "--config", str(file), "--proxy-protocol", "127.0.0.1")
        with under_systemd([listening], "", str(tmp_path / "n"), *arguments) as process:

            def expect(state: bytes) -> None:
                deadline = time.monotonic() + DEADLINE
                while not notices.recv(1000).startswith(state):
                    assert time.monotonic() < deadline, state

            expect(b"READY=1")
            file.write_text(f"{began}[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n")
            process.send_signal(signal.SIGHUP)
            expect(b"RELOADING=1")
            expect(b"READY=1")
            expect(b"WATCHDOG=1")
            process.terminate()
            assert process.wait(DEADLINE) == 0
    assert "write them there, below [[listeners]]. The settings stay as they" in said.read_text()


def test_a_url_uses_the_inherited_socket_with_its_port(tmp_path: Path) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        notices.bind(str(tmp_path / "n"))
        notices.settimeout(DEADLINE)
        port = listening.getsockname()[1]
        with under_systemd(
            [listening], "", str(tmp_path / "n"), "--quiet", f"ws://127.0.0.1:{port}"
        ):
            assert notices.recv(100) in (b"READY=1", b"WATCHDOG=1")
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.settimeout(DEADLINE)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert sock.recv(100).startswith(b"HTTP/1.1 400")
