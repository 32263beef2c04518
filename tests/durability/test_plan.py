"""A seed decides who does what and when."""

from __future__ import annotations

from tests.durability.plan import EXPIRIES, Action, Ending, plan


def test_a_seed_has_one_plan() -> None:
    assert plan(7, 5) == plan(7, 5)
    assert plan(7, 5) != plan(8, 5)
    assert plan(7, 2) == plan(7, 5)[:2]


def test_everything_happens_in_fifty_rounds() -> None:
    rounds = plan(1, 50)
    steps = [step for each in rounds for part in each.parts.values() for step in part.steps]
    assert {step.action for step in steps} == set(Action)
    assert {each.ending for each in rounds} == set(Ending)
    assert {each.fault_place for each in rounds} == {"before", "inside", "after"}
    assert any(step.is_removal for step in steps)
    assert {step.expiry for step in steps} == {None, *EXPIRIES}
    assert {part.will_retain for each in rounds for part in each.parts.values()} == {False, True}
