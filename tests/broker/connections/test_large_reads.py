"""Real sockets: messages larger than a read, and as many as come at once."""

from __future__ import annotations

import pytest
import trio

from tests.broker.opened import joined, opened
from tests.broker.raw import V5
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.transport.listeners.streams import READ_SIZE, SocketStream

pytestmark = pytest.mark.trio  # in real time: virtual time would not wait for the sockets

KIB = 1024


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize(
    "sizes",
    [
        [64 * KIB] * 60,
        [1024 * KIB] * 4,
        [64 * KIB] * 10 + [10] * 500 + [300 * KIB] * 5 + [64 * KIB] * 10,
        [READ_SIZE + number for number in range(-20, 20, 3)],
    ],
    ids=["alike", "larger than a read", "mixed", "about a read"],
)
async def test_large_messages_arrive_as_they_were_sent(sizes: list[int], qos: int) -> None:
    async with (
        opened() as broker,
        joined(broker.url, "s") as subscriber,
        joined(broker.url, "p") as publisher,
        trio.open_nursery() as nursery,
    ):
        await subscriber.subscribe("t")
        messages = [
            Publish("t", b"%08d" % number * (size // 8 + 1), qos, packet_id=qos * (number + 1))
            for number, size in enumerate(sizes)
        ]
        nursery.start_soon(publisher.send, *messages)
        for message in messages:
            received = await subscriber.expect(Publish)
            assert received.payload == message.payload


async def test_reads_end_where_packets_do_while_those_are_large_and_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the end of each read would be copied, to stand before what comes next."""
    asked: list[int] = []
    receive = SocketStream.receive_nowait

    def received(stream: SocketStream, size: int = 0) -> bytes | None:
        asked.append(size)
        return receive(stream, size)

    monkeypatch.setattr(SocketStream, "receive_nowait", received)
    message = Publish("t", b"x" * 64 * KIB)
    whole = len(encode(message, V5))
    async with opened() as broker, joined(broker.url, "p") as publisher:
        asked.clear()
        await publisher.send(*[message] * 200)
        while broker.statistics.messages_received < 200:
            await trio.lowlevel.checkpoint()
        large = [size for size in asked if size]
        # As much as a read takes, without the part of a packet that has come before it.
        assert large
        assert all(READ_SIZE - whole < size <= READ_SIZE for size in large)
        await publisher.send(Publish("t", b"small"))
        await publisher.ping()
        await publisher.ping()
        assert asked[-1] == 0
