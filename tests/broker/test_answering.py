"""What clients publish to topics that somebody in the broker answers."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Join
from trio_mqtt.broker.routing.published import Author
from trio_mqtt.protocol.packets import PubAck, Publish
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker

SUCCESS, REFUSED, UNHEARD = (
    ReasonCode.SUCCESS,
    ReasonCode.NOT_AUTHORIZED,
    ReasonCode.NO_MATCHING_SUBSCRIBERS,
)


class _Heard:
    """Takes what is not b"no"."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []

    def ask(self, sender: Author, message: Publish) -> bool:
        if message.payload == b"no":
            return False
        self.asked.append((sender.client_id, message.topic, message.payload))
        return True


@pytest.fixture
def heard(memory: MemoryBroker) -> _Heard:
    heard = _Heard()
    memory.broker._core.answer("$ours", heard)
    return heard


async def test_what_is_taken_is_acknowledged_and_the_rest_refused(
    join: Join, memory: MemoryBroker, heard: _Heard
) -> None:
    client = await join("c")
    asked = [("$ours/a", b"1"), ("$ours", b"2"), ("$ours/b", b"no"), ("$other", b"3"), ("t", b"4")]
    packets = [Publish(topic, data, 1, packet_id=n) for n, (topic, data) in enumerate(asked, 1)]
    await client.send(*packets)
    answers = [await client.expect(PubAck) for _ in asked]
    codes = {answer.packet_id: answer.reason_code for answer in answers}
    assert codes == {1: SUCCESS, 2: SUCCESS, 3: REFUSED, 4: REFUSED, 5: UNHEARD}
    assert heard.asked == [("c", "$ours/a", b"1"), ("c", "$ours", b"2")]
    assert memory.broker.statistics.topics_refused == 2


@pytest.mark.parametrize("qos", [0, 1])
async def test_a_run_is_asked_message_by_message(join: Join, heard: _Heard, qos: int) -> None:
    client = await join("c")
    payloads = [b"%d" % number for number in range(100)]
    await client.send(
        *(Publish("$ours/x", data, qos, packet_id=qos * (n + 1)) for n, data in enumerate(payloads))
    )
    for number in range(qos * len(payloads)):
        assert (await client.expect(PubAck)).packet_id == number + 1
    await client.ping()
    assert [payload for _, _, payload in heard.asked] == payloads


async def test_nobody_hears_what_is_asked_and_the_program_asks_nobody(
    join: Join, memory: MemoryBroker, heard: _Heard
) -> None:
    client = await join("c")
    await client.subscribe("$ours/#")
    await client.send(Publish("$ours/a", b"1"), Publish("t", b"2"))
    await client.expect_nothing()
    await memory.broker.publish("$ours/a", b"3")
    assert await client.payloads() == [b"3"]
    assert heard.asked == [("c", "$ours/a", b"1")]
