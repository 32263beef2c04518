"""What is set of one listener, as those find it who come by it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import V311, Wire, broker_of, dialled
from tests.cli.programs import DEADLINE, Program
from trio_mqtt.access import set_password
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import Connect, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

LISTENERS = {
    "plain": "url = 'mqtt://127.0.0.1:0'",
    "mounted": "url = 'mqtt://127.0.0.1:0'\nmount_point = 'site/'",
    "known": "url = 'mqtt://127.0.0.1:0'\nallow_anonymous = false",
    "proxied": "url = 'mqtt://127.0.0.1:0'\nproxy_protocol = ['127.0.0.1']",
    "forwarded": "url = 'ws://127.0.0.1:0'\ntrusted_proxies = ['127.0.0.1']",
    "paged": "url = 'ws://127.0.0.1:0'\norigins = ['https://app.example']",
    "named": "url = 'ws://127.0.0.1:0'\nhosts = ['mqtt.example']",
    "local": "url = 'unix://{folder}/s'\nmode = 0o600\ngroup = {group}",
    "own": "url = 'mqtt://127.0.0.1:0'\naccess.passwords = 'users'\naccess.rules = 'rules'",
    "tls": (
        "url = 'mqtts://127.0.0.1:0'\n"
        "tls = {{ certificate = 'chain.pem', key = 'key.pem', ca = 'ca.pem',"
        " client_certificates = 'optional', username = 'common-name' }}"
    ),
    "strict": (
        "url = 'mqtts://127.0.0.1:0'\n"
        "tls = {{ certificate = 'chain.pem', key = 'key.pem', ca = 'ca.pem' }}"
    ),
}
# A group that a file does not have by itself, where there is one.
GROUP = next((one for one in os.getgroups() if one != os.getgid()), os.getgid())
WELCOME = b"\x20\x02\x00\x00"  # the CONNACK of MQTT 3.1.1


class Running(NamedTuple):
    broker: Program
    urls: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def running(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("listeners")
    leaf = ca.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "key.pem").chmod(0o600)
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    set_password(folder / "users", "alice", b"hers", create=True)
    (folder / "rules").write_text("user alice\ntopic write hers\n")
    (folder / "rules").chmod(0o600)
    text = "".join(
        f"[[listeners]]\n{one.format(folder=folder, group=GROUP)}\n" for one in LISTENERS.values()
    )
    with broker_of(text, folder) as (broker, urls):
        yield Running(broker, dict(zip(LISTENERS, urls, strict=True)), folder)


@sees("listeners.url", "listeners.mount_point")
def test_who_comes_by_a_mount_point_is_below_it(running: Running) -> None:
    with Wire(running.urls["plain"]) as outside, Wire(running.urls["mounted"]) as inside:
        assert outside.subscribe("site/#") == inside.subscribe("#") == 0
        inside.send(Publish("a"))
        assert outside.expect(Publish).topic == "site/a"
        assert inside.expect(Publish).topic == "a"
        outside.send(Publish("c"), Publish("site/b"))
        assert outside.expect(Publish).topic == "site/b"
        assert inside.expect(Publish).topic == "b"


@sees("listeners.allow_anonymous")
def test_a_listener_lets_nobody_in_without_a_name(running: Running) -> None:
    with Wire(running.urls["known"]) as client:
        assert client.connack.reason_code == ReasonCode.NOT_AUTHORIZED


@sees("listeners.access.passwords", "listeners.access.rules")
def test_a_listener_has_passwords_and_rules_of_its_own(running: Running) -> None:
    with Wire(running.urls["own"], username="alice", password=b"wrong") as client:
        assert client.connack.reason_code == ReasonCode.BAD_USER_NAME_OR_PASSWORD
    with Wire(running.urls["own"], username="alice", password=b"hers") as client:
        assert client.publish("hers") == ReasonCode.NO_MATCHING_SUBSCRIBERS
        assert client.publish("another") == ReasonCode.NOT_AUTHORIZED


# -- through proxies, and from pages --------------------------------------------------------------


@sees("listeners.proxy_protocol")
def test_a_proxy_says_for_whom_it_connects(running: Running) -> None:
    header = b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n"
    with Wire(running.urls["proxied"], "behind", before=header) as client:
        assert client.connack.reason_code == 0
        running.broker.out.expect(r"behind connected from 192\.0\.2\.7:4711")
    with dialled(running.urls["plain"]) as sock:
        sock.sendall(header)
        assert sock.recv(100) == b""


def upgraded(url: str, *headers: str, data: bytes = b"") -> bytes:
    """What a listener answers to an upgrade with these headers, up to its first empty line.

    `data` is sent after it, in one frame; then all that comes is the answer.
    """
    with dialled(url) as sock:
        named = any(one.startswith("Host:") for one in headers)
        request = [
            "GET /mqtt HTTP/1.1",
            *([] if named else [f"Host: {url.split('/')[2]}"]),
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: mqtt",
            *headers,
        ]
        sock.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = sock.recv(65_536)
            assert more, answer
            answer += more
        if data:
            assert answer.startswith(b"HTTP/1.1 101 ")
            sock.sendall(bytes((0x82, 0x80 | len(data), 0, 0, 0, 0)) + data)  # masked by zeros
            answer = b""
            while len(answer) < 6 and (more := sock.recv(100)):
                answer += more
    return answer


@sees("listeners.trusted_proxies")
def test_a_proxy_of_websocket_says_for_whom_it_connects(running: Running) -> None:
    hello = encode(Connect("beyond", protocol_version=V311), V311)
    believed, not_believed = r"192\.0\.2\.8,", r"127\.0\.0\.1:"
    for name, host, address in (
        ("forwarded", "127.0.0.1", believed),
        ("named", "mqtt.example", not_believed),
    ):
        headers = (f"Host: {host}", "X-Forwarded-For: 192.0.2.8")
        answer = upgraded(running.urls[name], *headers, data=hello)
        assert answer.endswith(WELCOME)
        running.broker.out.expect(rf"beyond connected from {address}")


@sees("listeners.origins")
@pytest.mark.parametrize(("origin", "code"), [("app", 101), ("evil", 403)])
def test_pages_that_are_named_may_connect(origin: str, code: int, running: Running) -> None:
    answer = upgraded(running.urls["paged"], f"Origin: https://{origin}.example")
    assert answer.startswith(b"HTTP/1.1 %d " % code)


@sees("listeners.hosts")
@pytest.mark.parametrize(("host", "code"), [("mqtt", 101), ("evil", 403)])
def test_the_broker_is_called_by_its_names(host: str, code: int, running: Running) -> None:
    answer = upgraded(running.urls["named"], f"Host: {host}.example")
    assert answer.startswith(b"HTTP/1.1 %d " % code)


# -- sockets and certificates ---------------------------------------------------------------------


@sees("listeners.mode", "listeners.group")
def test_a_socket_has_its_permissions_and_group(running: Running) -> None:
    found = (running.folder / "s").stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o600, GROUP)
    with Wire(running.urls["local"]) as client:
        assert client.connack.reason_code == 0


def by_tls(running: Running, name: str, ca: trustme.CA, identity: str | None) -> bytes:
    """What the listener of that name answers a CONNECT, by TLS 1.2 with a certificate or none."""
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the handshake itself says what is wrong
    ca.configure_trust(context)
    if identity is not None:
        ca.issue_cert("device@example.org", common_name=identity).configure_cert(context)
    with (
        dialled(running.urls[name]) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
    ):
        sock.settimeout(DEADLINE)
        sock.sendall(encode(Connect("over", protocol_version=V311), V311))
        return sock.recv(100)


@sees("listeners.tls.certificate", "listeners.tls.key", "listeners.tls.ca")
def test_a_client_needs_a_certificate_of_the_authority(running: Running, ca: trustme.CA) -> None:
    assert by_tls(running, "strict", ca, "device-1") == WELCOME
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        by_tls(running, "strict", ca, None)


@sees("listeners.tls.client_certificates", "listeners.tls.username")
def test_a_certificate_may_be_shown_and_names_the_user(running: Running, ca: trustme.CA) -> None:
    assert by_tls(running, "tls", ca, None) == WELCOME
    assert by_tls(running, "tls", ca, "device-2") == WELCOME
    running.broker.out.expect(r"over connected from \S+, MQTT 3\.1\.1, user device-2\n")


@sees("listeners.reuse_port")
def test_two_brokers_share_a_port(tmp_path: Path) -> None:
    text = "[[listeners]]\nurl = 'mqtt://127.0.0.1:{}'\nreuse_port = true\n"
    with broker_of(text.format(0), tmp_path) as (_, (url,)):
        second = tmp_path / "second"
        second.mkdir()
        with broker_of(text.format(url.rpartition(":")[2]), second) as (_, (same,)):
            assert same == url
            with Wire(url) as client:
                assert client.subscribe("a") == 0
