"""How far sessions are, as the engine says it."""

from __future__ import annotations

from tests.cluster.redis import RedisServer
from trio_mqtt import Cluster
from trio_mqtt.cluster.positions import EntryId, Position, entry_id


def _bulk(reply: bytes) -> bytes:
    """What is in an answer; nothing where there is none."""
    head, _, rest = reply.partition(b"\r\n")
    return b"" if head.startswith(b"$-1") else rest.removesuffix(b"\r\n")


def last_entry(redis: RedisServer, cluster: Cluster, topic_filter: str) -> EntryId:
    """The last entry of a log."""
    key = f"{{{cluster.name}/f/{topic_filter}}}:state"
    return entry_id(_bulk(redis.command("HGET", key, "last")))


def said(redis: RedisServer, cluster: Cluster, client_id: str, topic_filter: str) -> Position:
    """What a session says itself."""
    key = f"{{{cluster.name}/c/{client_id}}}:session"
    return Position.parsed(_bulk(redis.command("HGET", key, f"k/{topic_filter}")))


def floor(redis: RedisServer, cluster: Cluster, node: str, topic_filter: str) -> EntryId | None:
    """The floor of a node in a log."""
    text = _bulk(redis.command("HGET", f"{{{cluster.name}/n/{node}}}:floors", topic_filter))
    return entry_id(text) if text else None


def position(redis: RedisServer, cluster: Cluster, client_id: str, topic_filter: str) -> Position:
    """How far a session is; `floor_of` is whose floor it rests on."""
    own = said(redis, cluster, client_id, topic_filter)
    entry = floor(redis, cluster, own.floor_of, topic_filter) if own.floor_of else None
    return own if entry is None else own.above(entry)._replace(floor_of=own.floor_of)


def is_over(
    redis: RedisServer, cluster: Cluster, client_id: str, topic_filter: str, entry: EntryId
) -> bool:
    """Whether all up to an entry is over for a session."""
    place = position(redis, cluster, client_id, topic_filter).place
    return place.messages == -1 and place.entry >= entry
