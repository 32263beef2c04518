"""A publisher of a measurement: as fast as it goes, or at a rate."""

from __future__ import annotations

import itertools
import time

import trio

import trio_mqtt
from tmqtt.bench.clients import Bench
from tmqtt.bench.marks import MARK_SIZE, filler, mark
from tmqtt.bench.pacing import Pace
from tmqtt.terminal.error_groups import first_of

# Messages between two looks at how far the subscribers are.
_LOOK_EVERY = 16
# Seconds without progress after which what is under way counts as lost, and publishing goes on.
_STALLED = 0.5
# What a client sends in one piece, in bytes and in messages. With more unacknowledged, those that
# wait for the next piece could overtake each other.
_ONE_PIECE = 65_536
_MESSAGES_IN_ONE_PIECE = 256


class Publisher:
    """One publisher; `run` publishes what the plan says."""

    def __init__(self, bench: Bench, client: trio_mqtt.Client, index: int) -> None:
        plan = bench.job.plan
        self._bench = bench
        self._client = client
        self._topic = plan.topic_of(index)
        self._who = bench.job.run << 16 | index
        self._index = index
        self._filler = filler(plan.size) if plan.size >= MARK_SIZE else bytes(plan.size)
        self._marked = plan.size >= MARK_SIZE
        self._numbers = itertools.count()
        self._left = plan.count
        self._expected = plan.copies() if plan.delivers else 0
        self._first_slot, self._last_slot = plan.slots_of(index)
        self._ahead = plan.ahead if bench.progress is not None else 0
        # How long a publisher that is ahead sleeps: many in one process must not keep it busy.
        self._nap = max(0.0005, 0.00002 * len(bench.job.publishers))

    async def run(self, start: int) -> None:
        """Publish from `start` on (nanoseconds), until the plan's end or cancelled."""
        plan = self._bench.job.plan
        await _sleep_until(start)
        end = start + int(plan.seconds * 1e9) if plan.seconds is not None else None
        try:
            if plan.rate is not None:
                # Publishers share out the time between two messages.
                first = start + int(1e9 / plan.rate * self._index / plan.publishers)
                await self._run_paced(Pace(first, plan.rate), end)
            elif plan.qos == 0:
                await self._run_freely(end)
            else:
                async with trio.open_nursery() as nursery:
                    for _ in range(self._window()):
                        nursery.start_soon(self._run_acknowledged, end)
        except* trio_mqtt.MqttError as group:
            self._bench.measured.note(str(first_of(group)))

    def _window(self) -> int:
        """How many messages may be unacknowledged."""
        plan = self._bench.job.plan
        told = self._client.server_properties.get("receive_maximum", 65_535)
        in_one_piece = min(1 + _ONE_PIECE // (plan.size + 100), _MESSAGES_IN_ONE_PIECE)
        return max(1, min(plan.window, told, in_one_piece))

    def _more(self) -> bool:
        """Whether one more message is to be sent; counts it."""
        if self._left is None:
            return True
        self._left -= 1
        return self._left >= 0

    async def _run_freely(self, end: int | None) -> None:
        now = time.monotonic_ns()
        for turn in itertools.count():
            if (end is not None and now >= end) or not self._more():
                return
            if self._ahead and turn % _LOOK_EVERY == 0:
                await self._let_subscribers_follow(turn)
            now = time.monotonic_ns()
            await self._send(now)

    async def _run_acknowledged(self, end: int | None) -> None:
        try:
            while True:
                now = time.monotonic_ns()
                if (end is not None and now >= end) or not self._more():
                    return
                await self._send(now)
        except trio_mqtt.MqttError as error:
            self._bench.measured.note(str(error))

    async def _run_paced(self, pace: Pace, end: int | None) -> None:
        plan = self._bench.job.plan
        slots = trio.Semaphore(self._window())
        async with trio.open_nursery() as nursery:
            while (end is None or pace.due < end) and self._more():
                if pace.due > time.monotonic_ns():
                    await _sleep_until(pace.due)
                    pace.woke(time.monotonic_ns())
                if plan.qos == 0:
                    await self._send(pace.take())
                else:
                    await slots.acquire()
                    nursery.start_soon(self._send_one, pace.take(), slots)

    async def _send_one(self, due: int, slots: trio.Semaphore) -> None:
        try:
            await self._send(due)
        except trio_mqtt.MqttError as error:
            self._bench.measured.note(str(error))
        finally:
            slots.release()

    async def _send(self, due: int) -> None:
        """Publish the next message; `due` is when it counts as sent."""
        plan = self._bench.job.plan
        measured = self._bench.measured
        totals = measured.totals
        payload = self._filler
        if self._marked:
            payload = mark(self._who, next(self._numbers), due) + payload
        totals.sent += 1
        totals.expected += self._expected
        try:
            await self._client.publish(self._topic, payload, qos=plan.qos, retain=plan.retain)
        except trio_mqtt.RequestRefusedError as error:
            totals.refused += 1
            measured.note(str(error))
        measured.last_sent = time.monotonic_ns()
        if plan.qos:
            totals.acknowledged += 1
            measured.acknowledgement.add(measured.last_sent - due)

    async def _let_subscribers_follow(self, sent: int) -> None:
        """Wait while the slowest subscriber is too far behind, unless it gets no further."""
        progress = self._bench.progress
        if progress is None:
            return
        with progress[self._first_slot : self._last_slot] as mine:
            reached, since = min(mine), trio.current_time()
            while sent - reached > self._ahead:
                await trio.sleep(self._nap)
                now_reached, now = min(mine), trio.current_time()
                if now_reached > reached:
                    reached, since = now_reached, now
                elif now - since > _STALLED:
                    return


async def _sleep_until(moment: int) -> None:
    await trio.sleep(max(moment - time.monotonic_ns(), 0) / 1e9)
