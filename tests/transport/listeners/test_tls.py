"""TLS at the broker's end: who gets in, with which certificate, and who costs only itself."""

from __future__ import annotations

import os
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

import trio_mqtt
from tests.broker.raw import Raw
from tests.inside import links_of
from tests.transport.dialing import (
    Certificates,
    dial,
    dial_tls,
    dial_websocket,
    exchange,
    gone,
    greet,
    until_end,
)
from trio_mqtt import Broker, ConfigurationError, Limits, Listen, Origin, ServerTls
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Connect, Publish

LOCAL = "mqtts://127.0.0.1:0"
SOON = Limits(connect_timeout=0.3)


@asynccontextmanager
async def broker_with(
    tls: ServerTls, url: str = LOCAL, limits: Limits | None = None
) -> AsyncIterator[Broker]:
    async with trio_mqtt.open_broker(Listen(url, tls=tls), limits=limits) as broker:
        yield broker


async def origin_of(broker: Broker, client: Raw) -> Origin:
    await client.ping()
    (connection,) = links_of(broker)
    return connection.stream.origin


async def test_a_client_without_tls_is_asked_whether_it_should_have_it(
    certificates: Certificates,
) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        url = broker.url.replace("mqtts://", "mqtt://")
        with pytest.raises(trio_mqtt.ConnectionFailedError, match=r"TLS there \(mqtts://\)"):
            async with trio_mqtt.open_client(url):
                pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_messages_go_through_tls_both_ways(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        context = certificates.trusting()
        context.minimum_version = context.maximum_version = version
        client = await greet(await dial_tls(broker.url, context))
        await exchange(client, "t")
        origin = await origin_of(broker, client)
        assert origin.is_encrypted
        assert origin.certificate is None
        assert origin.listener == broker.listeners[0]
        await client.stream.aclose()
        await gone(broker)


async def test_tls_older_than_1_2_is_refused(certificates: Certificates) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        context = certificates.trusting()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        stream = await dial_tls(broker.url, context)
        with pytest.raises(trio.BrokenResourceError):
            await greet(stream)
        await trio.aclose_forcefully(stream)
        await gone(broker)


async def test_a_slow_reader_gets_everything_in_order(certificates: Certificates) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        slow = await greet(await dial_tls(broker.url, certificates.trusting()), "slow")
        fast = await greet(await dial_tls(broker.url, certificates.trusting()), "fast")
        await slow.subscribe("t")
        for number in range(60):
            await fast.publish("t", b"%03d" % number * 40_000)
        await fast.ping()
        for number in range(60):
            await slow.expect_message("t", b"%03d" % number * 40_000)
        await slow.ping()
        for client in (slow, fast):
            await client.stream.aclose()


async def test_connect_right_behind_the_handshake_is_read(certificates: Certificates) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        # By hand: the last words of the handshake and CONNECT leave in one write.
        stream = await dial(broker.url)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certificates.trusting().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    await stream.send_all(outgoing.read())
                incoming.write(bytes(await stream.receive_some(65_536)))
        tls.write(encode(Connect("c", protocol_version=ProtocolVersion.V311), ProtocolVersion.V311))
        await stream.send_all(outgoing.read())
        answer = b""
        with trio.fail_after(60):
            while not answer:
                incoming.write(bytes(await stream.receive_some(65_536)))
                try:
                    answer = tls.read(100)
                except ssl.SSLWantReadError:
                    continue
        assert answer == b"\x20\x02\x00\x00"
        await stream.aclose()


@pytest.mark.parametrize("scheme", ["mqtts", "wss", "any"])
@pytest.mark.parametrize("ask", ["required", "optional", "none"])
@pytest.mark.parametrize("shown", ["ours", "foreign", "expired", "nothing"])
async def test_client_certificates_count_as_the_listener_says(
    certificates: Certificates, scheme: str, ask: str, shown: str
) -> None:
    tls = ServerTls(
        certificates.server(),
        ca=certificates.ca_file,
        client_certificates=ask,  # type: ignore[arg-type]  # one of the three
    )
    client_file = {
        "ours": certificates.client(),
        "foreign": certificates.client(ours=False),
        "expired": certificates.client(expired=True),
        "nothing": None,
    }[shown]
    welcome = ask == "none" or shown == "ours" or (shown == "nothing" and ask == "optional")
    async with broker_with(tls, f"{scheme}://127.0.0.1:0") as broker:
        stream = await dial_tls(broker.url, certificates.trusting(client_file))
        if not welcome:
            with pytest.raises((trio.BrokenResourceError, AssertionError)):
                await greet(await dial_websocket(stream) if scheme == "wss" else stream)
            await trio.aclose_forcefully(stream)
            await gone(broker)
            return
        if scheme == "wss":
            stream = await dial_websocket(stream)
        client = await greet(stream)
        certificate = (await origin_of(broker, client)).certificate
        if shown == "ours" and ask != "none":
            assert certificate is not None
            assert certificate.common_name == "sensor"
        else:
            assert certificate is None
        await stream.aclose()


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (None, "sensor", None),
        ("common-name", "sensor", "sensor"),
        ("common-name", None, None),
        ("subject", "a+b", "CN=a\\+b,O=Example\\, Inc."),
    ],
)
async def test_the_certificate_gives_the_user_name(
    certificates: Certificates, kind: str | None, name: str | None, expected: str | None
) -> None:
    tls = ServerTls(certificates.server(), ca=certificates.ca_file)
    tls = replace(tls, username=kind)  # type: ignore[arg-type]  # one of the two
    async with broker_with(tls) as broker:
        context = certificates.trusting(certificates.client(name))
        stream = await dial_tls(broker.url, context)
        client = Raw(stream)
        if kind == "subject":
            await client.connect()
            origin = await origin_of(broker, client)
            subject = origin.username or ""
            assert subject.startswith("CN=a\\+b,")
            assert "O=Example\\, Inc." in subject
        elif name is not None:
            await client.connect()
            assert (await origin_of(broker, client)).username == expected
        await stream.aclose()


