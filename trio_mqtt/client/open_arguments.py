"""The keyword arguments of `open_client`, with their types, for all that open a client by it.

What they mean stands there. Nothing is loaded for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from trio_mqtt.client.authentication import ClientAuthentication
    from trio_mqtt.client.client import Client
    from trio_mqtt.client.connection.backoff import Backoff
    from trio_mqtt.client.connection.transformation import Transform
    from trio_mqtt.client.events import ConnectionEvent
    from trio_mqtt.client.packets import PacketEvent
    from trio_mqtt.protocol.packet_types import ProtocolVersion
    from trio_mqtt.protocol.packets import Will
    from trio_mqtt.protocol.properties import Properties
    from trio_mqtt.transport.connectors.by_url import Connector
    from trio_mqtt.transport.connectors.tls_options import TlsOptions


class ConnectionArguments(TypedDict, total=False):
    """Those that say how one connection is made, and as whom."""

    client_id: str
    username: str | None
    password: str | bytes | None
    protocol_version: ProtocolVersion | int | None
    keep_alive: int
    will: Will | None
    connect_timeout: float
    on_packet: Callable[[PacketEvent], None] | None
    connector: Connector | None
    authentication: ClientAuthentication | None
    tls: ssl.SSLContext | TlsOptions | None
    websocket_headers: Mapping[str, str] | Iterable[tuple[str, str]]
    follow_redirection: bool
    proxy: str | bool
    bind_address: str | None
    transform: Transform | None


class ClientArguments(ConnectionArguments, total=False):
    """All of them: also what is of use to a client that stays."""

    clean_start: bool | None
    session_expiry_interval: int | None
    reconnect: bool | Backoff
    wait_for_broker: bool
    properties: Properties | None
    on_event: Callable[[ConnectionEvent], None] | None
    on_connect: Callable[[Client], Awaitable[object] | None] | None
    filters_per_packet: int
    topic_aliases: bool | int
    store: str | os.PathLike[str] | None
