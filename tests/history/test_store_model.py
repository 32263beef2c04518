"""Whatever came, and whatever is asked: what is found is what a list of it would have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.came import NOW, SECOND, came, came_as_run
from trio_mqtt.history import HistoryPage, HistoryQuery, KeptMessage
from trio_mqtt.history.chunks import Came
from trio_mqtt.history.file import HistoryFile
from trio_mqtt.history.reading import Reading
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.topics import topic_matches_filter

TOPICS = ("a", "a/b", "a/c", "d/b", "e")
FILTERS = ("#", "a", "a/b", "a/#", "+/b", "none", "none/#")


class Kept(NamedTuple):
    """What a list has of a message."""

    at: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, object]


_publishes = st.builds(
    lambda topic, payload, qos, retain, content_type: Publish(
        topic,
        payload,
        qos,
        retain,
        packet_id=1 if qos else 0,
        properties={"content_type": content_type} if content_type else {},
    ),
    st.sampled_from(TOPICS),
    st.one_of(
        st.binary(max_size=20),
        st.floats(-1e6, 1e6).map(lambda number: repr(number).encode()),
        st.just(bytes(40_000)),
    ),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["", "text/plain", "ä"]),
)
# A clock may be set back.
_moments = st.integers(-30 * SECOND, 30 * SECOND).map(lambda at: NOW + at / SECOND)
_came = st.one_of(
    st.builds(came, st.lists(_publishes, min_size=1, max_size=6), _moments),
    st.builds(
        came_as_run,
        st.lists(st.sampled_from(TOPICS), min_size=1, max_size=40),
        st.sampled_from([b"1", b"-2.5", b"no number", bytes(3_000)]),
        _moments,
        qos=st.integers(0, 1),
        is_v5=st.booleans(),
    ),
)
_groups = st.lists(st.lists(_came, min_size=1, max_size=4), max_size=5)
_queries = st.builds(
    HistoryQuery,
    topic_filter=st.sampled_from(FILTERS),
    since=st.none() | _moments,
    until=st.none() | _moments,
    last=st.none() | st.integers(1, 30),
    limit=st.integers(1, 50),
    maximum_bytes=st.sampled_from([1, 1_000, 100_000]),
)


def kept(groups: Sequence[Sequence[Came]]) -> list[Kept]:
    """All that came, in the order of its time."""
    found = []
    for content, _, at in (one for group in groups for one in group):
        messages = content.messages if isinstance(content, PublishRun) else content
        found += [
            Kept(at, one.topic, one.payload, one.qos, one.retain, {**one.properties})
            for one in messages
        ]
    return sorted(found, key=lambda one: one.at)


def wanted(everything: Sequence[Kept], query: HistoryQuery) -> list[Kept]:
    """Those that are asked for, without a look at how many."""
    return [
        one
        for one in everything
        if topic_matches_filter(one.topic, query.topic_filter)
        and query.first <= one.at < query.beyond
    ]


def pages(
    file: HistoryFile, query: HistoryQuery, patience: float | None = None
) -> list[HistoryPage]:
    """One page after the other."""
    found = []
    while True:
        reading = Reading(file, query, patience=patience)
        while not reading.step():
            pass
        assert reading.page is not None
        found.append(reading.page)
        if not reading.page.next:
            return found
        query = replace(query, after=reading.page.next)


def as_kept(messages: Sequence[KeptMessage]) -> list[Kept]:
    return [
        Kept(
            round(one.at * SECOND),
            one.topic,
            one.payload,
            one.qos,
            one.retain,
            {**one.properties},
        )
        for one in messages
    ]


def by_topic(messages: Sequence[Kept]) -> dict[str, list[Kept]]:
    """Their order is told for each topic; of several that came together it may be any."""
    found: dict[str, list[Kept]] = {}
    for one in messages:
        found.setdefault(one.topic, []).append(one)
    return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


_numbers = count()


def filled(folder: Path, groups: Sequence[Sequence[Came]]) -> HistoryFile:
    """A new file with what came."""
    file = HistoryFile(str(folder / f"{next(_numbers)}.sqlite3"))
    for group in groups:
        messages = sum(len(one.content) for one in group)
        assert file.append(group, 100) == (messages, 0)
    return file


@settings(max_examples=40, deadline=None)
@given(_groups, _queries)
def test_what_is_found_is_what_came(
    folder: Path, groups: Sequence[Sequence[Came]], query: HistoryQuery
) -> None:
    file = filled(folder, groups)
    try:
        found = pages(file, query)
        if query.last is not None:
            found.reverse()
        messages = as_kept([one for page in found for one in page.messages])
        right = wanted(kept(groups), query)
        assert [one.at for one in messages] == sorted(one.at for one in messages)
        if query.last is None or query.last >= len(right):
            assert by_topic(messages) == by_topic(right)
        else:
            assert len(messages) == query.last
            assert [one.at for one in messages] == [one.at for one in right[-query.last :]]
            for topic, some in by_topic(messages).items():
                assert by_topic(right)[topic][-len(some) :] == some
        for page in found:
            assert len(page.messages) <= query.limit
    finally:
        file.close()


@settings(max_examples=40, deadline=None)
@given(
    _groups,
    _queries,
    st.sampled_from([0.5, 1, 7, 60]),
    st.sampled_from(["mean", "min", "max", "last", "count"]),
)
def test_points_are_those_of_the_numbers_that_came(
    folder: Path, groups: Sequence[Sequence[Came]], query: HistoryQuery, every: float, how: str
) -> None:
    file = filled(folder, groups)
    query = replace(query, last=None, every=every, summary=how)  # type: ignore[arg-type]
    try:
        points = [one for page in pages(file, query) for one in page.points]
        numbers: dict[tuple[int, str], list[float]] = {}
        width = round(every * SECOND)
        for one in wanted(kept(groups), query):
            try:
                number = float(one.payload) if len(one.payload) <= 40 else None
            except ValueError:
                number = None
            if how == "count":
                number = 0.0
            if number is not None and abs(number) < float("inf"):
                numbers.setdefault((one.at // width * width, one.topic), []).append(number)
        summaries: dict[str, Callable[[list[float]], object]] = {
            "mean": lambda some: pytest.approx(sum(some) / len(some)),
            "min": min,
            "max": max,
            "last": lambda some: some[-1],
            "count": len,
        }
        right = summaries[how]
        assert [(round(one.at * SECOND), one.topic, one.numbers, one.value) for one in points] == [
            (at, topic, len(some), right(some)) for (at, topic), some in sorted(numbers.items())
        ]
    finally:
        file.close()


@settings(max_examples=20, deadline=None)
@given(_groups, _queries)
def test_who_has_no_patience_gets_there_all_the_same(
    folder: Path, groups: Sequence[Sequence[Came]], query: HistoryQuery
) -> None:
    file = filled(folder, groups)
    try:
        right = [one for page in pages(file, query) for one in page.messages]
        found = [one for page in pages(file, query, patience=-1.0) for one in page.messages]
        assert sorted(found, key=repr) == sorted(right, key=repr)
    finally:
        file.close()
