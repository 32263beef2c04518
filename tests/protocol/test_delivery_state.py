"""QoS 1 and 2 (MQTT 5.0 §4.3, §4.4): both ends of a delivery, with a wire that breaks."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.delivery import MAX_PACKET_IDENTIFIER, Receiver, Sender
from trio_mqtt.protocol.packets import PubAck, PubComp, Publish, PubRec, PubRel
from trio_mqtt.protocol.reason_codes import ReasonCode

# -- the sending end --------------------------------------------------------------------------


@pytest.mark.normative("MQTT-2.2.1-3", "MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1")
@pytest.mark.normative_v311("MQTT-2.3.1-2", "MQTT-2.3.1-4")
def test_identifiers_begin_at_1_and_are_never_0() -> None:
    sender: Sender[int] = Sender()
    for turn in range(2):
        for expected in range(1, MAX_PACKET_IDENTIFIER + 1):
            assert sender.begin(1, turn) == expected
            assert sender.on_puback(expected) == turn


@pytest.mark.normative("MQTT-2.2.1-3", "MQTT-2.2.1-4")
@pytest.mark.parametrize("qos", [1, 2])
def test_an_identifier_in_use_is_left_out(qos: int) -> None:
    sender: Sender[str] = Sender()
    held = sender.begin(qos, "slow")
    if qos == 2:
        sender.on_pubrec(held, ReasonCode.SUCCESS)
        assert sender.released == {held: "slow"}
    used = []
    for _ in range(MAX_PACKET_IDENTIFIER + 5):
        packet_id = sender.begin(1, "quick")
        used.append(packet_id)
        sender.on_puback(packet_id)
    assert held not in used


@pytest.mark.normative("MQTT-2.2.1-3")
def test_an_identifier_of_subscribe_is_not_given_to_a_message_meanwhile() -> None:
    sender: Sender[str] = Sender()
    reserved = sender.reserve_identifier()
    assert sender.quota == MAX_PACKET_IDENTIFIER
    for _ in range(MAX_PACKET_IDENTIFIER + 5):
        packet_id = sender.begin(1, "x")
        assert packet_id != reserved
        sender.on_puback(packet_id)
    assert reserved not in (sender.free_identifier(), sender.reserve_identifier())
    sender.return_identifier(reserved)
    assert reserved in {sender.free_identifier() for _ in range(MAX_PACKET_IDENTIFIER)}


def test_a_reserved_identifier_ends_with_its_connection() -> None:
    sender: Sender[str] = Sender()
    sender.reserve_identifier()
    sender.connected(10)
    assert sender.reserved == set()


def test_when_every_identifier_is_in_use_there_is_an_error_and_no_change() -> None:
    sender: Sender[int] = Sender()
    # As a session comes back from storage: no identifier was given by this object.
    for packet_id in range(1, 60_000):
        sender.restore(packet_id, 1, packet_id)
    for packet_id in range(60_000, MAX_PACKET_IDENTIFIER + 1):
        sender.restore_released(packet_id, packet_id)
    assert sender.quota > 0
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="every packet identifier"):
            sender.begin(1, 0)
    assert sender.quota == MAX_PACKET_IDENTIFIER
    assert len(sender) == MAX_PACKET_IDENTIFIER
    sender.on_puback(30_000)
    assert sender.begin(2, 7) == 30_000


@pytest.mark.normative("MQTT-4.9.0-1", "MQTT-4.9.0-2", "MQTT-3.3.4-7")
def test_no_more_are_begun_than_receive_maximum_allows() -> None:
    sender: Sender[str] = Sender(2)
    first, second = sender.begin(1, "a"), sender.begin(2, "b")
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="receive maximum"):
            sender.begin(1, "c")
    assert len(sender) == 2
    sender.on_puback(first)
    assert sender.quota == 1
    sender.on_pubrec(second, ReasonCode.SUCCESS)
    assert sender.quota == 1  # it counts until PUBCOMP
    sender.on_pubcomp(second)
    assert sender.quota == 2


@pytest.mark.normative("MQTT-4.3.2-3")
def test_puback_ends_a_delivery_once() -> None:
    sender: Sender[str] = Sender(5)
    packet_id = sender.begin(1, "a")
    assert sender.on_puback(packet_id) == "a"
    assert sender.on_puback(packet_id) is None
    assert sender.on_puback(99) is None
    assert (sender.quota, len(sender)) == (5, 0)


@pytest.mark.normative("MQTT-4.3.3-3", "MQTT-4.3.3-5", "MQTT-4.3.3-6")
def test_pubrec_releases_and_pubcomp_ends() -> None:
    sender: Sender[str] = Sender(5)
    packet_id = sender.begin(2, "a")
    assert list(sender.to_resend()) == [(packet_id, 2, "a")]
    assert sender.on_pubrec(packet_id, ReasonCode.SUCCESS) == ("a", True)
    assert list(sender.to_resend()) == []  # never PUBLISH again
    assert sender.on_pubrec(packet_id, ReasonCode.SUCCESS) == ("a", True)  # PUBREL again
    assert sender.on_pubcomp(packet_id) == "a"
    assert sender.on_pubcomp(packet_id) is None
    assert sender.on_pubrec(packet_id, ReasonCode.SUCCESS) == (None, False)
    assert (sender.quota, len(sender)) == (5, 0)


def test_items_may_be_none() -> None:
    sender: Sender[None] = Sender(1)
    for _ in range(3):
        packet_id = sender.begin(2, None)
        sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
        sender.on_pubcomp(packet_id)
    assert sender.quota == 1


@pytest.mark.normative("MQTT-4.4.0-2")
@pytest.mark.parametrize("code", [ReasonCode.UNSPECIFIED_ERROR, ReasonCode.QUOTA_EXCEEDED])
def test_a_failure_in_pubrec_ends_the_delivery(code: ReasonCode) -> None:
    sender: Sender[str] = Sender(5)
    packet_id = sender.begin(2, "a")
    assert sender.on_pubrec(packet_id, code) == ("a", False)
    assert list(sender.to_resend()) == []
    assert (sender.quota, len(sender)) == (5, 0)


def test_no_matching_subscribers_is_no_failure() -> None:
    sender: Sender[str] = Sender(5)
    packet_id = sender.begin(2, "a")
    answer = sender.on_pubrec(packet_id, ReasonCode.NO_MATCHING_SUBSCRIBERS)
    assert answer == ("a", True)


def test_an_answer_of_the_wrong_qos_is_a_protocol_error_and_changes_nothing() -> None:
    sender: Sender[str] = Sender(5)
    one, two = sender.begin(1, "a"), sender.begin(2, "b")
    with pytest.raises(RemoteProtocolError, match="QoS 2"):
        sender.on_puback(two)
    with pytest.raises(RemoteProtocolError, match="QoS 2"):
        sender.on_pubacks([9, two])
    with pytest.raises(RemoteProtocolError, match="QoS 1"):
        sender.on_pubrec(one, ReasonCode.SUCCESS)
    for packet_id in (one, two):
        with pytest.raises(RemoteProtocolError, match="PUBCOMP answers a PUBLISH"):
            sender.on_pubcomp(packet_id)
    assert list(sender.to_resend()) == [(one, 1, "a"), (two, 2, "b")]
    assert sender.quota == 3


@pytest.mark.normative("MQTT-4.13.1-1")
@pytest.mark.normative_v311("MQTT-4.8.0-1")
def test_an_answer_that_does_not_fit_pubrel_is_a_protocol_error_and_changes_nothing() -> None:
    sender: Sender[str] = Sender(5)
    packet_id = sender.begin(2, "a")
    sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
    with pytest.raises(RemoteProtocolError, match="PUBACK answers a PUBREL"):
        sender.on_puback(packet_id)
    with pytest.raises(RemoteProtocolError, match="PUBACK answers a PUBREL"):
        sender.on_pubacks([packet_id])
    with pytest.raises(RemoteProtocolError, match="has accepted"):
        sender.on_pubrec(packet_id, ReasonCode.QUOTA_EXCEEDED)
    assert (sender.released, sender.quota) == ({packet_id: "a"}, 4)
    assert sender.on_pubrec(packet_id, ReasonCode.SUCCESS) == ("a", True)
    assert sender.on_pubcomp(packet_id) == "a"


def test_an_answer_to_nothing_changes_nothing() -> None:
    sender: Sender[str] = Sender(5)
    sender.begin(1, "a")
    assert sender.on_puback(9) is None
    sender.on_pubacks([8, 9])
    assert sender.on_pubrec(9, ReasonCode.SUCCESS) == (None, False)
    assert sender.on_pubrec(9, ReasonCode.QUOTA_EXCEEDED) == (None, False)
    assert sender.on_pubcomp(9) is None
    assert (len(sender), sender.quota) == (1, 4)


@pytest.mark.normative("MQTT-4.6.0-1", "MQTT-4.6.0-4")
@pytest.mark.normative_v311("MQTT-4.6.0-1", "MQTT-4.6.0-4", "MQTT-2.3.1-3")
def test_what_is_sent_again_keeps_its_order_and_identifier() -> None:
    sender: Sender[int] = Sender()
    identifiers = [sender.begin(1 + i % 2, i) for i in range(10)]
    sender.on_puback(identifiers[4])
    sender.on_pubrec(identifiers[7], ReasonCode.SUCCESS)
    sender.on_pubrec(identifiers[1], ReasonCode.SUCCESS)
    assert [item for _, _, item in sender.to_resend()] == [0, 2, 3, 5, 6, 8, 9]
    assert [packet_id for packet_id, _, item in sender.to_resend()] == [
        identifiers[item] for item in (0, 2, 3, 5, 6, 8, 9)
    ]
    assert list(sender.released) == [identifiers[7], identifiers[1]]  # as PUBREC came


@pytest.mark.normative("MQTT-4.9.0-1", "MQTT-3.3.4-7")
def test_a_smaller_receive_maximum_of_the_next_connection_holds_for_what_is_sent_again() -> None:
    sender: Sender[int] = Sender(6)
    for i in range(6):
        sender.begin(2, i)
    sender.on_pubrec(1, ReasonCode.SUCCESS)
    sender.connected(2)
    assert sender.quota == 1  # one is released, five wait to be sent again
    outstanding = 0
    done = []
    for packet_id, _, item in list(sender.to_resend()):
        while sender.quota <= 0:
            if sender.released:
                assert sender.on_pubcomp(next(iter(sender.released))) is not None
            else:
                first = next(iter(sender.in_flight))
                sender.on_pubrec(first, ReasonCode.SUCCESS)
                continue
            outstanding -= 1
        sender.sent_again()
        outstanding += 1
        assert outstanding <= 2
        done.append((packet_id, item))
    assert done == [(i + 1, i) for i in range(1, 6)]
    for packet_id in list(sender.in_flight):
        sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
    for packet_id in list(sender.released):
        sender.on_pubcomp(packet_id)
    assert (sender.quota, len(sender)) == (2, 0)


# -- the receiving end ------------------------------------------------------------------------


@pytest.mark.normative("MQTT-4.3.3-10", "MQTT-4.3.3-11", "MQTT-4.3.3-12")
def test_a_message_is_new_once_until_it_is_released() -> None:
    receiver = Receiver()
    assert receiver.on_publish(7)
    assert not receiver.on_publish(7)
    assert receiver.on_publish(8)
    assert receiver.on_pubrel(7) == ReasonCode.SUCCESS
    assert receiver.on_pubrel(7) == ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
    assert receiver.on_publish(7)
    assert not receiver.on_publish(8)


@pytest.mark.normative("MQTT-4.3.3-9")
def test_a_refused_message_frees_its_identifier() -> None:
    receiver = Receiver()
    assert receiver.on_publish(7)
    receiver.refused(7)
    receiver.refused(7)
    assert receiver.on_publish(7)


def test_a_repeated_identifier_takes_one_slot() -> None:
    """CVE-2023-28366: memory grew with each repetition."""
    receiver = Receiver()
    assert [receiver.on_publish(7) for _ in range(1_000)].count(True) == 1
    assert receiver.accepted == {7}


# -- both ends, and a wire that loses what is on it when it breaks -----------------------------

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
