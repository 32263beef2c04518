"""The client's end of TLS: whom it trusts, what it shows, and what it says where that fails."""

from __future__ import annotations

import datetime as dt
import ssl
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute
from cryptography.hazmat.primitives import serialization

from tests.transport.connectors.serving import AUTHORITY, listening, running, server_context
from trio_mqtt import ConnectionFailedError, TlsError, TlsOptions, open_client
from trio_mqtt.transport.connectors.by_url import connector_for
from trio_mqtt.transport.urls import parse_url

pytestmark = pytest.mark.anyio


async def fails(url: str, tls: TlsOptions | ssl.SSLContext | None = None) -> str:
    """The sentence of the TlsError that a client meets at `url`."""
    with pytest.raises(TlsError) as caught:
        async with open_client(url, tls=tls, connect_timeout=60):
            pytest.fail("that is no connection to trust")
    sentence = str(caught.value)
    assert url in sentence
    assert "_ssl.c" not in sentence
    return sentence


async def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    async with running("mqtts", tmp_path) as server:
        sentence = await fails(server.url)
        assert "unknown authority" in sentence
        assert "`ca` of TlsOptions" in sentence


async def test_waiting_for_the_broker_ends_at_a_certificate_that_is_not_trusted(
    tmp_path: Path,
) -> None:
    async with running("mqtts", tmp_path) as server:
        with anyio.fail_after(60), pytest.raises(TlsError, match="unknown authority"):
            async with open_client(server.url, wait_for_broker=True):
                pytest.fail("that is no broker to trust")


async def test_a_certificate_that_signs_itself_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = tmp_path / "own.pem"
    pem.write_bytes(AUTHORITY.private_key_pem.bytes() + AUTHORITY.cert_pem.bytes())
    context.load_cert_chain(pem)
    async with running("mqtts", tmp_path, context) as server:
        assert "self-signed" in await fails(server.url)


async def test_a_certificate_for_another_host_is_refused(
    tls: TlsOptions, ca: Path, tmp_path: Path
) -> None:
    async with running("mqtts", tmp_path, server_context("other.example")) as server:
        sentence = await fails(server.url, tls)
        assert "for another host" in sentence
        assert "'localhost'" in sentence
        assert "for another host" in await fails(server.url.replace("localhost", "127.0.0.1"), tls)
        for options in (
            TlsOptions(ca=ca, server_name="other.example"),
            TlsOptions(verify=False),
        ):
            async with open_client(server.url, tls=options) as client:
                await client.publish("t", qos=1)


async def test_a_certificate_for_an_address_is_found(tls: TlsOptions, tmp_path: Path) -> None:
    async with (
        running("mqtts", tmp_path, server_context("127.0.0.1")) as server,
        open_client(server.url.replace("localhost", "127.0.0.1"), tls=tls) as client,
    ):
        await client.publish("t", qos=1)


