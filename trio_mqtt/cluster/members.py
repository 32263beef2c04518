"""The nodes of a cluster as others see them, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trio_mqtt.cluster.engine.calls import Call, answered
from trio_mqtt.records import record

if TYPE_CHECKING:
    from trio_mqtt.cluster.engine.engine import Engine


@record
class Member:
    """A node as others see it. `since` and `lease_end` are seconds of the engine's clock."""

    node: str
    name: str
    server_reference: str
    version: str
    since: float
    lease_end: float
    figures: Mapping[str, str]


def number_in(figures: Mapping[str, str], name: str) -> float:
    """A figure of a node; 0 where it says none, or something else than a number."""
    try:
        return float(figures.get(name, 0))
    except ValueError:
        return 0.0


async def read_members(engine: Engine) -> list[Member]:
    """All nodes that are alive, by name.

    Raises EngineGoneError and EngineRefusedError.
    """
    keys = engine.keys
    flat, (seconds, _) = answered(
        await engine.all(
            [
                Call("ZRANGE", keys.nodes, 0, -1, "WITHSCORES"),
                Call("TIME", key=keys.nodes),
            ]
        )
    )
    alive = {node.decode(): end for node, end in flat if end / 1000 >= int(seconds)}
    hashes = answered(
        await engine.all([Call("HGETALL", keys.of_node(node, "node")) for node in alive])
    )
    members = []
    for (node, end), found in zip(alive.items(), hashes, strict=True):
        words = {
            key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in found.items()
        }
        members.append(
            Member(
                node=node,
                name=words.pop("name", node),
                server_reference=words.pop("reference", ""),
                version=words.pop("version", ""),
                since=number_in(words, "since") / 1000,
                lease_end=end / 1000,
                figures={name: text for name, text in words.items() if name != "since"},
            )
        )
    return sorted(members, key=lambda member: (member.name, member.since))
