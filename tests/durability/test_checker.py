"""The checker finds what it is there to find, and nothing else: no broker takes part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.durability.checker import Kind, check
from tests.durability.history import (
    LASTING,
    Acknowledged,
    Completed,
    Connected,
    Connecting,
    Down,
    Ended,
    Event,
    History,
    Looked,
    Looking,
    Publishing,
    Received,
    Released,
    Resent,
    Stopping,
    Subscribed,
    Subscribing,
    Unsubscribed,
    Unsubscribing,
    Up,
    Violated,
    WillOf,
    number_in,
    payload_of,
    to_lines,
)


class Story:
    """Writes a history. Each step takes a second."""

    def __init__(self) -> None:
        self.events: History = []
        self.now = 0.0

    def add(self, kind: type[Event], *fields: Any, **named: Any) -> Story:
        self.now += 1.0
        self.events.append(kind(self.now, *fields, **named))
        return self

    def connect(self, client: str, present: bool = False, **named: Any) -> Story:
        return self.add(Connecting, client, **named).add(Connected, client, present)

    def subscribe(self, client: str, topic_filter: str = "t", qos: int = 2) -> Story:
        self.add(Subscribing, client, topic_filter, qos)
        return self.add(Subscribed, client, topic_filter)

    def unsubscribe(self, client: str, topic_filter: str = "t") -> Story:
        self.add(Unsubscribing, client, topic_filter)
        return self.add(Unsubscribed, client, topic_filter)

    def send(self, number: int, qos: int = 1, topic: str = "t", **named: Any) -> Story:
        return self.add(Publishing, "p", number, topic, qos, number, **named)

    def publish(self, number: int, qos: int = 1, topic: str = "t", **named: Any) -> Story:
        """Sent and acknowledged, all the way."""
        self.send(number, qos, topic, **named).add(Acknowledged, "p", number)
        return self if qos == 1 else self.add(Completed, "p", number)

    def receive(self, client: str, number: int | None, qos: int = 1, **named: Any) -> Story:
        """Received, and at QoS 2 released."""
        topic, packet_id = named.pop("topic", "t"), named.pop("packet_id", number)
        self.add(Received, client, number, topic, qos, packet_id, **named)
        return self if qos == 1 else self.add(Released, client, packet_id)

    def crash(self, *clients: str) -> Story:
        """The broker goes and comes, and so do clients."""
        self.add(Down).add(Up)
        for client in clients:
            self.connect(client, True)
        return self

    def look(self, **found: int | None) -> Story:
        topics = tuple(found)
        kept = tuple((topic, number) for topic, number in found.items() if number is not None)
        return self.add(Looking, "probe", topics).add(Looked, "probe", kept)

    @property
    def kinds(self) -> list[Kind]:
        return [violation.kind for violation in check(self.events)]


def story() -> Story:
    """The publisher "p" and the subscriber "s", with sessions that last, at QoS 2 to "t"."""
    return Story().add(Up).connect("p").connect("s").subscribe("s")


def test_nothing_is_wrong_with_what_is_right() -> None:
    right = story().publish(1).receive("s", 1).publish(2, 2).receive("s", 2, 2)
    right.crash("p", "s").publish(3, 2).receive("s", 3, 2)
    assert right.kinds == []


def test_an_early_acknowledgement_shows_as_a_loss() -> None:
    assert story().publish(1).crash("p", "s").kinds == [Kind.LOST]
    assert story().send(1, 2).add(Acknowledged, "p", 1).crash("p", "s").kinds == [Kind.LOST]


def test_what_was_not_acknowledged_or_refused_may_be_lost() -> None:
    assert story().send(1).crash("p", "s").kinds == []
    assert story().send(1).add(Acknowledged, "p", 1, accepted=False).kinds == []


def test_a_forgotten_row_of_a_queue_is_the_loss_of_one_session() -> None:
    lost = story().connect("other").subscribe("other", "+").publish(1).publish(2)
    lost.crash("p", "s", "other").receive("s", 1).receive("s", 2).receive("other", 1)
    (violation,) = check(lost.events)
    assert (violation.kind, violation.number) == (Kind.LOST, 2)
    assert "other never got" in violation.what


@pytest.mark.parametrize("given_up", ["unsubscribed", "unsubscribing", "clean start", "not yet"])
def test_nothing_is_owed_where_the_subscription_is_not_sure(given_up: str) -> None:
    if given_up == "not yet":
        early = Story().connect("p").connect("s").add(Subscribing, "s", "t", 1)
        assert early.publish(1).add(Subscribed, "s", "t").kinds == []
        return
    gone = story().publish(1)
    if given_up == "unsubscribed":
        gone.unsubscribe("s")
    elif given_up == "unsubscribing":
        gone.add(Unsubscribing, "s", "t").crash("p", "s")
    else:
        gone.add(Ended, "s").connect("s", clean_start=True)
    assert gone.kinds == []


def test_a_lost_session_owes_what_was_sent_before_its_client_knew() -> None:
    lost = story().publish(1).add(Down).add(Up).connect("s", False).publish(2)
    assert lost.kinds == [Kind.LOST, Kind.SESSION]
    assert lost.subscribe("s").publish(3).kinds == [Kind.LOST, Kind.LOST, Kind.SESSION]


def test_who_subscribes_again_is_owed_what_came_before() -> None:
    assert story().publish(1).subscribe("s", qos=1).kinds == [Kind.LOST]


def test_a_quality_2_identifier_that_was_not_stored_shows_as_a_repetition() -> None:
    twice = story().send(1, 2).receive("s", 1, 2).crash("p", "s").add(Resent, "p", 1)
    twice.add(Acknowledged, "p", 1).add(Completed, "p", 1).receive("s", 1, 2, packet_id=7)
    assert twice.kinds == [Kind.REPEATED]


def test_a_repetition_before_pubrel_is_the_same_delivery() -> None:
    once = story().publish(1, 2).add(Received, "s", 1, "t", 2, 7).crash("p", "s")
    once.add(Received, "s", 1, "t", 2, 7, dup=True).add(Released, "s", 7)
    assert once.kinds == []


def test_an_identifier_that_is_not_free_is_not_used() -> None:
    reused = story().publish(1, 2).publish(2, 2).add(Received, "s", 1, "t", 2, 7)
    reused.add(Received, "s", 2, "t", 2, 7)
    assert reused.kinds == [Kind.LOST, Kind.PROTOCOL]


def test_quality_1_may_come_twice() -> None:
    assert story().publish(1).receive("s", 1).crash("p", "s").receive("s", 1, dup=True).kinds == []


@pytest.mark.parametrize("qos", [1, 2])
def test_order_is_kept(qos: int) -> None:
    sent = story().publish(1, qos).publish(2, qos).crash("p", "s")
    assert sent.receive("s", 2, qos).receive("s", 1, qos).kinds == [Kind.REORDERED]


def test_repetitions_and_other_topics_are_not_out_of_order() -> None:
    again = story().publish(1).publish(2).receive("s", 1).receive("s", 2).crash("p", "s")
    assert again.receive("s", 1, dup=True).receive("s", 2, dup=True).kinds == []
    other = story().subscribe("s", "u").publish(1).publish(2, topic="u")
    assert other.receive("s", 2, topic="u").receive("s", 1).kinds == []


def test_what_was_sent_before_the_subscription_may_come_after_what_was_sent_later() -> None:
    # The first is sent again after a crash: by then it finds the subscription.
    late = Story().connect("p").connect("s").send(1).subscribe("s").send(2).receive("s", 2)
    late.crash("p", "s").add(Resent, "p", 1).add(Acknowledged, "p", 1)
    late.add(Resent, "p", 2).add(Acknowledged, "p", 2).receive("s", 1).receive("s", 2)
    assert late.kinds == []


def test_nothing_comes_that_nobody_sent() -> None:
    assert story().receive("s", None, packet_id=1).kinds == [Kind.UNSENT]
    assert story().receive("s", 5).kinds == [Kind.UNSENT]
    assert story().publish(1).receive("s", 1, topic="t2").kinds == [Kind.UNSENT]
    assert Kind.UNSENT in story().receive("s", 1).publish(1).kinds


def test_a_subscription_that_was_given_up_does_not_come_back() -> None:
    risen = story().unsubscribe("s").crash("p", "s").publish(1).receive("s", 1)
    assert risen.kinds == [Kind.UNWANTED]
    cleaned = story().add(Ended, "s").connect("s", clean_start=True).publish(1).receive("s", 1)
    assert cleaned.kinds == [Kind.UNWANTED]


def test_a_clean_start_without_an_answer_may_leave_the_subscription() -> None:
    cut = story().add(Ended, "s").add(Connecting, "s", clean_start=True).add(Down).add(Up)
    assert cut.connect("s", True).publish(1).receive("s", 1).kinds == []
    assert cut.unsubscribe("s").publish(2).receive("s", 2).kinds == [Kind.UNWANTED]
    gone = story().add(Ended, "s").add(Connecting, "s", clean_start=True).add(Down).add(Up)
    assert gone.connect("s", False).publish(1).receive("s", 1).kinds == [Kind.UNWANTED]


def test_a_message_that_was_sent_while_subscribed_may_come_after() -> None:
    assert story().send(1).unsubscribe("s").add(Acknowledged, "p", 1).receive("s", 1).kinds == []


def test_a_subscription_keeps_its_quality() -> None:
    assert story().publish(1, 2).crash("p", "s").receive("s", 1, 1).kinds == [Kind.UNWANTED]


class TestRetained:
    def test_the_last_acknowledged_is_kept(self) -> None:
        kept = story().publish(1, retain=True).receive("s", 1).crash("p", "s")
        assert kept.look(t=1).kinds == []
        assert kept.look(t=None).kinds == [Kind.RETAINED]

    def test_an_older_one_does_not_come_back(self) -> None:
        risen = Story().connect("p").publish(1, retain=True).publish(2, retain=True)
        assert risen.add(Down).add(Up).look(t=1).kinds == [Kind.RETAINED]

    def test_what_was_removed_does_not_come_back(self) -> None:
        risen = Story().connect("p").publish(1, retain=True)
        risen.publish(2, retain=True, is_removal=True)
        assert risen.look(t=None).kinds == []
        assert risen.add(Down).add(Up).look(t=1).kinds == [Kind.RETAINED]

    def test_a_later_one_that_was_not_acknowledged_may_be_there_or_not(self) -> None:
        for found in (1, 2):
            sent = Story().connect("p").publish(1, retain=True).send(2, retain=True)
            assert sent.add(Down).add(Up).look(t=found).kinds == []

    def test_what_was_seen_to_be_gone_stays_gone(self) -> None:
        seen = Story().connect("p").publish(1, retain=True).send(2, retain=True)
        assert seen.look(t=2).add(Down).add(Up).look(t=1).kinds == [Kind.RETAINED]

    def test_one_of_two_at_the_same_time_is_right(self) -> None:
        for found in (1, 2):
            both = Story().connect("p").send(1, retain=True).send(2, retain=True)
            both.add(Acknowledged, "p", 1).add(Acknowledged, "p", 2)
            assert both.look(t=found).kinds == []

    def test_quality_2_may_take_effect_until_it_is_complete(self) -> None:
        half = Story().connect("p").send(1, 2, retain=True).add(Acknowledged, "p", 1)
        assert half.look(t=None).kinds == []
        assert half.add(Completed, "p", 1).look(t=None).kinds == [Kind.RETAINED]

    def test_a_message_of_another_topic_is_not_retained_here(self) -> None:
        strange = Story().connect("p").publish(1, topic="u", retain=True)
        assert strange.look(t=1).kinds == [Kind.RETAINED]


class TestSessions:
    def test_a_session_is_kept(self) -> None:
        assert story().add(Down).add(Up).connect("s", False).kinds == [Kind.SESSION]

    def test_a_clean_start_finds_none(self) -> None:
        assert story().add(Ended, "s").connect("s", True, clean_start=True).kinds == [Kind.SESSION]

    def test_a_session_that_was_not_to_last_is_gone(self) -> None:
        short = Story().connect("s", expiry=0.0).add(Down).add(Up)
        assert short.connect("s", True).kinds == [Kind.SESSION]

    @pytest.mark.parametrize("ended", ["by the client", "by the broker"])
    def test_a_session_lives_as_long_as_it_shall(self, ended: str) -> None:
        for away, kinds in ((5, [[Kind.SESSION], []]), (11, [[], []]), (40, [[], [Kind.SESSION]])):
            for present in (False, True):
                brief = Story().add(Up).connect("s", expiry=10.0)
                brief.add(Ended, "s")
                if ended == "by the broker":
                    brief.add(Down).add(Up)
                brief.now += away - 4
                assert brief.connect("s", present, expiry=10.0).kinds == kinds[present], away

    def test_what_waited_in_a_session_that_expired_is_not_owed(self) -> None:
        for away, kinds in ((1, [Kind.LOST, Kind.SESSION]), (40, [])):
            brief = Story().add(Up).connect("p").connect("s", expiry=10.0).subscribe("s")
            brief.add(Ended, "s").publish(1)
            brief.now += away
            assert brief.connect("s", False, expiry=10.0).kinds == kinds

    @pytest.mark.parametrize("present", [True, False])
    def test_a_connection_without_an_answer_promises_nothing(self, present: bool) -> None:
        for clean in (True, False):
            begun = Story().add(Connecting, "s", clean_start=clean).add(Down).add(Up)
            assert begun.connect("s", present).kinds == []
        cut = story().add(Ended, "s").add(Connecting, "s", clean_start=True).add(Down).add(Up)
        assert cut.connect("s", present).kinds == []


class TestShared:
    @staticmethod
    def group() -> Story:
        members = Story().connect("p").connect("a").connect("b")
        return members.subscribe("a", "$share/g/t").subscribe("b", "$share/g/t")

    @pytest.mark.parametrize("qos", [1, 2])
    def test_one_member_gets_each_message(self, qos: int) -> None:
        right = self.group().publish(1, qos).receive("a", 1, qos).publish(2, qos)
        assert right.receive("b", 2, qos).kinds == []
        assert self.group().publish(1, qos).crash("a", "b").kinds == [Kind.LOST]
        both = self.group().publish(1, qos).receive("a", 1, qos).receive("b", 1, qos)
        assert both.kinds == [Kind.SHARED]

    def test_at_quality_1_another_may_get_it_when_the_first_has_gone(self) -> None:
        moved = self.group().publish(1).receive("a", 1).add(Ended, "a").receive("b", 1)
        assert moved.kinds == []
        stays = self.group().publish(1, 2).receive("a", 1, 2).add(Ended, "a").receive("b", 1, 2)
        assert stays.kinds == [Kind.SHARED]

    def test_at_quality_1_another_may_get_it_when_it_is_sent_again(self) -> None:
        again = self.group().send(1).receive("a", 1).add(Resent, "p", 1).receive("b", 1)
        assert again.add(Acknowledged, "p", 1).kinds == []

    def test_who_leaves_may_take_messages_along(self) -> None:
        assert self.group().publish(1).unsubscribe("b", "$share/g/t").kinds == []
        left = self.group().unsubscribe("b", "$share/g/t").publish(1)
        assert left.kinds == [Kind.LOST]


class TestWills:
    @staticmethod
    def mortal(delay: int, **named: Any) -> Story:
        """A client "m" whose will, number 9, goes to the subscriber."""
        return story().connect("m", will=WillOf(9, "t", 2, delay), **named)

    def test_it_comes(self) -> None:
        assert self.mortal(0).add(Ended, "m").receive("s", 9, 2).kinds == []
        assert self.mortal(0).add(Ended, "m").crash("p", "s").kinds == [Kind.WILL]
        assert self.mortal(0).crash("p", "s").receive("s", 9, 2).kinds == []

    def test_who_says_goodbye_has_none(self) -> None:
        left = self.mortal(0).add(Ended, "m", said_goodbye=True)
        left.now += 1
        assert left.crash("p", "s").kinds == []
        assert left.receive("s", 9, 2).kinds == [Kind.WILL]
        hasty = self.mortal(0).add(Ended, "m", said_goodbye=True)
        hasty.now -= 0.5
        assert hasty.crash("p", "s").receive("s", 9, 2).kinds == []

    def test_who_comes_back_in_time_has_none(self) -> None:
        back = self.mortal(10).add(Ended, "m").connect("m", True)
        assert back.kinds == []
        assert back.receive("s", 9, 2).kinds == [Kind.WILL]

    def test_it_waits_for_its_delay(self) -> None:
        gone = self.mortal(10).add(Ended, "m")
        assert gone.receive("s", 9, 2).kinds == [Kind.WILL]

    def test_a_broker_that_is_asked_to_end_may_publish_it_first(self) -> None:
        stopping = self.mortal(0).add(Stopping)
        stopping.now += 5
        assert stopping.receive("s", 9, 2).add(Down).kinds == []
        early = self.mortal(0).receive("s", 9, 2)
        early.now += 5
        assert early.add(Stopping).add(Down).kinds == [Kind.WILL]

    def test_a_delay_may_begin_again_with_the_broker(self) -> None:
        gone = self.mortal(5).add(Ended, "m").add(Down).add(Up)
        assert gone.crash("p", "s").kinds == []  # too soon to tell
        gone.now += 10
        assert gone.add(Up).kinds == []
        gone.now += 10
        assert gone.connect("m", True).kinds == [Kind.WILL]

    def test_it_comes_once(self) -> None:
        twice = self.mortal(0).add(Ended, "m").receive("s", 9, 2).crash("p", "s")
        assert twice.receive("s", 9, 2).kinds == [Kind.REPEATED]

    def test_a_session_that_does_not_last_has_no_delay(self) -> None:
        gone = self.mortal(10, expiry=0.0).add(Ended, "m").receive("s", 9, 2)
        assert gone.kinds == []

    def test_what_it_left_is_retained(self) -> None:
        def gone(qos: int) -> Story:
            left = story().connect("m", will=WillOf(9, "t", qos, retain=True)).add(Ended, "m")
            return left.receive("s", 9, qos)

        assert gone(2).look(t=9).kinds == []
        assert gone(2).look(t=None).kinds == [Kind.RETAINED]
        # At QoS 1 it may have come before it was kept, and then it comes again.
        assert gone(1).look(t=None).receive("s", 9).look(t=9).kinds == []
        assert self.mortal(0).add(Ended, "m").receive("s", 9, 2).look(t=9).kinds == [Kind.RETAINED]


class TestExpiry:
    @staticmethod
    def waited(seconds: float, *, is_v5: bool = True, **named: Any) -> Story:
        """A message that expires after 20 seconds, and comes so long after it was taken."""
        waits = Story().add(Up).connect("p").connect("s", is_v5=is_v5).subscribe("s")
        waits.publish(1, expiry=20)
        waits.now += seconds - 1.0
        return waits.receive("s", 1, **named)

    def test_what_is_left_is_told(self) -> None:
        wrong = [Kind.EXPIRY]
        for left, kinds in ((7, wrong), (8, []), (10, []), (13, []), (14, wrong), (None, wrong)):
            assert self.waited(10, expiry=left).kinds == kinds, left

    def test_mqtt_3_is_told_nothing(self) -> None:
        assert self.waited(10, is_v5=False).kinds == []

    def test_what_has_expired_does_not_come(self) -> None:
        assert self.waited(22, is_v5=False).kinds == []
        assert self.waited(24, is_v5=False).kinds == [Kind.EXPIRY]
        # It was sent before: then it is sent again, however late that is.
        assert self.waited(24, is_v5=False, dup=True).kinds == []

    def test_what_may_have_expired_may_be_lost(self) -> None:
        assert story().publish(1, expiry=20).kinds == []
        assert story().publish(1, expiry=LASTING).kinds == [Kind.LOST]


def test_what_clients_notice_is_told() -> None:
    assert story().add(Violated, "s", "PUBACK for nothing").kinds == [Kind.PROTOCOL]


def test_a_payload_tells_its_number_only_if_it_is_whole() -> None:
    for number in (1, 37, 12_345):
        assert number_in(payload_of(number)) == number
        assert number_in(payload_of(number)[:-1]) is None
    assert number_in(b"") is None


def test_a_history_can_be_read_by_people() -> None:
    (line, *_) = to_lines([Publishing(1.5, "p", 7, "t", 2, 3)])
    assert json.loads(line)["event"] == "Publishing"
