"""What is sent as a run is in flight as if each message had been sent alone (MQTT 5.0 §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.delivery import Sender
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ReasonCode

SUCCESS, FAILURE = ReasonCode.SUCCESS, ReasonCode.UNSPECIFIED_ERROR
IDENTIFIERS = st.integers(1, 12)
STEPS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from([1, 2]), st.integers(1, 4)),
    st.tuples(st.sampled_from(["alone", "later"]), st.sampled_from([1, 2])),
    st.tuples(st.sampled_from(["reserve", "free", "restored", "connected"])),
    st.tuples(st.sampled_from(["puback", "pubcomp", "take back", "give up"]), IDENTIFIERS),
    st.tuples(st.just("restore"), IDENTIFIERS, st.sampled_from([1, 2])),
    st.tuples(st.just("pubrec"), IDENTIFIERS, st.sampled_from([SUCCESS, FAILURE])),
    st.tuples(st.sampled_from(["pubacks", "pubrecs"]), IDENTIFIERS, st.integers(1, 5)),
)


def outcome_of(call: Callable[[], object]) -> object:
    try:
        return call()
    except (LocalProtocolError, RemoteProtocolError) as error:
        return str(error)


def done(sender: Sender[int], item: int, step: tuple[Any, ...]) -> object:
    """What a step comes to that is the same for both."""
    match step:
        case "alone", qos:
            return outcome_of(lambda: sender.begin(qos, item))
        case "later", qos:
            return sender.begin_later(qos, item)
        case ("reserve",):
            return sender.reserve_identifier()
        case ("free",):
            return sender.free_identifier()
        case ("restored",):
            return outcome_of(sender.all_restored)
        case ("connected",):
            return outcome_of(lambda: sender.connected(20))
        case "puback", packet_id:
            return outcome_of(lambda: sender.on_puback(packet_id))
        case "pubcomp", packet_id:
            return outcome_of(lambda: sender.on_pubcomp(packet_id))
        case "pubrec", packet_id, code:
            return outcome_of(lambda: sender.on_pubrec(packet_id, code))
        case "take back", packet_id:
            return outcome_of(lambda: sender.take_back(packet_id))
        case "give up", packet_id:
            return outcome_of(lambda: sender.give_up(packet_id))
        case "restore", packet_id, qos:
            return outcome_of(lambda: sender.restore(packet_id, qos, item))
    raise AssertionError(step)


def begun(in_runs: Sender[int], alone: Sender[int], item: int, qos: int, count: int) -> None:
    """Send so many together, and one by one."""
    before = in_runs.quota
    first = outcome_of(lambda: in_runs.begin_run(qos, item, count))
    if isinstance(first, int) and first:
        assert [alone.begin(qos, item) for _ in range(count)] == [*range(first, first + count)]
        return
    assert in_runs.quota == before
    if first:
        assert before < count
        return
    # So many are not free in a row.
    in_use = {*alone.in_flight, *alone.released, *alone.reserved}
    probe = alone.free_identifier()  # which makes it the last
    assert in_runs.free_identifier() == probe
    assert in_use


def answered(in_runs: Sender[int], alone: Sender[int], name: str, first: int, count: int) -> None:
    """Many are answered, as runs where they are runs."""
    packet_ids = range(first, first + count)
    kind = PacketType.PUBACK if name == "pubacks" else PacketType.PUBREC
    left = in_runs.on_pubacks(packet_ids) if name == "pubacks" else in_runs.on_pubrecs(packet_ids)
    assert left.stop == packet_ids.stop
    by_one = alone.on_run(kind, packet_ids)
    if left:
        rest = in_runs.on_run(kind, left)
        assert str(rest.violation) == str(by_one.violation)
        assert rest.count + count - len(left) == by_one.count


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=12))
@example([("run", 1, 3), ("puback", 1), ("pubacks", 2, 1), ("puback", 3), ("run", 1, 1)])
@example([("run", 1, 4), ("pubacks", 1, 2), ("run", 1, 2), ("pubacks", 3, 4)])
@example([("run", 2, 3), ("pubrecs", 1, 2), ("pubrec", 3, FAILURE), ("pubcomp", 1)])
@example([("run", 1, 2), ("pubacks", 1, 2), ("run", 2, 2), ("pubacks", 3, 2)])
@example([("restore", 2, 1), ("alone", 1), ("alone", 1), ("run", 1, 2)])
@example([("run", 1, 1)] * 18)
@example([("run", 2, 2), ("puback", 1), ("puback", 2)])
@example([("run", 1, 2), ("take back", 1), ("give up", 2)])
@example([("run", 1, 2), ("restore", 9, 1), ("restored",), ("alone", 1)])
def test_runs_are_their_messages_whatever_happens(steps: list[tuple[Any, ...]]) -> None:
    in_runs: Sender[int] = Sender(20)
    alone: Sender[int] = Sender(20)
    for item, step in enumerate(steps):
        match step:
            case "run", qos, count:
                begun(in_runs, alone, item, qos, count)
            case ("pubacks" | "pubrecs") as name, first, count:
                answered(in_runs, alone, name, first, count)
            case (("take back" | "give up"), packet_id) if packet_id not in alone.in_flight:
                pass
            case "restore", packet_id, _ if packet_id in {*alone.in_flight, *alone.released}:
                pass
            case _:
                assert done(in_runs, item, step) == done(alone, item, step)
        assert in_runs.quota == alone.quota
        assert len(in_runs) == len(alone)
    assert [*in_runs.to_resend()] == [*alone.to_resend()]
    assert [*in_runs.released.items()] == [*alone.released.items()]
    assert in_runs.reserved == alone.reserved
