"""A seed decides what fails, and which nodes clients go to."""

from __future__ import annotations

from tests.durability.cluster.nodes import LEASE, NAMES
from tests.durability.cluster.plan import Trouble, cluster_plan


def test_a_seed_has_one_plan() -> None:
    assert cluster_plan(7, 5) == cluster_plan(7, 5)
    assert cluster_plan(7, 5) != cluster_plan(8, 5)
    assert cluster_plan(7, 2) == cluster_plan(7, 5)[:2]


def test_everything_happens_in_fifty_rounds() -> None:
    rounds = cluster_plan(1, 50)
    blows = [blow for each in rounds for blow in each.blows]
    assert {blow.trouble for blow in blows} == set(Trouble)
    assert {blow.node for blow in blows} == set(range(len(NAMES)))
    assert {blow.seconds > LEASE for blow in blows} == {True, False}
    doors = {number for each in rounds for numbers in each.doors.values() for number in numbers}
    assert doors == set(range(len(NAMES)))
