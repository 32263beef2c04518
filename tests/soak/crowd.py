"""Thousands of clients that come and go, in one process that never is what starves the broker.

    python -m tests.soak.crowd PORT [--clients 2000] [--slow 40]

Each second a line of stdout has, as JSON, how many are connected, how often each kind has come, and
what went wrong. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from tests.beside.answers import Answerer, frames
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Connect,
    Disconnect,
    Packet,
    PingReq,
    Publish,
    Subscribe,
    Subscription,
)
from trio_mqtt.protocol.properties import Properties

V5 = ProtocolVersion.V5
ANSWER_SECONDS = 30.0  # in which the broker must answer
STAY = 20.0  # seconds that a client stays, on average
BEGIN_RATE = 300  # clients a second that come at the beginning
FLOOD_RATE = 100  # messages a second by each of those who flood the slow ones
FLOODS = 4
MIB = 1024 * 1024
_RESET = struct.pack("ii", 1, 0)


class RefusedError(Exception):
    """The broker did not do what it must."""


class Client:
    """One connection that reads all the time, and answers messages."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._answerer = Answerer()
        self._data = b""

    async def send(self, *packets: Packet) -> None:
        await self.stream.send_all(b"".join(encode(packet, V5) for packet in packets))

    async def read(self) -> list[int]:
        """The types of the packets that come next; messages are answered."""
        data = bytes(await self.stream.receive_some(65_536))
        if not data:
            raise RefusedError("the broker has closed")
        if answer := self._answerer.feed(data):
            await self.stream.send_all(answer)
        self._data += data
        found = list(frames(self._data))
        if found:
            self._data = self._data[found[-1][2] :]
        return [first >> 4 for first, _, _ in found]

    async def expect(self, kind: PacketType) -> None:
        """Read on until a packet of this kind comes."""
        with trio.move_on_after(ANSWER_SECONDS):
            while kind not in await self.read():
                pass
            return
        raise RefusedError(f"no {kind.name} in {ANSWER_SECONDS:g} s")

    async def stay(self, seconds: float) -> None:
        """Read what comes for so long."""
        with trio.move_on_after(seconds):
            while True:
                await self.read()

    def reset(self) -> None:
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.stream.socket.close()


