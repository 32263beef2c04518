"""Access rules hold for publishing, subscribing, delivery and resumption, from one moment on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import Broker, Security
from trio_mqtt.access import ClientInfo
from trio_mqtt.broker.access.permissions import REMEMBERED, Permissions, RulesInForce
from trio_mqtt.broker.limits import Limits
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    PubAck,
    Publish,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
    Will,
)
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker


class Rules:
    """Forbids what it is told to: ACTION TOPIC, for one user or "*" for all."""

    def __init__(self) -> None:
        self.forbidden: set[tuple[str, str, str]] = set()
        self.asked = 0

    def forbid(self, action: str, topic: str, who: str = "*") -> None:
        self.forbidden.add((action, topic, who))

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("publish", client, topic)

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return self._allows("subscribe", client, topic_filter)

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("receive", client, topic)

    def _allows(self, action: str, client: ClientInfo, topic: str) -> bool:
        self.asked += 1
        if topic == "fail":
            raise RuntimeError("a rule that is broken")
        return not {(action, topic, "*"), (action, topic, client.username)} & self.forbidden


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def memory(limits: Limits, rules: Rules) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(limits=limits, security=Security(access=rules)) as memory:
        yield memory


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_may_not_be_published_reaches_nobody(
    join: Join, broker: Broker, rules: Rules, version: ProtocolVersion, qos: int
) -> None:
    rules.forbid("publish", "no")
    watcher = await join("w")
    await watcher.subscribe("#")
    client = await join("c", version)
    refused = await client.publish("no", b"1", qos, retain=True)
    # MQTT 3 has no word for it: such a message is acknowledged, and dropped.
    assert refused == (ReasonCode.NOT_AUTHORIZED if version == V5 and qos else ReasonCode.SUCCESS)
    assert await client.publish("yes", b"2", qos) == ReasonCode.SUCCESS
    await watcher.expect_message("yes", b"2")
    await watcher.expect_nothing()
    assert len(core_of(broker).retained) == 0
    assert broker.statistics.messages_dropped == 1


async def test_of_many_messages_in_one_write_those_that_are_allowed_go_on(
    join: Join, rules: Rules
) -> None:
    rules.forbid("publish", "no")
    watcher = await join("w")
    await watcher.subscribe("#")
    client = await join("c")
    await client.send(
        Publish("no", b"0"),
        Publish("yes", b"1", 1, packet_id=1),
        Publish("no", b"2", 1, packet_id=2),
        Publish("no", b"3", 2, packet_id=3),
        Publish("yes", b"4", 2, packet_id=4),
        *(Publish("no", b"5") for _ in range(3)),
        *(Publish("yes", b"6") for _ in range(3)),
    )
    no, yes = ReasonCode.NOT_AUTHORIZED, ReasonCode.SUCCESS
    answers = await client.drain()
    assert [(type(a), a.packet_id, a.reason_code) for a in answers if isinstance(a, PubAck | PubRec)
            ] == [(PubAck, 1, yes), (PubAck, 2, no), (PubRec, 3, no), (PubRec, 4, yes)]  # fmt: skip
    assert await watcher.payloads() == [b"1", b"4", b"6", b"6", b"6"]
    # What was refused occupies nothing: its identifier is free.
    assert await client.publish("yes", b"7", 2) == yes


async def test_a_refused_message_says_why(join: Join, rules: Rules) -> None:
    rules.forbid("publish", "no")
    client = await join("c")
    await client.send(Publish("no", b"", 1, packet_id=1))
    answer = await client.expect(PubAck)
    assert answer.properties["reason_string"] == "the client may not publish to this topic"


async def test_a_subscription_that_is_not_allowed_is_refused(
    join: Join, rules: Rules, version: ProtocolVersion
) -> None:
    rules.forbid("subscribe", "no/#")
    client = await join("c", version)
    await client.send(
        Subscribe(1, [Subscription(f, 1) for f in ("no/#", "yes", "$share/group/no/#")])
    )
    answer = await client.expect(SubAck)
    no = ReasonCode.NOT_AUTHORIZED if version == V5 else ReasonCode.UNSPECIFIED_ERROR
    assert answer.reason_codes == [no, 1, no]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_may_not_be_received_is_not_delivered(
    join: Join, broker: Broker, rules: Rules, version: ProtocolVersion, qos: int
) -> None:
    rules.forbid("receive", "a/no")
    publisher = await join("p")
    await publisher.publish("a/no", b"kept", 1, retain=True)
    await publisher.publish("a/yes", b"kept", 1, retain=True)
    client = await join("c", version)
    await client.subscribe("a/+", qos=qos)
    assert [(m.topic, m.payload) for m in await client.take()] == [("a/yes", b"kept")]
    for number in range(3):
        await publisher.publish("a/no", b"%d" % number, qos)
        await publisher.publish("a/yes", b"%d" % number, qos)
    await publisher.send(*(Publish(t, b"run") for t in ("a/no", "a/no", "a/yes", "a/no", "a/yes")))
    assert [m.payload for m in await client.take()] == [b"0", b"1", b"2", b"run", b"run"]
    assert broker.statistics.deliveries_refused == 7


async def test_withdrawn_access_takes_effect_on_live_sessions_at_once(
    join: Join, broker: Broker, rules: Rules, version: ProtocolVersion
) -> None:
    client, publisher = await join("c", version), await join("p")
    await client.subscribe("t", qos=1)
    await publisher.publish("t", b"1", 1)
    rules.forbid("receive", "t")
    rules.forbid("publish", "u")
    await broker.rules_changed()
    await publisher.publish("t", b"2", 1)
    assert [m.payload for m in await client.take()] == [b"1"]
    assert await publisher.publish("u", b"", 1) == ReasonCode.NOT_AUTHORIZED
    rules.forbidden.clear()
    await broker.rules_changed()
    await publisher.publish("t", b"3", 1)
    assert [m.payload for m in await client.take()] == [b"3"]


async def test_a_subscription_that_is_no_longer_allowed_rests_until_it_is_again(
    join: Join, broker: Broker, rules: Rules
) -> None:
    client, publisher = await join("c"), await join("p")
    await client.subscribe("t/#", qos=1)
    rules.forbid("subscribe", "t/#")
    await broker.rules_changed()
    assert await publisher.publish("t", b"1", 1) == ReasonCode.NO_MATCHING_SUBSCRIBERS
    await client.expect_nothing()
    rules.forbidden.clear()
    await broker.rules_changed()
    await publisher.publish("t", b"2", 1)
    await client.expect_message("t", b"2", 1)
    assert await client.unsubscribe("t/#") == [ReasonCode.SUCCESS]


async def test_others_get_what_a_member_of_a_group_may_no_longer_have(
    join: Join, broker: Broker, rules: Rules
) -> None:
    first, second, publisher = [
        await join(name, username=name) for name in ("first", "second", "p")
    ]
    for member in (first, second):
        await member.subscribe("$share/g/t", qos=1)
    rules.forbid("subscribe", "t", "first")
    await broker.rules_changed()
    for number in range(4):
        await publisher.publish("t", b"%d" % number, 1)
    assert [m.payload for m in await second.take()] == [b"0", b"1", b"2", b"3"]
    await first.expect_nothing()


async def test_what_waits_in_a_session_is_checked_when_the_client_comes_back(
    join: Join, broker: Broker, rules: Rules, version: ProtocolVersion
) -> None:
    client, publisher = await join("c", version, clean_start=False, expiry=100), await join("p")
    await client.subscribe("t", "u", qos=1)
    await client.drop()
    for topic in ("t", "u"):
        await publisher.publish(topic, b"", 1)
    rules.forbid("receive", "t")
    await broker.rules_changed()
    again = await join("c", version, clean_start=False, expiry=100)
    assert [m.topic for m in await again.take()] == ["u"]


async def test_a_session_that_another_user_resumes_is_held_to_that_users_rights(
    join: Join, rules: Rules, version: ProtocolVersion
) -> None:
    rules.forbid("receive", "t", "lesser")
    rules.forbid("subscribe", "v", "lesser")
    rules.forbid("publish", "t", "lesser")
    options: dict[str, Any] = {"clean_start": False, "expiry": 100}
    client, publisher = await join("c", version, username="greater", **options), await join("p")
    await client.subscribe("t", "u", "v", qos=1)
    await publisher.publish("t", b"in flight", 1)
    await client.expect_message("t", b"in flight", 1)  # and never acknowledged
    await client.drop()
    for topic in ("t", "u", "v"):
        await publisher.publish(topic, b"queued", 1)
    lesser = await join("c", version, username="lesser", **options)
    assert lesser.connack is not None
    assert lesser.connack.session_present
    assert [m.topic for m in await lesser.take()] == ["u"]
    for topic in ("t", "u", "v"):
        await publisher.publish(topic, b"live", 1)
    assert [m.topic for m in await lesser.take()] == ["u"]
    code = await lesser.publish("t", b"", 1)
    assert code == (ReasonCode.NOT_AUTHORIZED if version == V5 else ReasonCode.SUCCESS)
    await lesser.drop()
    greater = await join("c", version, username="greater", **options)
    await publisher.publish("v", b"live", 1)
    assert [m.topic for m in await greater.take()] == ["v"]


async def test_a_will_that_may_not_be_published_is_refused(
    memory: MemoryBroker, rules: Rules, version: ProtocolVersion
) -> None:
    rules.forbid("publish", "t")
    client = Raw(memory.connect(), version)
    await client.send(Connect("c", protocol_version=version, will=Will("t", b"")))
    assert (await client.expect(ConnAck)).reason_code == ReasonCode.NOT_AUTHORIZED
    await client.expect_closed()
    assert len(core_of(memory.broker).sessions) == 0


async def test_what_is_in_flight_and_may_no_longer_be_received_is_not_sent_again(
    join: Join, broker: Broker, rules: Rules
) -> None:
    client = await join("c", expiry=100)
    await client.subscribe("a/+", qos=1)
    await broker.publish("a/no", b"", qos=1)
    await broker.publish("a/yes", b"", qos=1)
    assert len(await client.messages()) == 2
    await client.drop()
    rules.forbid("receive", "a/no")
    await broker.rules_changed()
    client = await join("c", clean_start=False, expiry=100)
    assert [m.topic for m in await client.take()] == ["a/yes"]
    statistics = broker.statistics
    assert (statistics.deliveries_refused, statistics.messages_dropped) == (1, 0)


async def test_a_will_is_not_published_once_its_client_may_not(
    join: Join, broker: Broker, rules: Rules
) -> None:
    watcher = await join("w")
    await watcher.subscribe("#")
    delayed = Will("t", b"", properties={"will_delay_interval": 10})
    for client_id, will in (("at once", Will("t", b"")), ("later", delayed)):
        client = await join(client_id, will=will, expiry=100)
        rules.forbid("publish", "t")
        await broker.rules_changed()
        await client.drop()
        await trio.sleep(20)
        await watcher.expect_nothing()
        rules.forbidden.clear()
        await broker.rules_changed()
    assert broker.statistics.messages_dropped == 2


async def test_rules_that_fail_forbid_and_harm_nobody_else(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    client, other = await join("c"), await join("o")
    assert await client.publish("fail", b"", 1) == ReasonCode.NOT_AUTHORIZED
    assert await client.subscribe("fail") == [ReasonCode.NOT_AUTHORIZED]
    assert "The access rules failed for 'c'" in caplog.text
    await other.ping()


async def test_answers_are_remembered_for_each_topic(join: Join, rules: Rules) -> None:
    client, publisher = await join("c"), await join("p")
    await client.subscribe("#")
    for _ in range(10):
        await publisher.publish("t", b"")
    await publisher.ping()
    assert len(await client.messages()) == 10
    assert rules.asked == 3  # the subscription, publishing and receiving


def test_what_is_remembered_is_bounded() -> None:
    rules = Rules()
    client = ClientInfo("c", None, "memory", "5")
    permissions = Permissions(client, RulesInForce(rules))
    for number in range(3 * REMEMBERED):
        assert permissions.may_receive(f"t/{number}")
        assert permissions.may_publish(f"t/{number}")
        assert len(permissions._receive) <= REMEMBERED
        assert len(permissions._publish) <= REMEMBERED
    asked = rules.asked
    long = "t" * 60_000
    for _ in range(2):
        assert permissions.may_receive(long)  # is not kept in memory, and asked about each time
    assert rules.asked == asked + 2
