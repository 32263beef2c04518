"""What goes from a history: for its age, for room, as somebody asks; and what is told of that."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history.came import came, came_as_run
from trio_mqtt import ConfigurationError, StoreError
from trio_mqtt.history import HistoryQuery, HistorySettings
from trio_mqtt.history.file import HistoryFile
from trio_mqtt.history.queries import Removal
from trio_mqtt.history.reading import Reading
from trio_mqtt.history.removing import Removing
from trio_mqtt.history.store import HistoryStore
from trio_mqtt.protocol.packets import Publish

MIB = 1024 * 1024


@pytest.fixture
def file(tmp_path: Path) -> HistoryFile:
    return HistoryFile(str(tmp_path / "h.sqlite3"))


def payloads(file: HistoryFile, topic_filter: str = "#") -> list[bytes]:
    reading = Reading(
        file,
        HistoryQuery(topic_filter=topic_filter, limit=10_000, maximum_bytes=16 * MIB),
    )
    while not reading.step():
        pass
    assert reading.page is not None
    return [one.payload for one in reading.page.messages]


def tidied(file: HistoryFile, removing: Removing | None = None, **bounds: object) -> int:
    """Have all removed that has to be; in how many steps."""
    removing = removing or Removing(file)
    wanted = HistorySettings(**{"age": 0, "size": 0, **bounds})  # type: ignore[arg-type]
    steps = 0
    while removing.step(wanted) == 0.0:
        steps += 1
    return steps


def put(file: HistoryFile, at: float, *payloads: bytes, topic: str = "a") -> None:
    file.append([came([Publish(topic, payload) for payload in payloads], at)], 100)


def test_what_is_too_old_goes_and_its_topics_with_it(file: HistoryFile) -> None:
    now = time.time()
    for hours in range(10, 0, -1):
        put(file, now - 3600 * hours, b"%d" % hours)
        put(file, now - 3600 * hours, b"x", topic=f"only/{hours}")
    tidied(file, age=3600 * 5.5)
    assert payloads(file, "a") == [b"5", b"4", b"3", b"2", b"1"]
    assert sorted(file.ids) == ["a", *(f"only/{hours}" for hours in range(1, 6))]
    (removal,) = file.removals()
    assert (removal.reason, removal.messages) == ("age", 10)
    assert removal.oldest == pytest.approx(now - 36_000)
    assert removal.newest == pytest.approx(now - 21_600)
    assert file.removed == 10


AGES = {"a/#": 3_600.0, "a/+/log": 7_200.0, "a/long/log": 0.0, "b": 1e9}


@pytest.mark.parametrize("age", [0.0, 5 * 3_600.0])
def test_topics_go_by_the_most_precise_age_of_their_own(file: HistoryFile, age: float) -> None:
    now = time.time()
    topics = ("a/x", "a/y/log", "a/long/log", "b", "c")
    removing = Removing(file)
    for hours in range(9, -1, -1):
        for topic in topics:
            put(file, now - 3_600 * hours - 60, b"%d" % hours, topic=topic)
        tidied(file, removing, age=age, ages=AGES)
    left = {topic: len(payloads(file, topic)) for topic in topics}
    assert left == {"a/x": 1, "a/y/log": 2, "a/long/log": 10, "b": 10, "c": 5 if age else 10}
    told = {one.topic_filter: (one.reason, one.messages) for one in file.removals()}
    assert told.pop("", None) == (("age", 5) if age else None)
    assert told == {"a/#": ("age", 9), "a/+/log": ("age", 8)}


def test_what_comes_with_an_older_time_goes_as_well(file: HistoryFile) -> None:
    now, removing = time.time(), Removing(file)
    put(file, now - 4_000, b"old", topic="a/x")
    tidied(file, removing, ages=AGES)
    # The clock was set back: it has been looked there already.
    put(file, now - 9_000, b"older", topic="a/x")
    put(file, now, b"new", topic="a/x")
    tidied(file, removing, ages=AGES)
    assert payloads(file) == [b"new"]
    # Another age for it, and one more topic that has it.
    put(file, now - 50, b"recent", topic="a/x")
    tidied(file, removing, ages={"#": 20.0})
    assert payloads(file) == [b"new"]


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = str(tmp_path / "h.sqlite3")
    file = HistoryFile(path)
    put(file, time.time(), b"kept")
    file.database.executescript(
        "DROP TABLE removed; PRAGMA user_version = 1;"
        "CREATE TABLE removed (day TEXT NOT NULL, reason TEXT NOT NULL, messages INTEGER NOT NULL,"
        " oldest INTEGER, newest INTEGER, PRIMARY KEY (day, reason)) WITHOUT ROWID;"
        "INSERT INTO removed VALUES ('2026-11-29', 'age', 7, 1, 2)"
    )
    file.close()
    for _ in range(2):
        file = HistoryFile(path)
        assert file.removals() == [Removal("2026-11-29", "age", 7, 1e-6, 2e-6)]
        assert payloads(file) == [b"kept"]
        file.close()


def test_a_file_that_is_too_large_loses_what_is_oldest_and_shrinks(file: HistoryFile) -> None:
    now = time.time() - 1_000
    noise = random.Random(7)  # noqa: S311
    for number in range(60):
        put(file, now + number, b"%d " % number + noise.randbytes(100_000))
    before = file.used
    assert before > 5 * MIB
    steps = tidied(file, size=2 * MIB)
    assert steps > 1
    assert file.used <= 2 * MIB
    left = [int(one.split(b" ")[0]) for one in payloads(file)]
    assert left == [*range(60 - len(left), 60)]
    assert len(left) >= 10  # no more than that has to go
    assert os.path.getsize(file.path) < 3.5 * MIB
    assert os.path.getsize(f"{file.path}-wal") == 0
    assert [(one.reason, one.messages) for one in file.removals()] == [("size", 60 - len(left))]


def test_room_that_cannot_be_made_now_is_no_damage(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "h.sqlite3", HistorySettings(size=MIB))
    file = store._open()
    put(file, time.time() - 100, os.urandom(2 * MIB))
    file.database.execute("PRAGMA query_only = 1")  # as on a full disk: what is there can be read
    with pytest.raises(StoreError, match="cannot be written"):
        store._append([came([Publish("a", b"1")], time.time())], 0)
    assert store._file is file
    file.database.execute("PRAGMA query_only = 0")
    store._append([came([Publish("a", b"2")], time.time())], 0)
    assert payloads(file)[-1:] == [b"2"]
    assert not [one for one in os.listdir(tmp_path) if "damaged" in one]
    file.close()


def test_of_a_topic_with_too_many_messages_its_oldest_go(file: HistoryFile) -> None:
    now = time.time() - 5_000
    removing = Removing(file)
    for number in range(100):
        put(file, now + 30 * number, b"%d" % number, b"%d" % number)
        put(file, now + 30 * number, b"x", topic="few")
        tidied(file, removing, messages=51)
    # Two came together each time, and go together.
    assert payloads(file, "a") == [b"%d" % (number // 2) for number in range(150, 200)] or payloads(
        file, "a"
    ) == [b"%d" % (number // 2) for number in range(148, 200)]
    assert len(payloads(file, "few")) == 51
    tidied(file, removing, messages=10)
    assert len(payloads(file, "few")) == 10
    assert payloads(file, "a")[-1] == b"99"
    assert len(payloads(file, "a")) <= 11
    assert file.looked
    tidied(file, removing, age=1)
    assert not file.looked  # nothing is remembered of topics that are gone


def test_what_somebody_asks_for_goes_of_these_topics_alone(file: HistoryFile) -> None:
    now = time.time() - 1_000
    for number in range(10):
        for topic in ("a", "b"):
            put(file, now + 20 * number, b"%d" % number, topic=topic)
    removing, removed, after = Removing(file), 0, None
    beyond = round((now + 20 * 5) * 1_000_000)
    while True:
        count, after = removing.asked([file.ids["a"]], beyond, after, "a")
        removed += count
        if after is None:
            break
    assert removed == 5
    assert payloads(file, "a") == [b"5", b"6", b"7", b"8", b"9"]
    assert len(payloads(file, "b")) == 10
    (told,) = file.removals()
    assert (told.reason, told.topic_filter, told.messages) == ("asked", "a", 5)


def test_there_are_no_more_topics_than_may_be(file: HistoryFile) -> None:
    group = [came_as_run([f"t/{number}" for number in range(50)], b"x")]
    assert file.append(group, 20) == (20, 30)
    assert file.append(group, 20) == (20, 30)
    assert len(file.ids) == 20
    assert [(one.reason, one.messages) for one in file.removals()] == [("topics", 60)]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_counts_are_those_of_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = HistoryFile(str(tmp_path_factory.mktemp("counts") / "h.sqlite3"))
    removing = Removing(file)
    now = time.time()
    for _ in range(data.draw(st.integers(1, 8))):
        topics = data.draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20))
        # A clock may be set, forward and back.
        at = now - data.draw(st.integers(-1_000, 10_000))
        file.append([came_as_run(topics, b"x", at)], 5)
        bound = data.draw(st.sampled_from([{}, {"age": 5_000}, {"messages": 7}]))
        tidied(file, removing, **bound)
        counts = dict(
            file.database.execute(
                "SELECT name, sum(count) FROM chunks JOIN topics ON topics.id = topic GROUP BY name"
            )
        )
        assert {file.names[number]: count for number, count in file.counts.items()} == counts
        assert dict(file.database.execute("SELECT name, messages FROM topics")) == counts
        assert {name: file.ids[name] for name in counts} == file.ids
        if "age" in bound:
            (oldest,) = file.database.execute("SELECT min(last) FROM chunks").fetchone()
            assert oldest is None or oldest / 1e6 >= now - 5_000 - 10
    file.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"filters": ["a/#/b"]}, "has '#' elsewhere"),
        ({"filters": ["$share/x/a"]}, "is not shared"),
        ({"age": -1.0}, "age is 0 or more"),
        ({"age": float("inf")}, "and finite, not inf"),
        ({"ages": {"a/#/b": 1.0}}, "ages has 'a/#/b'"),
        ({"ages": {"a": float("inf")}}, "an age is 0 or more"),
        ({"size": 1_000}, "1 MiB"),
        ({"topics": 0}, "topics is 1 or more"),
        ({"waiting": 1}, "64 KiB"),
        ({"interval": 0.0}, "between 10 ms and a minute"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        HistorySettings(**wrong)  # type: ignore[arg-type]
