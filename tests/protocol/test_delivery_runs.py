"""A run of acknowledgements does what its packets would do one by one (MQTT 5.0 §4.3)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.outcome import Outcome
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.receiver import Receiver

PUBACK, PUBREC, PUBCOMP = PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBCOMP
Found = tuple[dict[int, str], list[int], str | None, int]


def sender_with(states: Sequence[str]) -> Sender[str]:
    """Identifiers from 1 on are in these states."""
    sender: Sender[str] = Sender(100)
    for place, state in enumerate(states):
        item = f"{state} {place}"
        packet_id = sender.begin(1 if state in {"QoS 1", "done"} else 2, item)
        if state == "released":
            sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
        elif state == "done":
            sender.on_puback(packet_id)
    return sender


def one_by_one(sender: Sender[str], kind: PacketType, packet_ids: Sequence[int]) -> Found:
    """What the packets of a run come to: items, places of unknown ones, violation, how many."""
    items: dict[int, str] = {}
    unknown: list[int] = []
    for place, packet_id in enumerate(packet_ids):
        was_released = packet_id in sender.released
        try:
            if kind is PUBACK:
                item = sender.on_puback(packet_id)
            elif kind is PUBREC:
                item, release = sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
                assert release is (item is not None)
            else:
                item = sender.on_pubcomp(packet_id)
        except RemoteProtocolError as error:
            return items, unknown, str(error), place
        if item is None:
            unknown.append(place)
        elif kind is not PUBREC or not was_released:
            items[packet_id] = item
    return items, unknown, None, len(packet_ids)


def found(outcome: Outcome[str]) -> Found:
    violation = None if outcome.violation is None else str(outcome.violation)
    return outcome.items, outcome.unknown, violation, outcome.count


def state_of(sender: Sender[str]) -> object:
    """All of it, with the orders in which it would be sent again."""
    return list(sender.in_flight.items()), list(sender.released.items()), sender.quota


@given(
    states=st.lists(st.sampled_from(["QoS 1", "QoS 2", "released", "done"]), max_size=8),
    kind=st.sampled_from([PUBACK, PUBREC, PUBCOMP]),
    packet_ids=st.lists(st.integers(1, 9), max_size=12),
)
@example(["QoS 2"] * 3, PUBREC, [2, 3, 2, 1])
@example(["QoS 1"] * 3, PUBACK, [1, 2, 3])
@example(["released"] * 3, PUBCOMP, [3, 2, 1])
def test_a_run_is_its_packets_one_by_one(
    states: list[str], kind: PacketType, packet_ids: list[int]
) -> None:
    at_once, each = sender_with(states), sender_with(states)
    if kind is PUBCOMP and packet_ids:
        packet_ids = list(range(packet_ids[0], packet_ids[0] + len(packet_ids)))
        if at_once.on_pubcomps(range(packet_ids[0], packet_ids[-1] + 1)):
            assert one_by_one(each, kind, packet_ids)[1:] == ([], None, len(packet_ids))
            assert state_of(at_once) == state_of(each)
            return
    outcome = at_once.on_run(kind, packet_ids)
    expected = one_by_one(each, kind, packet_ids)
    assert found(outcome) == expected
    assert list(outcome.items) == list(expected[0])
    assert state_of(at_once) == state_of(each)


@given(accepted=st.sets(st.integers(1, 9)), packet_ids=st.lists(st.integers(1, 9), max_size=12))
def test_a_run_of_pubrel_is_its_packets_one_by_one(
    accepted: set[int], packet_ids: list[int]
) -> None:
    at_once, each = Receiver(), Receiver()
    for receiver in (at_once, each):
        receiver.restore(accepted)
    first = packet_ids[0] if packet_ids else 1
    in_order = range(first, first + 3)
    if all(packet_id in accepted for packet_id in in_order):
        assert at_once.on_all_pubrels(in_order)
        assert [each.on_pubrel(packet_id) for packet_id in in_order] == [ReasonCode.SUCCESS] * 3
    else:
        assert not at_once.on_all_pubrels(in_order)
    assert at_once.accepted == each.accepted
    outcome = at_once.on_pubrels(packet_ids)
    codes = [each.on_pubrel(packet_id) for packet_id in packet_ids]
    assert outcome.unknown == [place for place, code in enumerate(codes) if code]
    assert list(outcome.items) == [
        packet_id for packet_id, code in zip(packet_ids, codes, strict=True) if not code
    ]
    assert (outcome.violation, outcome.count) == (None, len(packet_ids))
    assert at_once.accepted == each.accepted


@given(
    accepted=st.sets(st.integers(1, 9), max_size=3),
    packet_ids=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_a_run_of_qos_2_is_accepted_where_each_of_it_is_new(
    accepted: set[int], packet_ids: list[int]
) -> None:
    at_once, each = Receiver(), Receiver()
    for receiver in (at_once, each):
        receiver.restore(accepted)
    is_new = [each.on_publish(packet_id) for packet_id in packet_ids]
    assert at_once.on_publishes(packet_ids) is all(is_new)
    assert at_once.accepted == (each.accepted if all(is_new) else accepted)


@pytest.mark.normative("MQTT-4.13.1-1")
@pytest.mark.parametrize(
    ("kind", "bad", "words"),
    [
        (PUBACK, 2, "PUBACK answers a message of QoS 2"),
        (PUBACK, 3, "PUBACK answers a PUBREL"),
        (PUBREC, 1, "PUBREC answers a message of QoS 1"),
        (PUBCOMP, 1, "PUBCOMP answers a PUBLISH"),
        (PUBCOMP, 2, "PUBCOMP answers a PUBLISH"),
    ],
)
def test_what_breaks_the_rules_ends_a_run_and_what_came_before_it_holds(
    kind: PacketType, bad: int, words: str
) -> None:
    sender = sender_with(["QoS 1", "QoS 2", "released"] * 2)
    good = {PUBACK: 4, PUBREC: 5, PUBCOMP: 6}[kind]
    before = state_of(sender_with(["QoS 1", "QoS 2", "released"] * 2))
    outcome = sender.on_run(kind, [9, good, bad, good])
    assert str(outcome.violation) == words
    assert (outcome.count, list(outcome.items), outcome.unknown) == (2, [good], [0])
    assert bad in {**sender.in_flight, **sender.released}
    assert state_of(sender) != before


# What is done with a sender: so many messages are sent as a run (or one that is none), and so many
# packet identifiers from one on are acknowledged at once, or each by itself.
STEPS = st.lists(
    st.tuples(st.sampled_from(["run", "run of QoS 2", "message", "QoS 2"]), st.integers(1, 5))
    | st.tuples(
        st.sampled_from(["PUBACKs", "PUBACKs", "PUBACK", "PUBREC", "PUBRECs", "PUBRECs"]),
        st.integers(0, 12),
    ),
    max_size=30,
)


@given(steps=STEPS, looks=st.sets(st.integers(0, 30), max_size=3))
@example([("run", 5), ("run", 3), ("PUBACKs", 0), ("PUBACKs", 4)], set())
@example([("run", 1)] * 20 + [("PUBACKs", 0)] * 5, set())
@example([("run of QoS 2", 5), ("run of QoS 2", 3), ("PUBRECs", 4), ("PUBRECs", 9)], set())
@example([("run of QoS 2", 5), ("PUBRECs", 4), ("run", 5), ("PUBACKs", 4), ("run", 5)], {5})
def test_what_is_sent_in_runs_is_in_flight_as_each_is_that_is_sent_alone(
    steps: list[tuple[str, int]], looks: set[int]
) -> None:
    at_once: Sender[str] = Sender(40)
    each: Sender[str] = Sender(40)
    oldest = 1
    for place, (step, number) in enumerate(steps):
        item = f"{step} {place}"
        if step in {"run", "run of QoS 2"}:
            qos = 1 if step == "run" else 2
            count = min(number, at_once.quota)
            first = at_once.begin_run(qos, item, count) if count else 0
            assert all(first + at == each.begin(qos, item) for at in range(count if first else 0))
        elif step in {"message", "QoS 2"}:
            if at_once.quota:
                qos = 1 if step == "message" else 2
                assert at_once.begin(qos, item) == each.begin(qos, item)
        elif step == "PUBREC":
            packet_id = oldest + number
            found_at_once, found_each = (on_pubrec(sender, packet_id) for sender in (at_once, each))
            assert found_at_once == found_each
        else:
            packet_ids = range(oldest, oldest + number // 2 + 1)
            if step == "PUBACK":  # of one that need not be the oldest
                packet_ids = range(oldest + number, oldest + number + 1)
                assert on_puback(at_once, packet_ids[0]) == on_puback(each, packet_ids[0])
            else:
                if step == "PUBRECs":
                    kind, rest = PUBREC, at_once.on_pubrecs(packet_ids)
                else:
                    kind, rest = PUBACK, at_once.on_pubacks(packet_ids)
                violation = at_once.on_run(kind, rest).violation
                expected = each.on_run(kind, packet_ids).violation
                assert str(violation) == str(expected)
                oldest = packet_ids.stop if violation is None else oldest
        assert (at_once.quota, len(at_once)) == (each.quota, len(each))
        if place in looks:
            assert state_of(at_once) == state_of(each)
    assert state_of(at_once) == state_of(each)


def on_puback(sender: Sender[str], packet_id: int) -> str | None:
    try:
        return sender.on_puback(packet_id)
    except RemoteProtocolError as error:
        return f"error: {error}"


def on_pubrec(sender: Sender[str], packet_id: int) -> object:
    try:
        return sender.on_pubrec(packet_id, ReasonCode.SUCCESS)
    except RemoteProtocolError as error:
        return f"error: {error}"


def test_a_run_that_is_in_flight_keeps_its_identifiers() -> None:
    sender: Sender[str] = Sender()
    assert sender.begin_run(1, "long", 65_000) == 1
    assert sender.on_pubacks(range(1, 3)) == range(3, 3)
    assert sender.begin_run(1, "later", 530) == 65_001
    assert sender.begin_run(1, "too many for either end", 6) == 0
    assert sender.begin_run(1, "the last", 5) == 65_531
    assert sender.begin_run(1, "from the start", 2) == 1
    assert (len(sender), sender.quota) == (65_535, 0)
    assert list(sender.in_flight) == [*range(3, 65_536), 1, 2]


def test_many_runs_that_are_in_flight_keep_theirs() -> None:
    sender: Sender[str] = Sender()
    assert sender.begin_run(1, "first", 10) == 1
    for packet_id in range(11, 25):
        assert sender.begin_run(1, "alone", 1) == packet_id
    assert sender.begin_run(1, "long", 65_000) == 25
    assert sender.on_pubacks(range(1, 6)) == range(6, 6)
    assert sender.begin_run(1, "too many for the end, and for the start", 515) == 0
    assert sender.begin_run(1, "from the end", 511) == 65_025
    assert len(sender) == len(sender.in_flight) == 65_530
