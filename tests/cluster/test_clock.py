"""What a node takes for the engine's time."""

from __future__ import annotations

from typing import cast

import trio

from trio_mqtt.broker.clustering.clock import EngineClock
from trio_mqtt.cluster.engine.engine import Engine

AHEAD = 1_000_000.25  # seconds by which the engine's clock is


class EngineStub:
    """Answers after so many seconds, all of them on the way back."""

    def __init__(self, *delays: float) -> None:
        self._delays = iter(delays)

    async def call(self, _: bytes) -> tuple[bytes, bytes]:
        seconds, part = divmod(trio.current_time() + AHEAD, 1)
        await trio.sleep(next(self._delays))
        return b"%d" % seconds, b"%d" % (part * 1e6)


async def test_the_answer_that_came_back_soonest_is_believed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock = EngineClock(cast("Engine", EngineStub(0.4, 0.002, 0.2)))
    await clock.set()
    assert abs(clock.epoch - AHEAD) < 0.0011
