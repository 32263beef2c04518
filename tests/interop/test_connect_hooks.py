"""MQTT.js and a program's hooks about how it connects: headers, identifier, keep alive."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

from anyio.from_thread import BlockingPortal

import trio_mqtt
from trio_mqtt.access import (
    AccessHooks,
    Authenticated,
    AuthenticationRefused,
    ClientInfo,
    ConnectRequest,
)

from .node import PACKAGES, node_command
from .peers import DEADLINE

SCRIPT = """
    const [url, cookie] = process.argv.slice(1);
    const { default: mqtt } = await import("mqtt");
    const client = mqtt.connect(url, {
      protocolVersion: 5, clientId: "", keepalive: 60, reconnectPeriod: 0,
      wsOptions: { headers: { Cookie: `session=${cookie}`, "X-Device": "lamp" } },
    });
    client.on("error", (error) => { console.log(JSON.stringify(error.code)); process.exit(0); });
    client.on("connect", ({ properties }) => {
      const told = [properties.assignedClientIdentifier, properties.serverKeepAlive];
      client.end(true, () => { console.log(JSON.stringify(told)); process.exit(0); });
    });
"""


class Site(AccessHooks):
    """Knows its users by a cookie; a device's identifier is in a header of its own."""

    async def authenticate(
        self, client: ClientInfo, password: bytes | None
    ) -> Authenticated | AuthenticationRefused:
        if client.upgrade is None or client.upgrade.cookies.get("session") != "right":
            return AuthenticationRefused(reason="log in first")
        return Authenticated(username=client.upgrade.path.removeprefix("/"))

    async def authorize_connect(
        self, client: ClientInfo, request: ConnectRequest
    ) -> ConnectRequest:
        device = client.upgrade and client.upgrade.header("X-Device")
        return replace(request, client_id=f"{client.username}-{device}", keep_alive=20)


def test_mqttjs_is_known_by_headers_and_told_its_identifier_and_keep_alive(
    trio_portal: BlockingPortal,
) -> None:
    security = trio_mqtt.Security(hooks=Site())
    opening = trio_mqtt.open_broker("ws://127.0.0.1:0/*", security=security)
    with trio_portal.wrap_async_context_manager(opening) as broker:
        url = broker.url.replace("/*", "/alice")
        node = [node_command("clients.mjs")[0], "--input-type=module", "-e", SCRIPT]

        def told(cookie: str) -> object:
            done = subprocess.run(
                [*node, url, cookie],
                cwd=PACKAGES.parent,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=True,
            )
            return json.loads(done.stdout)

        assert told("wrong") == 0x87
        assert told("right") == ["alice-lamp", 20]