async def test_new_certificates_are_shown_to_new_clients_and_nobody_is_dropped(
    certificates: Certificates, tmp_path: Path
) -> None:
    file = tmp_path / "server.pem"
    certificates.server(into=file)
    async with broker_with(ServerTls(file)) as broker:
        before = await greet(await dial_tls(broker.url, certificates.trusting()), "before")
        certificates.server("renewed.example", into=file)
        await broker.reload()
        after = await greet(await dial_tls(broker.url, certificates.trusting()), "after")
        assert isinstance(after.stream, trio.SSLStream)
        names = after.stream.getpeercert()["subjectAltName"]
        assert ("DNS", "renewed.example") in names
        await exchange(before, "t")
        for client in (before, after):
            await client.stream.aclose()


async def test_a_reload_that_fails_changes_nothing(
    certificates: Certificates, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    for file in (first, second):
        certificates.server(into=file)
    async with trio_mqtt.open_broker(
        Listen(LOCAL, tls=ServerTls(first)), Listen(LOCAL, tls=ServerTls(second))
    ) as broker:
        certificates.server("renewed.example", into=first)
        certificates.server(expired=True, into=second)
        with pytest.raises(ConfigurationError, match=r"second\.pem of mqtts://\S+ has expired"):
            await broker.reload()
        for url in broker.urls:
            client = await greet(await dial_tls(url, certificates.trusting()), url)
            assert isinstance(client.stream, trio.SSLStream)
            assert ("DNS", "localhost") in client.stream.getpeercert()["subjectAltName"]
            await client.stream.aclose()


# -- who costs only itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        encode(Connect("c"), ProtocolVersion.V5),
        b"GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"x" * 0xFFFF,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        os.urandom(1000),
    ],
    ids=["mqtt", "http", "long", "short", "noise"],
)
async def test_what_is_no_tls_is_closed_and_others_are_served(
    certificates: Certificates, words: bytes
) -> None:
    async with broker_with(ServerTls(certificates.server()), limits=SOON) as broker:
        other = await greet(await dial_tls(broker.url, certificates.trusting()), "other")
        stream = await dial(broker.url)
        await stream.send_all(words)
        await until_end(stream)
        await other.ping()
        await stream.aclose()
        await other.stream.aclose()


