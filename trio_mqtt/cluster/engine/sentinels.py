"""Whether most Sentinels still say that the master is the one that this node speaks with.

A master that is cut off from the others with this node takes its writes until it learns that there
is another one; so long there would be two engines, and two nodes could own one session.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from trio_mqtt.cluster.engine.addresses import EngineAddress, Place
from trio_mqtt.cluster.engine.calls import EngineGoneError
from trio_mqtt.cluster.engine.connecting import Connector
from trio_mqtt.cluster.engine.masters import primary_of
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.errors import EngineError

# Of a lease: what is seen twice in a row is seen before the lease of this node has ended.
_EACH = 1 / 5


async def watch_sentinels(
    settings: Cluster,
    address: EngineAddress,
    connector: Connector,
    place: Place,
    end: Callable[[EngineGoneError], None],
) -> None:
    """Ask them five times in each lease, until cancelled; twice without a majority is the end."""
    misses = 0
    pause = settings.lease * _EACH
    while True:
        await trio.sleep(pause)
        agreeing = 0

        async def ask(sentinel: Place) -> None:
            nonlocal agreeing
            with trio.move_on_after(pause):
                try:
                    with await connector.connect_sentinel(sentinel) as connection:
                        found = await primary_of(connection, address.service)
                except EngineError:
                    return
                agreeing += found == place

        async with trio.open_nursery() as nursery:
            for one in address.places:
                nursery.start_soon(ask, one)
        misses = 0 if agreeing > len(address.places) // 2 else misses + 1
        if misses == 2:
            end(
                EngineGoneError(
                    f"Of {len(address.places)} Sentinels, {agreeing} say that the engine at {place}"
                    f" is still the master of {address.service}, which are not most."
                )
            )
