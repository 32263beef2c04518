"""What metrics cost the messages, in instructions of Python's machine: these do not scatter."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import pytest
import trio
import trio.testing

import trio_mqtt
from tests.broker.conftest import run_in_virtual_time
from tests.broker.raw import V311, Raw
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.monitoring import MetricsOptions
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.testing import open_memory_broker

_ROOT = f"{Path(trio_mqtt.__file__).parent}{os.sep}"
_BATCHES = 2 * MetricsOptions().timed  # some of which are timed

pytestmark = [
    pytest.mark.trio(run=run_in_virtual_time),
    pytest.mark.skipif(
        not inspect.isfunction(Batch.__init__), reason="what is compiled has no such instructions"
    ),
]

Trace = Callable[[FrameType, str, object], "Trace | None"]


class Counted:
    """The instructions of `trio_mqtt` that were executed."""

    def __init__(self) -> None:
        self.instructions = 0

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Trace | None:
        if event == "call":
            if not frame.f_code.co_filename.startswith(_ROOT):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.instructions += 1
        return self._trace

    @contextmanager
    def counting(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)


async def executed(sent: list[Publish], subscribers: int, *, timed: bool) -> int:
    """For so many reads that each bring these messages, from the read to where nothing is left."""
    counted = Counted()
    async with open_memory_broker() as memory:
        timing = memory.broker.timing(MetricsOptions().timed) if timed else nullcontext()
        with timing:
            clients = []
            for number in range(subscribers):
                clients.append(Raw(memory.connect(), V311))
                await clients[-1].connect(f"s{number}")
                await clients[-1].subscribe("t/#", qos=1)
            publisher = Raw(memory.connect(), V311)
            await publisher.connect("p")
            data = b"".join(encode(message, V311) for message in sent)
            for turn in range(1 + _BATCHES):
                # The first is no other than the others, but for what is remembered of its topic.
                with counted.counting() if turn else nullcontext():
                    await publisher.send(data)
                    await trio.testing.wait_all_tasks_blocked()
                for client in clients:
                    assert len(await client.take()) == len(sent)
                await publisher.drain()
    return counted.instructions


# Messages of one read, topics, QoS, subscribers.
CASES = {
    "alone": (1, 1, 0, 1),
    "alone, QoS 1": (1, 1, 1, 1),
    "alone, to ten": (1, 1, 0, 10),
    "many": (100, 1, 0, 1),
    "many, QoS 1": (40, 1, 1, 1),
    "many topics": (60, 20, 0, 1),
}


@pytest.mark.parametrize("case", CASES)
async def test_metrics_cost_less_than_three_hundredths(case: str) -> None:
    count, topics, qos, subscribers = CASES[case]
    sent = [
        Publish(f"t/{number % topics}", b"x" * 64, qos, packet_id=(number + 1) * qos)
        for number in range(count)
    ]
    without = await executed(sent, subscribers, timed=False)
    timed = await executed(sent, subscribers, timed=True)
    assert without < timed < 1.03 * without
