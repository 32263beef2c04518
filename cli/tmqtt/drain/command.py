"""`tmqtt drain`: ask a node to give up its clients, and wait until they have gone."""

from __future__ import annotations

import trio

import trio_mqtt
from tmqtt.terminal.error_groups import first_of
from tmqtt.terminal.figures import counted
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from tmqtt.terminal.terminal import Terminal
from trio_mqtt.administration import ClusterAdministration, NodeStatus, administer

_LOOK = 0.5  # seconds between two looks: a node says anew how it fares when it renews its lease


async def drain_node(
    cluster: trio_mqtt.Cluster, terminal: Terminal, name: str, to: str, *, patience: float
) -> None:
    """Ask all nodes of that name; `patience` in seconds. Raises CommandError."""
    failure: BaseException | None = None
    try:
        async with administer(cluster) as administration:
            nodes = await _nodes_of(administration, name)
            for node in nodes:
                await administration.drain(node.node, to)
            left = nodes
            with trio.move_on_after(patience):
                while left := await _with_clients(administration, nodes):
                    terminal.pass_by(_what_is_left(left, name))
                    await trio.sleep(_LOOK)
            if left and not _clients(left):
                raise CommandError(
                    f"{name} has not said within {patience:g} s that it gives up its clients.",
                    code=TIMED_OUT,
                )
            if left:
                raise CommandError(
                    f"{counted(_clients(left), 'client')} still on {name} after {patience:g} s."
                    " The node goes on giving them up.",
                    code=TIMED_OUT,
                )
            terminal.say(f"{name} has no clients any more. It takes none until it is started anew.")
    except* (trio_mqtt.MqttError, CommandError) as group:
        failure = first_of(group)
    if failure is not None:
        raise failure  # by itself, not in the nursery's group


async def _nodes_of(administration: ClusterAdministration, name: str) -> list[NodeStatus]:
    """The nodes of a name, or the one of an identifier. Raises CommandError."""
    status = await administration.status()
    found = [node for node in status.nodes if name in (node.name, node.node)]
    if not found:
        known = ", ".join(dict.fromkeys(node.name for node in status.nodes)) or "none"
        raise CommandError(f"No node {name!r} is alive in the cluster {status.name}: {known}.")
    return found


async def _with_clients(
    administration: ClusterAdministration, asked: list[NodeStatus]
) -> list[NodeStatus]:
    """Those that were asked, are alive, and have not given up all clients yet."""
    identifiers = {node.node for node in asked}
    status = await administration.status()
    return [
        node
        for node in status.nodes
        if node.node in identifiers and (node.clients != 0 or node.state != "draining")
    ]


def _what_is_left(nodes: list[NodeStatus], name: str) -> str:
    """A node says anew how it fares when it renews its lease: it may be told and not say so yet."""
    number = _clients(nodes)
    return f"{counted(number, 'client')} left on {name}." if number else f"Waiting for {name}."


def _clients(nodes: list[NodeStatus]) -> int:
    return sum(node.clients or 0 for node in nodes)
