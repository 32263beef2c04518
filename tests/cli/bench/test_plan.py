"""What is asked for becomes a plan; what is left out is as fits what is measured."""

from __future__ import annotations

from typing import Any

import pytest
from tmqtt.bench.plan import plan_of
from tmqtt.bench.table import SHAPES

_RUN = {"pid", "compare", "compare_pid", "rounds", "json"}  # how it is run, and told


def asked(kind: str, **changes: str) -> dict[str, Any]:
    """The values of a command's options, as they are by themselves or in `changes`."""
    shape = next(shape for shape in SHAPES if shape.kind == kind)
    found: dict[str, Any] = {}
    for option in shape.options:
        text = changes.get(option.key, option.default)
        if option.key not in _RUN:
            found[option.key] = option.read(text) if text is not None else None
            if not option.metavar:
                found[option.key] = False
    return found


@pytest.mark.parametrize(
    ("kind", "publishers", "subscribers"),
    [("conn", 0, 100), ("pub", 1, 0), ("sub", 0, 1), ("pair", 1, 1), ("fan-in", 10, 1),
     ("fan-out", 1, 10)],
)  # fmt: skip
def test_each_shape_has_its_publishers_and_subscribers(
    kind: str, publishers: int, subscribers: int
) -> None:
    plan = plan_of(kind, **asked(kind))
    assert (plan.publishers, plan.subscribers) == (publishers, subscribers)
    assert plan.processes >= 1


def test_it_takes_ten_seconds_or_as_many_messages_as_are_asked_for() -> None:
    assert plan_of("pair", **asked("pair")).seconds == 10.0
    assert plan_of("pair", **asked("pair", count="5")).seconds is None
    assert plan_of("conn", **asked("conn")).seconds == 1.0


def test_a_rate_of_a_few_an_hour_is_one() -> None:
    assert plan_of("pair", **asked("pair", rate="6/h")).rate == pytest.approx(1 / 600)


def test_publishers_share_what_may_be_ahead_unless_there_is_a_rate() -> None:
    assert plan_of("pair", **asked("pair", clients="4")).ahead == 1_000
    assert plan_of("fan-in", **asked("fan-in")).ahead == 100
    assert plan_of("pair", **asked("pair", rate="10/s")).ahead == 0
    assert plan_of("pair", **asked("pair", rate="10/s", ahead="7")).ahead == 7
    assert plan_of("pair", **asked("pair", ahead="0")).ahead == 0


def test_what_is_published_for_others_has_topics_that_they_know() -> None:
    assert plan_of("pub", **asked("pub")).topic == "tmqtt-bench"
    assert plan_of("sub", **asked("sub")).topic == "tmqtt-bench/#"
    first, second = (plan_of("pair", **asked("pair")).topic for _ in range(2))
    assert first != second
