"""QoS 1 and 2 (MQTT 5.0 §4.3, §4.4): both ends, and a wire that loses what is on it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trio_mqtt.protocol.delivery import MAX_PACKET_IDENTIFIER, Sender
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.receiver import Receiver

Wire = list[Publish | PubAck | PubRec | PubRel | PubComp]


class Delivery:
    """A sender's session and a receiver's; a connection carries packets between them in order."""

    def __init__(self) -> None:
        self.sender: Sender[int] = Sender()
        self.receiver = Receiver()
        self.there: Wire = []
        self.back: Wire = []
        self.sent: dict[int, int] = {}  # item: QoS
        self.arrived: Counter[int] = Counter()
        self.refused: set[int] = set()
        self.completed: list[int] = []
        self.first_arrivals: dict[int, list[int]] = {1: [], 2: []}
        # Of the receive maximum: what the receiving end has got on this connection and not acked.
        self.unacknowledged: set[int] = set()
        self.to_resend: list[tuple[int, int, int]] = []

    def connect(self, receive_maximum: int) -> None:
        """Everything on the wire is lost; both sessions live on (§4.4)."""
        self.there.clear()
        self.back.clear()
        self.unacknowledged.clear()
        self.sender.connected(receive_maximum)
        self.there += [PubRel(packet_id) for packet_id in self.sender.released]
        self.to_resend = list(self.sender.to_resend())
        self.resend()

    def resend(self) -> None:
        while self.to_resend and self.sender.quota > 0:
            packet_id, qos, item = self.to_resend.pop(0)
            self.sender.sent_again()
            self.there.append(self.packet(packet_id, qos, item, dup=True))

    def packet(self, packet_id: int, qos: int, item: int, dup: bool = False) -> Publish:
        return Publish("t", item.to_bytes(4, "big"), qos, False, dup, packet_id)

    def publish(self, qos: int) -> None:
        item = len(self.sent)
        used = set(self.sender.in_flight) | set(self.sender.released)
        packet_id = self.sender.begin(qos, item)
        assert 1 <= packet_id <= MAX_PACKET_IDENTIFIER
        assert packet_id not in used
        self.sent[item] = qos
        self.there.append(self.packet(packet_id, qos, item))

    def arrive(self, refuse: bool = False) -> None:
        """The receiving end takes one packet."""
        packet = self.there.pop(0)
        if isinstance(packet, PubRel):
            code = self.receiver.on_pubrel(packet.packet_id)
            self.unacknowledged.discard(packet.packet_id)
            self.back.append(PubComp(packet.packet_id, code))
            return
        assert isinstance(packet, Publish)
        self.unacknowledged.add(packet.packet_id)
        assert len(self.unacknowledged) <= self.sender.receive_maximum
        item = int.from_bytes(packet.payload, "big")
        if packet.qos == 1:
            self.take(item, 1)
            self.unacknowledged.discard(packet.packet_id)
            self.back.append(PubAck(packet.packet_id))
            return
        code = ReasonCode.SUCCESS
        if self.receiver.on_publish(packet.packet_id):
            if refuse:
                self.receiver.refused(packet.packet_id)
                self.refused.add(item)
                self.unacknowledged.discard(packet.packet_id)
                code = ReasonCode.QUOTA_EXCEEDED
            else:
                self.take(item, 2)
        self.back.append(PubRec(packet.packet_id, code))

    def take(self, item: int, qos: int) -> None:
        if not self.arrived[item]:
            self.first_arrivals[qos].append(item)
        self.arrived[item] += 1

    def answer(self) -> None:
        """The sending end takes one packet."""
        packet = self.back.pop(0)
        item: int | None = None
        if isinstance(packet, PubAck):
            item = self.sender.on_puback(packet.packet_id)
            assert item is not None
        elif isinstance(packet, PubRec):
            item, release = self.sender.on_pubrec(packet.packet_id, packet.reason_code)
            assert item is not None
            assert release is not packet.reason_code.is_failure
            if release:
                self.there.append(PubRel(packet.packet_id))
                item = None
        else:
            assert isinstance(packet, PubComp)
            item = self.sender.on_pubcomp(packet.packet_id)
            assert item is not None
        if item is not None:
            self.completed.append(item)
        self.resend()

    def settle(self) -> None:
        while self.there or self.back:
            while self.there:
                self.arrive()
            while self.back:
                self.answer()

    def check(self) -> None:
        sender = self.sender
        assert not set(sender.in_flight) & set(sender.released)
        waiting = len(self.to_resend)
        assert sender.quota == sender.receive_maximum - len(sender) + waiting
        for item, qos in self.sent.items():
            if qos == 2:
                assert self.arrived[item] <= 1
        assert len(set(self.completed)) == len(self.completed)

    def check_the_end(self) -> None:
        """All was delivered: QoS 1 at least once, QoS 2 exactly once, each in its order."""
        assert len(self.sender) == 0
        assert self.sender.quota == self.sender.receive_maximum
        assert self.receiver.accepted == set()
        assert sorted(self.completed) == sorted(self.sent)
        for item, qos in self.sent.items():
            if qos == 1:
                assert self.arrived[item] >= 1
            else:
                assert self.arrived[item] == 1 or item in self.refused
        for order in self.first_arrivals.values():
            if not self.refused:
                assert order == sorted(order)


@pytest.mark.normative("MQTT-4.3.2-4", "MQTT-4.3.3-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11")
@pytest.mark.normative_v311("MQTT-4.3.3-1", "MQTT-4.3.3-2", "MQTT-4.4.0-1")
@pytest.mark.parametrize("seed", range(60))
def test_deliveries_survive_broken_connections(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 (a wire that breaks is no secret)
    delivery = Delivery()
    delivery.connect(rng.choice([1, 2, 5, 20]))
    for _ in range(400):
        choice = rng.random()
        if choice < 0.3:
            if delivery.sender.quota > 0 and not delivery.to_resend:
                delivery.publish(rng.choice([1, 2]))
        elif choice < 0.62:
            if delivery.there:
                delivery.arrive()
        elif choice < 0.95:
            if delivery.back:
                delivery.answer()
        else:
            delivery.connect(rng.choice([1, 2, 5, 20]))
        delivery.check()
    delivery.connect(3)
    delivery.settle()
    delivery.check_the_end()
    assert delivery.sent


class DeliveryMachine(RuleBasedStateMachine):
    """The same, with hypothesis to choose and to shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.delivery = Delivery()

    @initialize(receive_maximum=st.integers(1, 4))
    def begin(self, receive_maximum: int) -> None:
        self.delivery.connect(receive_maximum)

    @precondition(lambda self: self.delivery.sender.quota > 0 and not self.delivery.to_resend)
    @rule(qos=st.integers(1, 2))
    def publish(self, qos: int) -> None:
        self.delivery.publish(qos)

    @precondition(lambda self: self.delivery.there)
    @rule(refuse=st.booleans())
    def arrive(self, refuse: bool) -> None:
        self.delivery.arrive(refuse)

    @precondition(lambda self: self.delivery.back)
    @rule()
    def answer(self) -> None:
        self.delivery.answer()

    @rule(receive_maximum=st.integers(1, 4))
    def reconnect(self, receive_maximum: int) -> None:
        self.delivery.connect(receive_maximum)

    @invariant()
    def holds(self) -> None:
        self.delivery.check()

    def teardown(self) -> None:
        self.delivery.settle()
        self.delivery.check_the_end()


