"""The inside of a broker, for tests of what no program sees."""

from __future__ import annotations

from collections.abc import Coroutine

import trio

from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.connections.connection import Connection
from trio_mqtt.broker.connections.link import Link
from trio_mqtt.broker.connections.registry import Connections
from trio_mqtt.broker.core import Core
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.listen import Listen
from trio_mqtt.broker.listeners import Listeners
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.settings import Settings
from trio_mqtt.transport.listeners.streams import ByteStream, TrioStream


class IdleCore(Core):
    """A core for which no task runs, and so no journal."""


def idle_broker(limits: Limits | None = None) -> Broker:
    """A broker without tasks and listeners: nothing happens but what a test makes happen."""
    core = IdleCore(limits or Limits())
    return Broker(core, Listeners(core, Connections(core)))


def core_of(broker: Broker) -> Core:
    """What all connections of a broker share."""
    return broker._core


def links_of(broker: Broker) -> list[Link]:
    """The connections that a broker has now."""
    return broker._listeners.connections.all()


def sessions_of(broker: Broker) -> dict[str, Session]:
    """The sessions that a broker has, by client identifier."""
    return broker._core.sessions._sessions


def has_filters(broker: Broker) -> bool:
    """Whether anything is left in the broker's tree of topic filters."""
    return bool(broker._core.router.index._tree.root.children)


def serve_stream(broker: Broker, stream: ByteStream) -> Coroutine[None, None, None]:
    """Serve one client on a stream as a listener has them, with the origin that it tells."""
    core = broker._core
    return Connection(core, core.settings, broker._listeners.connections, stream).run()


async def mounted_stream(broker: Broker, stream: trio.abc.Stream, mount_point: str) -> None:
    """Serve one client on a stream as a listener with a mount point has them."""
    core = broker._core
    listen = Listen("mqtt://127.0.0.1:0", mount_point=mount_point)
    settings = Settings(core.settings.limits, core.settings.options, core.access, listen)
    connections = broker._listeners.connections
    await Connection(core, settings, connections, TrioStream(stream, "mounted")).run()
