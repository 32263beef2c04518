"""What the checker makes of several nodes, of which one ends, or is cut off."""

from __future__ import annotations

import pytest

from tests.durability.checker import Kind
from tests.durability.history import (
    NOTICED,
    Acknowledged,
    Completed,
    Cut,
    Down,
    Ended,
    Healed,
    Resent,
    Up,
    WillOf,
)
from tests.durability.stories import Story


def two_nodes() -> Story:
    """A publisher at node b; a subscriber at node a."""
    return Story().add(Up, "a").add(Up, "b").connect("p", node="b").connect("s", node="a")


def test_the_end_of_a_node_ends_its_own_connections() -> None:
    story = two_nodes().subscribe("s").add(Down, "a").publish(1)
    assert story.kinds == [Kind.LOST]
    assert story.connect("s", True, node="b").receive("s", 1).kinds == []


def test_a_session_has_to_be_there_at_another_node() -> None:
    story = two_nodes().subscribe("s").add(Down, "a")
    assert story.connect("s", False, node="b").kinds == [Kind.SESSION]


@pytest.mark.parametrize(("away", "present", "kinds"), [
    (5.0, False, [Kind.SESSION]),
    (10.0 + NOTICED, True, []),
    (10.0 + NOTICED, False, []),
    (20.0 + NOTICED, True, [Kind.SESSION]),
])  # fmt: skip
def test_a_session_may_live_on_until_the_end_of_its_node_is_known(
    away: float, present: bool, kinds: list[Kind]
) -> None:
    story = Story().add(Up, "a").add(Up, "b").connect("s", expiry=10.0, node="a").add(Down, "a")
    story.now += away
    assert story.connect("s", present, expiry=10.0, node="b").kinds == kinds


@pytest.mark.parametrize("present", [True, False])
def test_while_no_node_runs_nobody_knows_how_time_goes(present: bool) -> None:
    story = Story().add(Up, "a").connect("s", expiry=10.0, node="a").add(Down, "a")
    story.now += 60.0
    assert story.add(Up, "b").connect("s", present, expiry=10.0, node="b").kinds == []


def mortal() -> Story:
    """A client at node a whose will goes to the subscriber at node b."""
    story = Story().add(Up, "a").add(Up, "b").connect("s", node="b").subscribe("s")
    return story.connect("m", will=WillOf(9, "t", 2), node="a")


def test_the_will_of_a_client_of_a_node_that_ended_comes() -> None:
    gone = mortal().add(Down, "a")
    gone.now += 30.0
    assert gone.add(Up, "a").kinds == [Kind.WILL]
    assert gone.receive("s", 9, 2).kinds == []


def test_a_goodbye_to_a_node_that_is_cut_off_may_be_known_to_nobody() -> None:
    for where, kinds in (("a", []), ("", []), ("b", [Kind.WILL])):
        left = mortal().add(Cut, where)
        left.now += 3.0
        left.add(Ended, "m", said_goodbye=True)
        left.now += 3.0
        assert left.add(Healed, where).receive("s", 9, 2).kinds == kinds, where
    whole = mortal().add(Cut, "a").add(Healed, "a")
    whole.now += 30.0
    assert whole.add(Ended, "m", said_goodbye=True).receive("s", 9, 2).kinds == [Kind.WILL]


def test_what_waits_for_a_group_is_for_who_joins_it() -> None:
    shared = "$share/g/t"
    for group, kinds in ((shared, []), ("$share/h/t", [Kind.UNWANTED, Kind.LOST])):
        waits = two_nodes().subscribe("s", shared).add(Ended, "s").publish(1)
        joined = waits.connect("later", node="b").subscribe("later", group)
        assert joined.receive("later", 1).kinds == kinds, group


@pytest.mark.parametrize(("qos", "is_resent", "kinds"), [
    (1, True, []),
    (1, False, [Kind.UNWANTED]),
    (2, True, [Kind.UNWANTED]),
])  # fmt: skip
def test_what_a_node_was_sent_first_may_come_after_what_another_was_sent_again(
    qos: int, is_resent: bool, kinds: list[Kind]
) -> None:
    sent = two_nodes().send(1, qos)
    if is_resent:
        sent.add(Ended, "p").connect("p", True, node="a").add(Resent, "p", 1)
    sent.add(Acknowledged, "p", 1)
    if qos == 2:
        sent.add(Completed, "p", 1)
    assert sent.subscribe("s").receive("s", 1, qos).kinds == kinds


@pytest.mark.parametrize(("qos", "where", "after", "kinds"), [
    (1, "a", 0.0, []),
    (1, "a", 10.0, [Kind.SHARED]),
    (1, "b", 0.0, [Kind.SHARED]),
    (2, "a", 0.0, [Kind.SHARED]),
])  # fmt: skip
def test_what_a_node_gave_and_could_not_tell_may_go_to_another(
    qos: int, where: str, after: float, kinds: list[Kind]
) -> None:
    shared = two_nodes().connect("t", node="b")
    shared.subscribe("s", "$share/g/t").subscribe("t", "$share/g/t")
    given = shared.publish(1, qos).receive("s", 1, qos)
    given.now += after
    assert given.add(Cut, where).receive("t", 1, qos).add(Healed, where).kinds == kinds


def test_before_its_first_attempt_a_subscription_was_not_over() -> None:
    over = two_nodes().subscribe("s").unsubscribe("s").send(1).add(Resent, "p", 1)
    assert over.add(Acknowledged, "p", 1).receive("s", 1).kinds == [Kind.UNWANTED]
