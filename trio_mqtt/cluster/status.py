"""How a cluster fares, as its engine knows it: told to who asks, without being a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trio_mqtt.cluster.engine.calls import Call, answered
from trio_mqtt.cluster.members import Member, number_in, read_members
from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine


@record
class NodeStatus:
    """One node of a cluster. What it has not said of itself is None."""

    node: str
    """Its identifier: each process has another."""
    name: str
    """What people call it."""
    server_reference: str
    """How clients reach it, if it says so."""
    version: str
    """Of trio-mqtt."""
    up: float
    """Seconds since it has joined."""
    clients: int | None
    """Clients that are connected to it."""
    sessions: int | None
    """Sessions that it has in its memory: of clients that are connected, or have just gone."""
    received: float | None
    """PUBLISH packets a second that its clients send."""
    sent: float | None
    """PUBLISH packets a second that its clients are sent."""
    lag: float | None
    """Seconds that what others had for it waited in its inbox lately."""
    inbox: int
    """Entries of its inbox, those included whose place it has not given back yet."""
    state: str
    """`serving`, or what else it does."""


@record
class ClusterStatus:
    """A cluster at one moment."""

    name: str
    engine: str
    """Where its engine is, without passwords."""
    nodes: Sequence[NodeStatus]
    """All nodes that are alive, by name."""
    sessions_away: int
    """Sessions whose clients are not connected: they lie in the engine alone."""
    durable_filters: int
    """Topic filters for whose sessions messages are kept."""
    retained: int
    """Retained messages."""


async def read_status(engine: Engine) -> ClusterStatus:
    """How the cluster of this engine fares now.

    Raises EngineGoneError and EngineRefusedError.
    """
    keys = engine.keys
    members = await read_members(engine)
    counted = answered(
        await engine.all(
            [
                Call("TIME", key=keys.nodes),
                Call("ZCARD", keys.shared("due")),
                Call("HLEN", keys.durable),
                Call("HLEN", keys.retained),
                *(Call("XLEN", keys.inbox(member.node)) for member in members),
            ]
        )
    )
    (seconds, _), away, filters, retained, *inboxes = counted
    nodes = [
        _node(member, inbox, int(seconds)) for member, inbox in zip(members, inboxes, strict=True)
    ]
    return ClusterStatus(engine.settings.name, engine.shown, nodes, away, filters, retained)


def _node(member: Member, inbox: int, now: int) -> NodeStatus:
    def figure(name: str) -> float | None:
        return number_in(member.figures, name) if name in member.figures else None

    def count(name: str) -> int | None:
        number = figure(name)
        return None if number is None else int(number)

    return NodeStatus(
        node=member.node,
        name=member.name,
        server_reference=member.server_reference,
        version=member.version,
        up=max(now - member.since, 0.0),
        clients=count("clients"),
        sessions=count("sessions"),
        received=figure("received"),
        sent=figure("sent"),
        lag=figure("lag"),
        inbox=inbox,
        state=member.figures.get("state", "serving"),
    )
