"""Sessions in an engine as several nodes see them, without any broker."""

from __future__ import annotations

from trio_mqtt.cluster.claim_answers import Begin, Claim, Claimed
from trio_mqtt.cluster.engine.engine import Engine
from trio_mqtt.cluster.session_store import SessionStore

HOUR = 3_600


class Nodes:
    """Makes the stores of nodes that share an engine; all are alive for the same hour."""

    def __init__(self, engine: Engine, time: list[bytes]) -> None:
        self._engine = engine
        engine.deadline_ms = (int(time[0]) + HOUR) * 1000

    def __getitem__(self, name: str) -> SessionStore:
        return SessionStore(self._engine, name)


def said(
    expiry_interval: int = HOUR,
    *,
    user: str | None = None,
    will: bytes | None = None,
    author: str | None = None,
) -> Begin:
    """What CONNECT says."""
    return Begin(user, expiry_interval, will, author)


async def claimed(
    node: SessionStore, key: str, begin: Begin | None = None, *, clean: bool = False
) -> Claimed:
    """A session that the node has claimed, and got."""
    answer: Claim = await node.claim(key, begin or said(), token="t", clean=clean)
    assert isinstance(answer, Claimed)
    return answer
