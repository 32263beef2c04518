"""One connection through the network: its packets in both directions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import trio

from trio_mqtt.testing.network.conditions import Conditions, Steering
from trio_mqtt.testing.network.frames import (
    Direction,
    FrameCutter,
    NetworkPacket,
    client_id_of,
    frames_of,
    may_overtake,
)

_READ = 65_536  # bytes
_HELD = 1024 * 1024  # bytes that are under way in one direction: then the sender waits
_PIECE = 4_096  # bytes that are sent at once where the rate is bounded


class NetworkLink:
    """A connection: `client` and `broker` are the network's ends of the streams to these.

    `close` ends a stream at once; if told so, as suddenly as its kind allows.
    """

    def __init__(
        self,
        client: trio.abc.Stream,
        broker: trio.abc.Stream,
        steering: Steering,
        close: Callable[[trio.abc.Stream, bool], None],
    ) -> None:
        self.client_id = ""
        self._client = client
        self._broker = broker
        self._close = close
        self._scope = trio.CancelScope()
        self._is_over = False
        self._lanes = (
            _Lane(self, "to broker", client, broker, steering),
            _Lane(self, "to client", broker, client, steering),
        )

    async def run(self) -> None:
        """Carry what comes, until one end is gone."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for lane in self._lanes:
                        nursery.start_soon(lane.receive)
                        nursery.start_soon(lane.send)
        finally:
            self._end(is_sudden=False)

    def over(self) -> None:
        """What was under way has arrived, and nothing more comes."""
        if all(lane.is_over for lane in self._lanes):
            self._scope.cancel()

    def cut(self) -> None:
        """End it at both ends, as a network does: what was under way is lost."""
        self._end(is_sudden=True)

    def _end(self, *, is_sudden: bool) -> None:
        if not self._is_over:
            self._is_over = True
            self._scope.cancel()
            self._close(self._client, is_sudden)
            self._close(self._broker, is_sudden)


class _Lane:
    """One direction."""

    def __init__(
        self,
        link: NetworkLink,
        direction: Direction,
        source: trio.abc.Stream,
        target: trio.abc.Stream,
        steering: Steering,
    ) -> None:
        self.is_over = False
        self._link = link
        self._direction: Direction = direction
        self._source = source
        self._target = target
        self._steering = steering
        self._conditions: Conditions = steering.conditions[direction]
        self._cutter = FrameCutter(is_mqtt=steering.sees_packets)
        # When each may arrive. Nothing at all is the end, and None a sudden one.
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._size = 0
        self._last = -math.inf  # when the last of them may
        self._news = trio.Event()
        self._room = trio.Event()
        # A packet that the next one is to overtake, and until when it waits for that.
        self._overtaken: tuple[NetworkPacket, float] | None = None

    async def receive(self) -> None:
        """Take what comes."""
        try:
            while data := bytes(await self._source.receive_some(_READ)):
                for frame in self._cutter.feed(data):
                    self._take(frame)
                self._news.set()
                while self._size > _HELD:
                    self._room = trio.Event()
                    await self._room.wait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._put(None)
            self._news.set()
            return
        self._let_overtaken_go()
        rest = self._cutter.rest()
        if rest:
            self._put(rest)
        self._put(b"")
        self._news.set()

    def _take(self, frame: bytes) -> None:
        """A packet has come."""
        if not self._cutter.is_mqtt:
            self._put(frame)
            return
        if frame[0] >> 4 == 1 and self._direction == "to broker":
            self._link.client_id = client_id_of(frame)
        packet = NetworkPacket(frame, self._direction, self._link.client_id)
        for watch in list(self._steering.watchers):
            watch(packet)
        order = self._steering.order_for(packet)
        if order is not None:
            if order.action == "drop":
                packet.drop()
            elif order.action == "duplicate":
                packet.duplicate()
            elif order.action == "cut":
                packet.cut()
            elif self._overtaken is None:
                self._overtaken = packet, trio.current_time() + order.patience
                return
        held = self._overtaken
        if held is not None and not may_overtake(packet, held[0]):
            self._let_overtaken_go()
            held = None
        if packet.delayed:
            self._last = max(self._last, trio.current_time()) + packet.delayed
        for one in frames_of(packet):
            self._put(one)
        if held is not None:
            self._let_overtaken_go()
        if packet.cuts:
            self._link.cut()

    def _let_overtaken_go(self) -> None:
        held, self._overtaken = self._overtaken, None
        if held is not None:
            self._put(held[0].frame)

    def _put(self, data: bytes | None) -> None:
        self._last = max(self._last, trio.current_time() + self._conditions.delay)
        self._queue.append((self._last, data))
        self._size += len(data or b"")

    async def send(self) -> None:
        """Have what came arrive, when it may."""
        try:
            while True:
                await self._until_something_waits()
                at, data = self._queue[0]
                if at > trio.current_time():
                    await trio.sleep_until(at)
                if self._conditions.is_frozen:
                    await self._conditions.thawed.wait()
                    continue  # perhaps it was frozen anew
                self._queue.popleft()
                self._size -= len(data or b"")
                self._room.set()
                if data == b"":
                    break
                if data is None or not await self._send(data):
                    self._link.cut()
                    return
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._link.cut()
            return
        await self._end()

    async def _until_something_waits(self) -> None:
        while not self._queue:
            self._news = trio.Event()
            held = self._overtaken
            if held is None:
                await self._news.wait()
                continue
            with trio.move_on_at(held[1]):
                await self._news.wait()
                continue
            self._let_overtaken_go()

    async def _send(self, data: bytes) -> bool:
        """Send a packet, or the part of it after which the connection is cut: False then."""
        conditions = self._conditions
        goes_on = True
        if conditions.packets_left is not None:
            conditions.packets_left -= 1
            goes_on = conditions.packets_left > 0
        if conditions.bytes_left is not None:
            data = data[: conditions.bytes_left]
            conditions.bytes_left -= len(data)
            goes_on = goes_on and conditions.bytes_left > 0
        if not goes_on:  # this connection, and no other
            conditions.packets_left = conditions.bytes_left = None
        if conditions.rate is None:
            await self._target.send_all(data)
            return goes_on
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            if conditions.rate is not None:
                await trio.sleep(len(piece) / conditions.rate)
            await self._target.send_all(piece)
        return goes_on

    async def _end(self) -> None:
        """Nothing more comes from the one end: the other is told so."""
        self.is_over = True
        if isinstance(self._target, trio.abc.HalfCloseableStream):
            try:
                await self._target.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._link.cut()
        self._link.over()
