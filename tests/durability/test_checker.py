"""The checker finds what it is there to find, and nothing else: no broker takes part."""

from __future__ import annotations

import json

import pytest

from tests.durability.checker import Kind, check
from tests.durability.history import (
    Acknowledged,
    Completed,
    Connecting,
    Down,
    Ended,
    Publishing,
    Received,
    Released,
    Resent,
    Subscribed,
    Subscribing,
    Unsubscribing,
    Up,
    Violated,
    number_in,
    payload_of,
    to_lines,
)
from tests.durability.stories import Story, story


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


@pytest.mark.parametrize(("expiry", "kinds"), [(2, []), (3600, [Kind.REORDERED])])
def test_what_has_expired_may_come_late_when_it_is_sent_again(
    expiry: int, kinds: list[Kind]
) -> None:
    late = story().send(1, expiry=expiry).send(2).crash("p", "s").receive("s", 2)
    for number in (1, 2):
        late.add(Resent, "p", number).add(Acknowledged, "p", number)
    assert late.receive("s", 1, expiry=expiry).receive("s", 2).kinds == kinds


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