TestDeliveryMachine = DeliveryMachine.TestCase
TestDeliveryMachine.settings = settings(
    settings.get_profile("protocol"), max_examples=60, stateful_step_count=40
)


@pytest.mark.parametrize(
    ("in_flight", "released", "order"),
    [
        ([3, 1, 2], [], [1, 2, 3]),
        ([9], [], [9]),
        ([1, 65_535, 65_534, 2], [], [65_534, 65_535, 1, 2]),
        ([1, 65_535], [65_534, 2], [65_534, 65_535, 1, 2]),
        ([], [5, 4], [4, 5]),
        ([], [], []),
    ],
)
def test_what_was_restored_is_in_the_order_of_sending(
    in_flight: list[int], released: list[int], order: list[int]
) -> None:
    sender: Sender[str] = Sender()
    for packet_id in in_flight:
        sender.restore(packet_id, 1, str(packet_id))
    for packet_id in released:
        sender.restore_released(packet_id, str(packet_id))
    sender.all_restored()
    assert [packet_id for packet_id, *_ in sender.to_resend()] == [
        packet_id for packet_id in order if packet_id in in_flight
    ]
    assert list(sender.released) == [packet_id for packet_id in order if packet_id in released]
    sender.connected(100)
    if order:
        newest = sender.begin(1, "next")
        assert newest == order[-1] % 65_535 + 1
