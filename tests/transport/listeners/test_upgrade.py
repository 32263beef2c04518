"""The request by which a WebSocket began, as hooks and rules see it."""

from __future__ import annotations

import trio_mqtt
from tests.transport.dialing import dial, dial_websocket, greet, request
from trio_mqtt import Listen
from trio_mqtt.access import (
    AccessHooks,
    AccessRefused,
    Authenticated,
    ClientInfo,
    ConnectionInfo,
    Upgrade,
)


def test_a_request_is_taken_apart() -> None:
    upgrade = Upgrade(
        b"GET /a%20b?token=x?y HTTP/1.1\r\nHost: h\r\nX-One: 1\r\n more \r\nx-one:2\r\n"
        b'Cookie: a=1; b="two words"; c="; a=again\r\nCookie: d=x=y; e; f=\r\nX-Name: caf\xe9'
    )
    assert (upgrade.path, upgrade.query) == ("/a%20b", "token=x?y")
    assert upgrade.headers[:3] == (("host", "h"), ("x-one", "1 more"), ("x-one", "2"))
    assert (upgrade.header("X-ONE"), upgrade.header("x-name")) == ("1 more, 2", "caf\xe9")
    assert upgrade.header("x") is None
    assert upgrade.cookies == {"a": "1", "b": "two words", "c": '"', "d": "x=y", "f": ""}
    assert repr(upgrade) == "<Upgrade at '/a%20b'>"  # no token, no cookie


class Hooks(AccessHooks):
    """Lets in by a cookie; serves one path."""

    def __init__(self) -> None:
        self.clients: list[ClientInfo] = []

    async def accept(self, connection: ConnectionInfo) -> AccessRefused | None:
        if connection.upgrade is not None and connection.upgrade.path == "/closed":
            return AccessRefused(reason="closed")
        return None

    async def authenticate(self, client: ClientInfo, password: bytes | None) -> Authenticated:
        self.clients.append(client)
        return Authenticated()


async def test_hooks_see_the_request_also_behind_a_proxy_and_nothing_where_there_is_none() -> None:
    hooks = Hooks()
    async with trio_mqtt.open_broker(
        Listen("ws://127.0.0.1:0/*", trusted_proxies=("127.0.0.1",)),
        "mqtt://127.0.0.1:0",
        security=trio_mqtt.Security(hooks=hooks),
    ) as broker:
        asked = request("/open?who=me", Cookie="session=1", X_Forwarded_For="192.0.2.1")
        websocket = await dial_websocket(await dial(broker.url), asked)
        await greet(websocket)
        await websocket.aclose()
        plain = await dial(broker.urls[1])
        await greet(plain)
        await plain.aclose()
        closed = await dial_websocket(await dial(broker.url), request("/closed"))
        assert await closed.receive_some() == b""
        await closed.aclose()
    by_web, by_tcp = hooks.clients
    assert by_web.upgrade is not None
    assert (by_web.upgrade.path, by_web.upgrade.query) == ("/open", "who=me")
    assert (by_web.upgrade.cookies, by_web.address) == ({"session": "1"}, "192.0.2.1")
    assert by_tcp.upgrade is None