class Crowd:
    """The clients, each a task that comes again when it has gone."""

    def __init__(self, port: int, seed: int) -> None:
        self.connected = 0
        self.turns: Counter[str] = Counter()
        self.failures: list[str] = []
        self._port = port
        self._chance = random.Random(seed)  # noqa: S311

    async def keep(self, number: int, live: Callable[[int, int], Awaitable[None]]) -> None:
        """Live one life after the other."""
        turn = 0
        while True:
            try:
                await live(number, turn)
            except (RefusedError, OSError, trio.BrokenResourceError) as error:
                self.failures.append(f"{live.__name__} {number}, turn {turn}: {error!r}")
                await trio.sleep(1)
            self.turns[live.__name__] += 1
            turn += 1

    async def polite(self, number: int, turn: int) -> None:
        """Connect, subscribe, publish now and then, say goodbye."""
        client = await self._connect(f"polite-{number}")
        topic = f"crowd/{number}"
        await client.send(Subscribe(1, [Subscription(topic, turn % 3)]))
        await client.expect(PacketType.SUBACK)
        await self._publish_and_stay(client, topic)
        await client.send(Disconnect())
        await self._leave(client)

    async def durable(self, number: int, _turn: int) -> None:
        """A session that is kept while its client, cut off, is away for a moment."""
        client = await self._connect(f"durable-{number}", clean=False, expiry=60)
        topic = f"crowd/{number}"
        await client.send(Subscribe(1, [Subscription(topic, 1), Subscription("all", 1)]))
        await client.expect(PacketType.SUBACK)
        await self._publish_and_stay(client, topic)
        client.reset()
        self.connected -= 1
        await trio.sleep(self._chance.uniform(0, 2))

    async def once(self, number: int, turn: int) -> None:
        """A new identifier each time, a session that ends soon, a message that waits in it."""
        client = await self._connect(f"once-{number}-{turn}", expiry=1)
        topic = f"once/{number}/{turn}"
        await client.send(Subscribe(1, [Subscription(topic, 1)]))
        await client.expect(PacketType.SUBACK)
        await client.stay(self._chance.expovariate(1 / STAY))
        await client.send(Publish(topic, b"kept", 1, packet_id=7, retain=turn % 10 == 0))
        await client.expect(PacketType.PUBACK)
        await self._leave(client)

    async def taken_over(self, number: int, turn: int) -> None:
        """The same client again, before the broker has noticed that it was gone."""
        name = f"taken-{number}"
        first = await self._connect(name, clean=turn % 3 == 0, expiry=60)
        await first.send(Subscribe(1, [Subscription(f"crowd/{name}", 2)]))
        await first.expect(PacketType.SUBACK)
        second = await self._connect(name, clean=False, expiry=60)
        await self._publish_and_stay(second, f"crowd/{name}")
        await self._leave(second)
        await self._leave(first)

    async def cut_off(self, number: int, _turn: int) -> None:
        """Most of a packet as large as the broker takes, and no end."""
        client = await self._connect(f"cut-{number}")
        with suppress(trio.BrokenResourceError):
            await client.stream.send_all(b"\x30\xff\xff\xff\x07" + bytes(MIB))
            await trio.sleep(self._chance.uniform(0, 1))
        await self._leave(client)
        await trio.sleep(1)

    async def slow(self, number: int, turn: int) -> None:
        """Subscribe to a flood, and never read; until the broker has enough of that."""
        client = await self._connect(f"slow-{number}", receive_buffer=4_096, expiry=turn % 2 * 60)
        await client.send(Subscribe(1, [Subscription("flood/#", number % 2)]))
        with suppress(trio.BrokenResourceError):
            while True:
                await trio.sleep(1)
                await client.send(PingReq())
        await self._leave(client)

    async def flooding(self, number: int, _turn: int) -> None:
        """What the slow ones do not read."""
        client = await self._connect(f"flood-{number}")
        message = Publish(f"flood/{number}", bytes(1_024))
        try:
            while True:
                await client.send(message)
                await trio.sleep(1 / FLOOD_RATE)
        finally:
            self.connected -= 1
            client.stream.socket.close()

    async def _publish_and_stay(self, client: Client, topic: str) -> None:
        left = self._chance.expovariate(1 / STAY)
        while left > 0:
            await client.send(Publish(topic, b"21.5", 1, packet_id=7))
            await client.expect(PacketType.PUBACK)
            await client.stay(min(left, 10))
            left -= 10

    async def _connect(
        self,
        client_id: str,
        *,
        clean: bool = True,
        expiry: int = 0,
        receive_buffer: int | None = None,
    ) -> Client:
        one = trio.socket.socket()
        if receive_buffer is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await one.connect(("127.0.0.1", self._port))
        client = Client(trio.SocketStream(one))
        properties: Properties = {"session_expiry_interval": expiry}
        await client.send(Connect(client_id, clean, 300, properties=properties))
        await client.expect(PacketType.CONNACK)
        self.connected += 1
        return client

    async def _leave(self, client: Client) -> None:
        self.connected -= 1
        await client.stream.aclose()


# How many of a hundred are of each kind.
_KINDS = (("polite", 50), ("durable", 30), ("once", 10), ("taken_over", 5), ("cut_off", 5))


async def run(port: int, clients: int, slow: int, seed: int) -> None:
    crowd = Crowd(port, seed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with_stdin, nursery.cancel_scope)
        nursery.start_soon(_tell, crowd)
        for number in range(FLOODS):
            nursery.start_soon(crowd.keep, number, crowd.flooding)
        for number in range(slow):
            nursery.start_soon(crowd.keep, number, crowd.slow)
        kinds = [name for name, share in _KINDS for _ in range(share)]
        for number in range(clients):
            live = getattr(crowd, kinds[number * 37 % 100])
            nursery.start_soon(crowd.keep, number, live)
            await trio.sleep(1 / BEGIN_RATE)
    tell(crowd)


async def _end_with_stdin(scope: trio.CancelScope) -> None:
    await trio.lowlevel.wait_readable(sys.stdin.fileno())
    scope.cancel()


async def _tell(crowd: Crowd) -> None:
    while True:
        tell(crowd)
        await trio.sleep(1)


def tell(crowd: Crowd) -> None:
    line = {"connected": crowd.connected, "turns": crowd.turns, "failures": crowd.failures[:20]}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--slow", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.nice(10)  # the load comes after what it is to load
    trio.run(run, arguments.port, arguments.clients, arguments.slow, arguments.seed)


if __name__ == "__main__":
    main()
