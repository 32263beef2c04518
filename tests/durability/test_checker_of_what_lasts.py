"""The checker finds what is wrong with what outlives connections, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.durability.checker import Kind
from tests.durability.history import (
    LASTING,
    Acknowledged,
    Completed,
    Connecting,
    Down,
    Ended,
    Stopping,
    Up,
    WillOf,
)
from tests.durability.stories import Story, story


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
        short = Story().connect("s", clean_start=True, expiry=0.0).add(Ended, "s")
        short.add(Connecting, "s").add(Ended, "s")
        assert short.connect("s", present).kinds == []

    @pytest.mark.parametrize(("away", "tries", "kinds"), [
        (1, True, [Kind.LOST]), (20, True, []), (8, False, [Kind.LOST]), (2, False, [Kind.LOST]),
    ])  # fmt: skip
    def test_one_that_may_have_begun_without_an_answer_may_have_no_subscriptions(
        self, away: int, tries: bool, kinds: list[Kind]
    ) -> None:
        brief = Story().add(Up).connect("p").connect("s", expiry=10.0).subscribe("s")
        brief.add(Ended, "s")
        brief.now += away
        if tries:
            brief.add(Connecting, "s", expiry=10.0).add(Ended, "s")
        assert brief.connect("s", True, expiry=10.0).publish(1).kinds == kinds
        # What it asks for anew is owed.
        assert brief.subscribe("s").publish(2).kinds == [*kinds, Kind.LOST]
        assert brief.receive("s", 1).receive("s", 2).kinds == []

    def test_one_that_lasts_no_longer_begins_none_without_an_answer(self) -> None:
        short = Story().connect("s", clean_start=True, expiry=0.0).add(Ended, "s")
        short.add(Connecting, "s", expiry=0.0).add(Ended, "s")
        assert short.connect("s", True).kinds == [Kind.SESSION]


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