@pytest.mark.parametrize("sent", [0, 1, 5, 100])
async def test_a_handshake_that_is_never_finished_is_ended_in_time(
    certificates: Certificates, sent: int
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certificates.trusting().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    async with broker_with(ServerTls(certificates.server()), limits=SOON) as broker:
        stream = await dial(broker.url)
        await stream.send_all(hello[:sent])
        assert await until_end(stream) == b""
        await stream.aclose()
        await gone(broker)


async def test_silence_after_the_handshake_is_ended_in_time(certificates: Certificates) -> None:
    async with broker_with(ServerTls(certificates.server()), limits=SOON) as broker:
        stream = await dial_tls(broker.url, certificates.trusting())
        assert isinstance(stream, trio.SSLStream)
        await stream.do_handshake()
        assert await until_end(stream) == b""
        await stream.aclose()


async def test_a_connection_cut_in_the_middle_of_a_record_ends_only_itself(
    certificates: Certificates,
) -> None:
    async with broker_with(ServerTls(certificates.server())) as broker:
        other = await greet(await dial_tls(broker.url, certificates.trusting()), "other")
        stream = await dial_tls(broker.url, certificates.trusting())
        client = await greet(stream)
        assert isinstance(stream, trio.SSLStream)
        await client.send(Publish("t", b"x" * 1000))
        await stream.transport_stream.send_all(b"\x17\x03\x03\x40\x00" + b"x" * 100)
        await stream.transport_stream.aclose()
        await other.ping()
        await other.stream.aclose()
        await gone(broker)


@pytest.mark.parametrize("hello", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/"])
async def test_a_tls_hello_or_http_on_the_plain_port_is_closed_at_once(hello: bytes) -> None:
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        stream = await dial(broker.url)
        await stream.send_all(hello + b"x" * 500)
        assert await until_end(stream) == b""
        await stream.aclose()


# -- files that cannot be used --------------------------------------------------------------------


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


async def refused(tls: ServerTls | None, url: str = LOCAL) -> str:
    with pytest.raises(ConfigurationError) as caught:
        async with trio_mqtt.open_broker(Listen(url, tls=tls)):
            pass
    return str(caught.value)


async def test_files_that_cannot_be_used_are_named(
    certificates: Certificates, tmp_path: Path
) -> None:
    good = certificates.server()
    good_text = "".join(reversed(certificates.parts(good)))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    for file, text in zip((key, certificate), certificates.parts(good), strict=True):
        file.write_text(text)
    damaged = tmp_path / "damaged.pem"
    damaged.write_text(good_text.replace("M", "N", 20))
    empty = tmp_path / "empty.pem"
    empty.touch()
    missing = tmp_path / "missing.pem"
    other_key = tmp_path / "other.pem"
    certificates.server(into=other_key)

    assert "missing.pem, the certificate of mqtts://" in await refused(ServerTls(missing))
    assert "no such file" in await refused(ServerTls(missing))
    assert "missing.pem, the key of" in await refused(ServerTls(certificate, missing))
    assert "a directory" in await refused(ServerTls(tmp_path))
    assert "empty.pem, the certificate of" in await refused(ServerTls(empty))
    assert "certificate.pem holds no private key" in await refused(ServerTls(certificate))
    assert "damaged.pem" in await refused(ServerTls(damaged))
    assert "other.pem does not belong to the certificate in" in await refused(
        ServerTls(certificate, other_key)
    )
    assert "has expired" in await refused(ServerTls(certificates.server(expired=True)))
    assert "missing.pem, the authorities of" in await refused(ServerTls(good, ca=missing))
    assert "empty.pem, the authorities of" in await refused(ServerTls(good, ca=empty))
    assert "name its certificate (ca)" in await refused(
        ServerTls(good, client_certificates="required")
    )
    assert "none are asked for" in await refused(
        ServerTls(good, ca=certificates.ca_file, client_certificates="none", username="subject")
    )
    assert "needs a certificate" in await refused(None)
    assert "is without TLS" in await refused(ServerTls(good), "mqtt://127.0.0.1:0")
    assert "wss://" in await refused(ServerTls(good), "ws://127.0.0.1:0")
    async with broker_with(ServerTls(certificate, key)) as broker:
        client = await greet(await dial_tls(broker.url, certificates.trusting()))
        await client.stream.aclose()


async def test_a_key_with_a_passphrase_is_explained(
    certificates: Certificates, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.pem"
    good = certificates.server()
    _openssl("pkey", "-in", good, "-aes128", "-passout", "pass:x", "-out", str(locked))
    assert "locked.pem is protected by a passphrase" in await refused(ServerTls(good, locked))


async def test_a_file_that_may_not_be_read_is_named(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    file = certificates.server()
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert "cannot be read (permission denied)" in await refused(ServerTls(file))
