"""What clients make the broker hold is counted where it is held, and the count is true."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trio_mqtt.broker.limits import MIB, Limits
from trio_mqtt.broker.routing.retained import RetainedMessages
from trio_mqtt.protocol.packets import Publish

pytestmark = pytest.mark.slow

TRUE = 1.5  # the factor by which a count may be wrong

Topic = Callable[[int], str]
SHAPES: dict[str, tuple[Topic, int]] = {
    "one level": (lambda n: f"t{n}", 2_000),
    "devices": (lambda n: f"site/device-{n}/temperature", 2_000),
    "values of a device": (lambda n: f"site/device-{n // 20}/value-{n % 20}", 2_000),
    "60 KB": (lambda n: "x" * 60_000 + str(n), 50),
    "60 KB, two levels": (lambda n: f"a/{n}" + "x" * 60_000, 50),
    "60 KB, other letters": (lambda n: f"a/{n}" + "\N{SNOWMAN}" * 20_000, 50),
    "128 levels": (lambda n: "/".join([f"level-{n}"] * 128), 100),
    "128 empty levels": (lambda n: f"{n}" + "/" * 127, 100),
}


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """The bytes that were taken since the beginning and not given back."""
    tracemalloc.start()
    begun = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[0] - begun
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [0, 20, 5_000])
def test_the_bytes_of_retained_messages_are_counted(shape: str, size: int) -> None:
    topic, count = SHAPES[shape]
    retained = RetainedMessages(
        Limits(maximum_retained_messages=1_000_000, maximum_retained_bytes=1_000 * MIB)
    )
    with traced() as taken:
        for number in range(count):
            message = Publish(topic(number), bytes(size) or b"1", 1, retain=True)
            assert retained.store(message, 0)
        assert taken() / TRUE < retained.bytes < taken() * TRUE
    for number in range(count):
        retained.store(Publish(topic(number), b""), 0)
    assert retained.bytes == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_no_more_is_retained_than_the_bound_allows(shape: str) -> None:
    topic, _ = SHAPES[shape]
    retained = RetainedMessages(
        Limits(maximum_retained_messages=1_000_000, maximum_retained_bytes=MIB)
    )
    with traced() as taken:
        for number in range(10_000):
            message = Publish(topic(number), b"1", 1, retain=True)
            most = retained.most(message)
            fits = retained.has_room_for(1, most)
            takes = retained.takes(message)
            assert takes or not fits
            assert retained.store(message, 0) == takes
            if not takes:
                break
        assert not takes
        assert taken() < MIB * TRUE
