"""QoS 1 and 2 (MQTT 5.0 §4.3, §4.4): what each end of a delivery remembers, and answers."""

from __future__ import annotations

import pytest

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.delivery import MAX_PACKET_IDENTIFIER, Sender
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.receiver import Receiver

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
    with pytest.raises(RemoteProtocolError, match="has accepted"):
        sender.on_pubrec(packet_id, ReasonCode.QUOTA_EXCEEDED)
    assert (sender.released, sender.quota) == ({packet_id: "a"}, 4)
    assert sender.on_pubrec(packet_id, ReasonCode.SUCCESS) == ("a", True)
    assert sender.on_pubcomp(packet_id) == "a"


def test_an_answer_to_nothing_changes_nothing() -> None:
    sender: Sender[str] = Sender(5)
    sender.begin(1, "a")
    assert sender.on_puback(9) is None
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


# -- what is taken up, and what is given up ----------------------------------------------------


def test_what_was_stored_is_sent_again_and_released_again() -> None:
    sender: Sender[str] = Sender()
    sender.restore(5, 2, "sent")
    sender.restore_released(7, "released")
    sender.connected(3)
    assert list(sender.to_resend()) == [(5, 2, "sent")]
    assert (sender.released, sender.quota) == ({7: "released"}, 2)
    sender.sent_again()
    assert sender.quota == 1
    assert sender.on_pubcomp(7) == "released"
    assert sender.quota == 2


def test_what_is_begun_for_later_counts_when_it_is_sent() -> None:
    sender: Sender[str] = Sender(1)
    packet_id = sender.begin_later(1, "first")
    assert (sender.in_flight, sender.quota) == ({packet_id: (1, "first")}, 1)
    assert sender.begin_later(1, "second") != packet_id
    sender.sent_again()
    assert sender.quota == 0
    assert sender.on_puback(packet_id) == "first"
    assert sender.quota == 1


def test_what_is_not_sent_after_all_gives_its_quota_and_its_identifier_back() -> None:
    sender: Sender[str] = Sender(1)
    packet_id = sender.begin(2, "x")
    sender.take_back(packet_id)
    assert (len(sender), sender.quota) == (0, 1)
    assert {sender.free_identifier() for _ in range(MAX_PACKET_IDENTIFIER)} >= {packet_id}


def test_what_took_no_quota_gives_none_back() -> None:
    sender: Sender[str] = Sender()
    packet_id = sender.begin(1, "x")
    sender.connected(4)
    sender.give_up(packet_id)
    assert (len(sender), sender.quota) == (0, 4)


def test_a_session_that_the_peer_lost_has_nothing_released_or_accepted() -> None:
    sender: Sender[str] = Sender()
    for item in ("a", "b"):
        sender.on_pubrec(sender.begin(2, item), ReasonCode.SUCCESS)
    assert sender.forget_released() == ["a", "b"]
    assert len(sender) == 0
    receiver = Receiver()
    receiver.restore({1, 2})
    assert not receiver.on_publish(1)
    receiver.forget()
    assert receiver.on_publish(1)
