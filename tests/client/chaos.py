"""A network that cuts, stalls, delays and garbles connections at random, between client and broker.

Bytes are garbled so that the rules of MQTT tell: where a packet ought to begin. Other bytes that
change, in a payload say, only TLS can tell; through TLS any byte may be changed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

# What no packet begins with, from either end: the reserved type, wrong flags, a length without end.
JUNK = (b"\x00\x00", b"\x4f\x02\x00\x01", b"\x36\x03\x00\x01t", b"\x40\xff\xff\xff\xff\x7f")


class Framing:
    """Where in a stream of MQTT the packets begin."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def next_packet(self, data: bytes) -> int | None:
        """The first place in `data` where a packet begins, or None; all of it counts as passed."""
        first: int | None = None
        position = 0
        while position < len(data):
            if self._left:
                step = min(self._left, len(data) - position)
                self._left -= step
                position += step
                continue
            if not self._head and first is None:
                first = position
            self._head += data[position : position + 1]
            position += 1
            if len(self._head) > 1 and self._head[-1] < 128:
                self._left = sum(
                    (byte & 127) << 7 * place for place, byte in enumerate(self._head[1:])
                )
                self._head = b""
        return first


class Chaos:
    """What it did, and how often."""

    def __init__(self, seed: int, *, flips_bytes: bool) -> None:
        self.chance = random.Random(seed)  # noqa: S311 # the same each time
        self.flips_bytes = flips_bytes
        self.done: Counter[str] = Counter()
        self.calm = False  # from now on it only passes on
        self.mean = 3_000  # bytes until something happens to a connection

    async def carry(self, client: trio.SocketStream, broker: trio.SocketStream) -> None:
        """Carry one connection until something happens to it."""
        fates = ("garble",) if self.flips_bytes else ("cut", "cut", "garble", "stall")
        fate = self.chance.choice(fates)
        left = [self.chance.randrange(1, 2 * self.mean)]
        async with trio.open_nursery() as nursery:
            for source, sink in ((client, broker), (broker, client)):
                nursery.start_soon(self._copy, source, sink, fate, left, nursery.cancel_scope)

    async def _copy(
        self,
        source: trio.SocketStream,
        sink: trio.SocketStream,
        fate: str,
        left: list[int],
        everything: trio.CancelScope,
    ) -> None:
        chance = self.chance
        framing = Framing()
        try:
            while data := await source.receive_some(chance.randrange(1, 2_000)):
                if not self.calm:
                    if chance.random() < 0.02:
                        self.done["delay"] += 1
                        await trio.sleep(chance.random() * 0.005)
                    left[0] -= len(data)
                start = framing.next_packet(data)
                if left[0] >= 0 or self.calm:
                    await sink.send_all(data)
                    continue
                if fate == "garble" and self.flips_bytes:
                    place = chance.randrange(len(data))
                    flipped = bytes((data[place] ^ chance.randrange(1, 256),))
                    await sink.send_all(data[:place] + flipped + data[place + 1 :])
                elif fate == "garble":
                    if start is None:
                        await sink.send_all(data)
                        continue
                    await sink.send_all(data[:start] + chance.choice(JUNK))
                elif fate == "cut":
                    await sink.send_all(data[: chance.randrange(len(data) + 1)])
                self.done[fate] += 1
                if fate != "cut":
                    # Whoever meets this closes the connection, or it breaks a little later.
                    await trio.sleep(0.03)
                break
            else:
                await sink.send_eof()
                return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        everything.cancel()


@asynccontextmanager
async def between(port: int, chaos: Chaos) -> AsyncIterator[int]:
    """Listen, and carry each connection to this port of the machine; yields the port to use."""

    async def connected(client: trio.SocketStream) -> None:
        try:
            broker = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            return
        async with client, broker:
            await chaos.carry(client, broker)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, connected, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