async def test_a_certificate_that_has_expired_is_refused(tls: TlsOptions, tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    past = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    AUTHORITY.issue_cert("localhost", not_after=past).configure_cert(context)
    async with running("mqtts", tmp_path, context) as server:
        assert "has expired" in await fails(server.url, tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_where_the_broker_demands_one(
    version: ssl.TLSVersion, tls: TlsOptions, ca: Path, tmp_path: Path
) -> None:
    context = server_context(demanding=True)
    context.maximum_version = version
    mine = AUTHORITY.issue_cert("me@example.org")
    both, key, certificate = (tmp_path / name for name in ("both.pem", "key.pem", "cert.pem"))
    mine.private_key_and_cert_chain_pem.write_to_path(both)
    mine.private_key_pem.write_to_path(key)
    certificate.write_bytes(b"".join(blob.bytes() for blob in mine.cert_chain_pems))
    stranger = tmp_path / "stranger.pem"
    unknown = trustme.CA().issue_cert("me@example.org")
    unknown.private_key_and_cert_chain_pem.write_to_path(stranger)
    async with running("mqtts", tmp_path, context) as server:
        sentence = await fails(server.url, tls)
        assert "demands a certificate of the client" in sentence
        assert "`certificate` and `key`" in sentence
        sentence = await fails(server.url, TlsOptions(ca=ca, certificate=stranger))
        assert "does not accept the client's certificate (" in sentence
        for options in (
            TlsOptions(ca=ca, certificate=both),
            TlsOptions(ca=ca, certificate=str(certificate), key=str(key)),
        ):
            async with open_client(server.url, tls=options) as client:
                await client.publish("t", qos=1)


async def test_a_port_without_tls_is_told(tls: TlsOptions, tmp_path: Path) -> None:
    """Brokers close such a connection; others answer what is no TLS."""

    async def closes(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()

    async def answers(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with suppress(anyio.EndOfStream):  # it depends on the versions how the end is told
                await stream.receive()

    async with listening(closes, "mqtts") as url:
        assert "begins with mqtt://" in await fails(url, tls)
    async with listening(answers, "wss") as url:
        sentence = await fails(f"{url}/mqtt", tls)
        assert "does not speak TLS" in sentence
        assert "ws://" in sentence


async def test_a_version_of_tls_that_is_too_old_is_told(tls: TlsOptions, tmp_path: Path) -> None:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running("mqtts", tmp_path, context) as server:
        newest = ssl.create_default_context(cafile=tls.ca)
        newest.minimum_version = ssl.TLSVersion.TLSv1_3
        assert "no version of TLS" in await fails(server.url, newest)


async def test_a_name_that_no_certificate_can_bear_is_told(tmp_path: Path) -> None:
    async with running("mqtts", tmp_path) as server:
        with pytest.raises(TlsError, match=r"No certificate can be for the name '\.\.'"):
            async with open_client(server.url, tls=TlsOptions(server_name="..")):
                pytest.fail("that is no name")


async def test_files_that_are_no_certificates_are_told(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    own = tmp_path / "own.pem"
    mine = AUTHORITY.issue_cert("me@example.org")
    own.write_bytes(mine.cert_chain_pems[0].bytes())
    for options, words in [
        (TlsOptions(ca=tmp_path / "missing.pem"), r"missing\.pem.*no such file"),
        (TlsOptions(ca=nothing), r"nothing\.pem"),
        (TlsOptions(certificate=tmp_path / "missing.pem"), r"missing\.pem.*no such file"),
        (TlsOptions(certificate=own), r"own\.pem.*private key"),
    ]:
        with pytest.raises(TlsError, match=words):
            async with open_client("mqtts://localhost:1", tls=options):
                pytest.fail("there is no such file")


async def test_an_encrypted_key_wants_its_password(tmp_path: Path, ca: Path) -> None:
    mine = AUTHORITY.issue_cert("me@example.org")
    key = serialization.load_pem_private_key(mine.private_key_pem.bytes(), None)
    pem = tmp_path / "own.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        + mine.cert_chain_pems[0].bytes()
    )
    with pytest.raises(TlsError, match="is encrypted: give key_password"):
        connector_for(parse_url("mqtts://h"), TlsOptions(certificate=pem))
    with pytest.raises(TlsError, match="the right password"):
        connector_for(parse_url("mqtts://h"), TlsOptions(certificate=pem, key_password="wrong"))
    async with running("mqtts", tmp_path, server_context(demanding=True)) as server:
        tls = TlsOptions(ca=ca, certificate=pem, key_password="secret")
        async with open_client(server.url, tls=tls) as client:
            await client.publish("t", qos=1)


async def test_application_protocols_are_offered(ca: Path, tmp_path: Path) -> None:
    context = server_context()
    seen: list[str | None] = []

    async def look(stream: ByteStream) -> None:
        async with stream:
            seen.append(stream.extra(TLSAttribute.alpn_protocol))  # noqa: S610 # not Django

    context.set_alpn_protocols(["mqtt"])
    async with listening(look, "mqtts", context) as url:
        with pytest.raises(ConnectionFailedError):
            async with open_client(url, tls=TlsOptions(ca=ca, alpn=("mqtt",))):
                pytest.fail("it closes the connection")
    assert seen[0] == "mqtt"
