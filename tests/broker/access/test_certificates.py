"""What a client's certificate says of it, once its listener has let it in by that."""

from __future__ import annotations

from typing import Literal

import pytest
import trio
import trio.testing

from tests.broker.raw import Raw
from tests.inside import serve_stream
from trio_mqtt import Security
from trio_mqtt.access import AccessHooks, Authenticated, ClientInfo
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import open_memory_broker
from trio_mqtt.transport.listeners.options import Endpoint, ServerTls
from trio_mqtt.transport.listeners.origin import ClientCertificate, Origin
from trio_mqtt.transport.listeners.streams import TrioStream

pytestmark = pytest.mark.trio  # in real time: passwords are checked in threads

CERTIFICATE = ClientCertificate("sensor", "CN=sensor,O=Example", "1", 2e9)
Kind = Literal["common-name", "subject"]


class Shown(AccessHooks):
    """Remembers who came."""

    def __init__(self) -> None:
        self.clients: list[ClientInfo] = []

    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        self.clients.append(client)
        return Authenticated()


class NoPassword:
    """Knows no user."""

    def verify(self, username: str, password: bytes | None) -> bool:
        return False

    def entry(self, username: str) -> object | None:
        return None


async def said(
    security: Security, certificate: ClientCertificate | None, username: Kind | None
) -> ReasonCode:
    """The code of the answer to a client that shows a certificate, or none."""
    return (await answered(security, certificate, username)).reason_code


async def answered(
    security: Security,
    certificate: ClientCertificate | None,
    username: Kind | None = None,
    connect: Connect | None = None,
    scheme: str = "mqtts",
) -> ConnAck:
    """The answer to a client that shows a certificate, or none, and calls itself root."""
    tls = ServerTls("server.pem", ca="ca.pem", client_certificates="optional", username=username)
    listen = Endpoint(f"{scheme}://0.0.0.0:8883", tls=tls)
    async with open_memory_broker(security=security) as memory, trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        stream = TrioStream(theirs, "far away")
        stream.origin = Origin(listen, "far away", certificate, is_encrypted=True)
        nursery.start_soon(serve_stream, memory.broker, stream)
        client = Raw(ours)
        await client.send(connect or Connect("c", username="root"))
        answer = await client.expect(ConnAck)
        await ours.aclose()
        return answer


@pytest.mark.parametrize(
    ("kind", "name"), [("common-name", "sensor"), ("subject", "CN=sensor,O=Example")]
)
async def test_a_certificate_names_its_client_whatever_that_calls_itself(
    kind: Kind, name: str
) -> None:
    hooks = Shown()
    security = Security(passwords=NoPassword(), hooks=hooks)
    assert await said(security, CERTIFICATE, kind) == ReasonCode.SUCCESS
    (client,) = hooks.clients
    assert (client.username, client.authenticated) == (name, True)
    assert (client.listener, client.address) == ("mqtts://0.0.0.0:8883", "far away")
    assert client.certificate_name == "sensor"
    assert client.certificate_subject == "CN=sensor,O=Example"


async def test_a_certificate_that_names_nobody_leaves_the_password_to_decide() -> None:
    nameless = ClientCertificate(None, "O=Example", "1", 2e9)
    wrong = ReasonCode.BAD_USER_NAME_OR_PASSWORD
    assert await said(Security(passwords=NoPassword()), nameless, "common-name") == wrong
    assert await said(Security(passwords=NoPassword()), CERTIFICATE, None) == wrong


async def test_where_nothing_else_is_asked_a_certificate_is_enough_and_needed() -> None:
    assert await said(Security(), CERTIFICATE, None) == ReasonCode.SUCCESS
    assert await said(Security(), None, None) == ReasonCode.NOT_AUTHORIZED
    refusing = Security(allow_anonymous=False)
    assert await said(refusing, CERTIFICATE, "common-name") == ReasonCode.SUCCESS
    assert await said(Security(allow_anonymous=True), None, None) == ReasonCode.SUCCESS


@pytest.mark.parametrize("connect", [Connect("c"), Connect("c", username="root", password=b"x")])
async def test_who_shows_nothing_is_told_what_is_asked_for(connect: Connect) -> None:
    answer = await answered(Security(), None, connect=connect, scheme="any")
    assert answer.reason_code == ReasonCode.NOT_AUTHORIZED
    certificate = "this broker asks for a client certificate, over TLS"
    assert answer.properties["reason_string"] == certificate
    both = await answered(Security(passwords=NoPassword()), None, connect=Connect("c"))
    expected = f"{certificate}, or for a user name and a password"
    assert both.properties["reason_string"] == expected
