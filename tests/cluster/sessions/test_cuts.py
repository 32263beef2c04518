"""Nodes are cut off from the engine at random, and clients move: no session has two nodes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random

import pytest
import trio

import trio_mqtt
from tests.broker.opened import LOCAL
from tests.broker.raw import Closed, Raw
from tests.cluster.proxy import Proxy, open_proxy
from tests.cluster.redis import RedisServer
from tests.inside import core_of
from tests.transport.dialing import dial
from trio_mqtt import Broker, Cluster
from trio_mqtt.protocol.packets import ConnAck, Connect

CLIENTS = 6
SECONDS = 5.0
SEEDS = [1, 2]


class Clients:
    """Each client has an identifier, comes to a node, stays for a while, and goes to another."""

    def __init__(self, brokers: list[Broker], chance: Random) -> None:
        self._brokers = brokers
        self._chance = chance
        self.known: set[str] = set()  # whose session was promised to go on
        self.accepted = 0

    def connected(self, client_id: str) -> list[int]:
        """The nodes that have the client connected."""
        found = []
        for number, broker in enumerate(self._brokers):
            session = core_of(broker).sessions.get(client_id)
            if session is not None and session.outlet is not None and not session.outlet.ended:
                found.append(number)
        return found

    async def run(self, client_id: str, until: float) -> None:
        while trio.current_time() < until:
            with trio.move_on_after(5):
                await self.come(client_id, self._chance.choice(self._brokers))

    async def come(self, client_id: str, broker: Broker) -> bool:
        """Connect, and stay for a moment; whether it was let in."""
        async with await dial(broker.url) as stream:
            client = Raw(stream)
            await client.send(
                Connect(client_id, False, 0, properties={"session_expiry_interval": 600})
            )
            answer = await client.receive()
            if not isinstance(answer, ConnAck) or answer.reason_code.is_failure:
                await trio.sleep(0.02)
                return False
            assert len(self.connected(client_id)) <= 1
            self.accepted += 1
            if client_id in self.known:
                assert answer.session_present, f"{client_id} has lost its session"
            self.known.add(client_id)
            with trio.move_on_after(self._chance.random() * 0.3):
                while not isinstance(await client.receive(), Closed):
                    pass
            if self._chance.random() < 0.5:
                await client.send(b"\xe0\x00")  # DISCONNECT
            return True


async def disturb(between: Proxy, chance: Random) -> None:
    """Cut the way to the engine, or have it stand still, for longer or shorter than the lease."""
    while True:
        await trio.sleep(chance.random() * 1.5)
        kind, seconds = chance.choice(("cut", "stop", "flicker")), chance.random() * 2.5
        if kind == "flicker":
            between.cut()
            continue
        between.refuses = True
        if kind == "cut":
            between.cut()
        else:
            between.stop()
        await trio.sleep(seconds)
        between.refuses = False
        between.cut()
        between.go_on()


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_session_is_lost_or_at_two_nodes(
    cluster: Cluster, redis: RedisServer, seed: int
) -> None:
    chance = Random(seed)  # noqa: S311
    with trio.fail_after(90):
        async with AsyncExitStack() as stack:
            proxies = [await stack.enter_async_context(open_proxy(redis)) for _ in range(3)]
            brokers = []
            for number, between in enumerate(proxies):
                own = replace(cluster, url=between.url, node=f"n{number}", lease=1.0, timeout=0.5)
                opening = trio_mqtt.open_broker(LOCAL, cluster=own)
                brokers.append(await stack.enter_async_context(opening))
            clients = Clients(brokers, chance)
            end = trio.current_time() + SECONDS
            async with trio.open_nursery() as disturbing:
                for between in proxies:
                    disturbing.start_soon(disturb, between, chance)
                async with trio.open_nursery() as nursery:
                    for number in range(CLIENTS):
                        nursery.start_soon(clients.run, f"c{number}", end)
                disturbing.cancel_scope.cancel()
            for between in proxies:
                between.refuses = False
                between.cut()
                between.go_on()
            assert clients.accepted > CLIENTS
            for client_id in sorted(clients.known):
                # Nodes join again in their own time.
                while not await clients.come(client_id, chance.choice(brokers)):
                    pass
