"""A broker that keeps what comes on topics, and answers who asks for it."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_mqtt
from trio_mqtt import Broker, Client, ConfigurationError, Security, SqliteStorage, StoreError
from trio_mqtt.history import HistoryQuery, HistorySettings
from trio_mqtt.history.store import HistoryStore

LOCAL = "mqtt://127.0.0.1:0"


@asynccontextmanager
async def opened(folder: Path, *filters: str, **settings: Any) -> AsyncIterator[Broker]:
    """A broker with a history of some filters."""
    of_broker = {
        name: settings.pop(name) for name in ("security", "storage", "limits") if name in settings
    }
    history = HistorySettings(
        filters=filters, path=folder / "h.sqlite3", **{"interval": 0.02, **settings}
    )
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(LOCAL, history=history, **of_broker) as broker:
            yield broker


async def payloads(broker: Broker, topic_filter: str, **query: Any) -> list[bytes]:
    """What is kept of a filter, once all that has come is written."""
    assert broker.history is not None
    await broker.history.written()
    page = await broker.history.read(HistoryQuery(topic_filter=topic_filter, **query))
    return [one.payload for one in page.messages]


async def ask(client: Client, question: str, topic: str = "$history") -> dict[str, Any]:
    """What is answered, once all that has come is written."""
    answer = await client.request(topic, question, timeout=30)
    found: dict[str, Any] = json.loads(answer.payload)
    return found


async def test_pages_come_until_there_are_no_more_and_need_not_all_be_taken(tmp_path: Path) -> None:
    async with opened(tmp_path, "#") as broker:
        for number in range(5):
            await broker.publish("t", str(number))
        assert broker.history is not None
        await broker.history.written()
        query = HistoryQuery(topic_filter="t", limit=2)
        found = [page async for page in broker.history.pages(query)]
        assert [[one.payload for one in page.messages] for page in found if page.messages] == [
            [b"0", b"1"],
            [b"2", b"3"],
            [b"4"],
        ]
        async for page in broker.history.pages(query):
            assert len(page.messages) == 2
            break  # and nothing warns of what was left


async def test_what_matches_is_kept_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path, "a/#", "+/x") as broker:
        async with trio_mqtt.open_client(broker.url) as client:
            for topic in ("a/b", "b/x", "b/y", "a/x"):
                await client.publish(topic, topic, qos=1, properties={"content_type": "t"})
            await client.publish("a/gone", b"", qos=2, retain=True)
        await broker.publish("a/own", "own")
        # What both filters match is there once.
        assert await payloads(broker, "#") == [b"a/b", b"b/x", b"a/x", b"", b"own"]
        assert broker.history is not None
        page = await broker.history.read(HistoryQuery(topic_filter="a/+"))
        assert [(one.topic, one.qos, one.retain) for one in page.messages] == [
            ("a/b", 1, False),
            ("a/x", 1, False),
            ("a/gone", 2, True),
            ("a/own", 0, False),
        ]
        assert page.messages[0].properties == {"content_type": "t"}
        assert abs(page.messages[0].at - time.time()) < 60
        figures = await broker.history.figures()
        assert (figures.kept, figures.messages, figures.topics, figures.lost) == (5, 5, 5, 0)
        assert broker.statistics.history_kept == 5
    assert (tmp_path / "h.sqlite3").stat().st_mode & 0o777 == 0o600


async def test_the_next_broker_has_what_the_last_one_kept(tmp_path: Path) -> None:
    for number in range(3):
        async with opened(tmp_path, "a", interval=60.0) as broker:
            await broker.publish("a", str(number))
            assert await payloads(broker, "a") == [b"%d" % one for one in range(number + 1)]
            await broker.publish("a", b"")  # the end writes what waits
        store = sqlite3.connect(tmp_path / "h.sqlite3")
        assert store.execute("SELECT messages FROM topics").fetchone() == (2 * number + 2,)
        store.execute("DELETE FROM chunks WHERE count = 1 AND id = (SELECT max(id) FROM chunks)")
        store.commit()
        store.close()


async def test_it_stands_beside_the_storage_and_needs_a_place(tmp_path: Path) -> None:
    history = HistorySettings(filters=["a"])
    storage = SqliteStorage(tmp_path / "data" / "broker.sqlite3")
    async with trio_mqtt.open_broker(LOCAL, storage=storage, history=history):
        assert (tmp_path / "data" / "history.sqlite3").exists()
    with pytest.raises(ConfigurationError, match=r"history\.path"):
        async with trio_mqtt.open_broker(LOCAL, history=history):
            pass


async def test_two_brokers_cannot_have_one_file(tmp_path: Path) -> None:
    async with opened(tmp_path, "a"):
        with pytest.raises(StoreError, match="in use by another broker"):
            async with opened(tmp_path, "a"):
                pass


async def test_any_client_can_ask(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, "#") as broker,
        trio_mqtt.open_client(broker.url) as client,
    ):
        for number in range(10):
            await client.publish("a/b", f'{{"t": {number}}}')
        await client.publish("a/c", b"\xff\x00", qos=1)
        await payloads(broker, "#")
        found = await ask(client, "last=2", "$history/a/b")
        assert [one["payload"] for one in found["messages"]] == ['{"t": 8}', '{"t": 9}']
        assert found["messages"][0].keys() == {"topic", "time", "qos", "retain", "payload"}
        found = await ask(client, '{"filter": "a/+", "since": "1h", "limit": 4}')
        assert [one["payload"] for one in found["messages"]] == [f'{{"t": {n}}}' for n in range(4)]
        found = await ask(client, json.dumps({"filter": "a/+", "after": found["next"]}))
        assert [one.get("payload_base64") for one in found["messages"]] == [None] * 6 + ["/wA="]
        assert "next" not in found
        found = await ask(client, "filter=a/+&every=1h&summary=max&path=.t")
        assert [(one["value"], one["numbers"]) for one in found["points"]] == [(9, 10)]
        assert await ask(client, "filter=a/+&every=1h&path=.nowhere") == {"points": []}
        assert await ask(client, "until=2001-01-01T00:00", "$history/a/b") == {"messages": []}


@pytest.mark.parametrize(
    ("topic", "question", "words"),
    [
        ("$history", "", "with a filter"),
        ("$history/a", "filter=b", "not both"),
        ("$history/a", "[1]", "A question is JSON"),
        ("$history/a", "{", "A question is JSON"),
        ("$history/a", "last", "A question is JSON"),
        ("$history/a", "lst=1", "There is no 'lst'"),
        ("$history/a", "last=0", "last is 1 or more"),
        ("$history/a", '{"last": true}', "last is a whole number"),
        ("$history/a", "since=yesterday", "since: 'yesterday' is no moment"),
        ("$history/a", '{"since": [1]}', "since is a number or a text"),
        ("$history/a", "every=soon", "every: 'soon' is not a duration"),
        ("$history/a", "every=1m&summary=most", "There is no 'most'"),
        ("$history/a", "path=..", "is not the way to a field"),
        ("$history/a", "after=x", "after is what a page before has"),
        ("$history", "filter=a/%23/b", "has '#' elsewhere"),
        ("$history", "filter=%ff", "A question is JSON"),
        ("$history/a", '{"path": 1}', "path is a text"),
        ("$history/a", '{"every": 1e400}', "every is a number"),
        ("$history/a", " " * 5000, "at most"),
    ],
)
async def test_what_makes_no_sense_is_said(
    tmp_path: Path, topic: str, question: str, words: str
) -> None:
    async with opened(tmp_path, "#") as broker, trio_mqtt.open_client(broker.url) as client:
        assert words in (await ask(client, question, topic))["error"]


async def test_only_who_asks_hears_the_answer(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, "a") as broker,
        trio_mqtt.open_client(broker.url) as client,
        trio_mqtt.open_client(broker.url) as other,
        other.subscribe("answers") as heard,
        client.subscribe("answers") as answers,
    ):
        properties: trio_mqtt.Properties = {
            "response_topic": "answers",
            "correlation_data": b"\x00\x01",
        }
        await client.publish("$history/a", qos=1, properties=properties)
        answer = await anext(aiter(answers))
        assert answer.properties["correlation_data"] == b"\x00\x01"
        assert answer.properties["content_type"] == "application/json"
        await client.publish("answers", "theirs")
        assert (await anext(aiter(heard))).payload == b"theirs"
        # Without a topic for the answer it is no question.
        with pytest.raises(trio_mqtt.RefusedError):
            await client.publish("$history/a", qos=1)


async def test_answers_have_what_the_asker_may_read(tmp_path: Path) -> None:
    access = tmp_path / "access"
    access.write_text(
        "topic readwrite open/#\ntopic write secret/#\ntopic write $history/#\n"
        "topic write $history\ntopic read $request/#\ntopic readwrite reply/#\n"
    )
    security = Security(access=access, allow_anonymous=True)
    async with (
        opened(tmp_path, "#", security=security) as broker,
        trio_mqtt.open_client(broker.url) as client,
        client.subscribe("reply/mine") as answers,
    ):

        async def told(question: str) -> dict[str, Any]:
            properties: trio_mqtt.Properties = {"response_topic": "reply/mine"}
            await client.publish("$history", question, qos=1, properties=properties)
            found: dict[str, Any] = json.loads((await anext(aiter(answers))).payload)
            return found

        await client.publish("open/a", "1", qos=1)
        await client.publish("secret/a", "2", qos=1)
        assert await payloads(broker, "#") == [b"1", b"2"]
        assert [one["payload"] for one in (await told("filter=open/%2B"))["messages"]] == ["1"]
        for hidden in ("secret/a", "secret/#", "#", "+/a"):
            found = await told(json.dumps({"filter": hidden}))
            seen = [one["topic"] for one in found.get("messages", ())]
            assert seen == ["open/a"] * (hidden in ("#", "+/a")) or "may not" in found["error"]


async def test_below_a_mount_point_there_is_nothing_else(tmp_path: Path) -> None:
    history = HistorySettings(filters=["#"], path=tmp_path / "h.sqlite3", interval=0.02)
    listens = [trio_mqtt.Listen(LOCAL, mount_point="site/"), trio_mqtt.Listen(LOCAL)]
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(*listens, history=history) as broker:
            mounted, plain = broker.urls
            async with (
                trio_mqtt.open_client(mounted) as inner,
                trio_mqtt.open_client(plain) as outer,
            ):
                await inner.publish("a", "in", qos=1)
                await outer.publish("a", "out", qos=1)
                await payloads(broker, "#")
                found = await ask(inner, "filter=%23")
                assert [(one["topic"], one["payload"]) for one in found["messages"]] == [
                    ("a", "in")
                ]
                found = await ask(outer, "filter=%23")
                assert [one["topic"] for one in found["messages"]] == ["site/a", "a"]


async def test_a_small_client_gets_small_pages(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, "#") as broker,
        trio_mqtt.open_client(broker.url, properties={"maximum_packet_size": 8_000}) as client,
    ):
        for number in range(100):
            await client.publish("a", b"\x01" * 500 + b"%d" % number, qos=1)
        await payloads(broker, "#")
        seen, after, pages = 0, "", 0
        while True:
            found = await ask(client, json.dumps({"filter": "a", "after": after}))
            seen += len(found["messages"])
            pages += 1
            after = found.get("next", "")
            if not after:
                break
        assert seen == 100
        assert pages > 5


async def test_who_asks_too_much_at_once_is_told(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, "a") as broker,
        trio_mqtt.open_client(broker.url) as client,
        client.subscribe("answers") as answers,
    ):
        properties: trio_mqtt.Properties = {"response_topic": "answers"}
        for _ in range(100):
            await client.publish("$history/a", properties=properties)
        found = [json.loads((await anext(aiter(answers))).payload) for _ in range(100)]
        told = [one for one in found if "error" in one]
        assert all("Too many questions" in one["error"] for one in told)
        assert len(told) < 100


async def test_a_question_that_meets_a_defect_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with (
        opened(tmp_path, "a") as broker,
        trio_mqtt.open_client(broker.url, client_id="c") as client,
    ):
        with monkeypatch.context() as patched:
            patched.setattr(HistoryStore, "read", broken)
            assert "defect" in (await ask(client, '{"filter": "a"}'))["error"]
        assert (await ask(client, '{"filter": "a"}')) == {"messages": []}
    assert "A question of 'c' could not be answered" in caplog.text


async def test_other_settings_hold_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, "a", "b") as broker:
        assert broker.history is not None
        await broker.publish("a", "1")
        await broker.publish("b", "1")
        path = tmp_path / "h.sqlite3"
        await broker.reconfigure(history=HistorySettings(filters=["b", "c"], path=path))
        for topic in ("a", "b", "c"):
            await broker.publish(topic, "2")
        assert await payloads(broker, "a") == [b"1"]
        assert await payloads(broker, "b") == [b"1", b"2"]
        assert await payloads(broker, "c") == [b"2"]
        with pytest.raises(ConfigurationError, match="from the start"):
            await broker.reconfigure(history=HistorySettings(filters=["b"], path=tmp_path / "x"))


async def test_system_topics_tell_of_it(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, "a") as broker,
        trio_mqtt.open_client(broker.url) as client,
    ):
        await client.publish("a", "1", qos=1)
        await payloads(broker, "a")
        async with client.subscribe("$SYS/broker/history/#") as told:
            found = {}
            async for message in told:
                found[message.topic.rpartition("/")[2]] = message.payload
                if len(found) == 2:
                    break
        assert found == {"kept": b"1", "lost": b"0"}


async def test_a_disk_that_is_slower_than_what_comes_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = trio.Event()
    append = HistoryStore.append

    async def slowly(self: HistoryStore, *arguments: Any) -> tuple[int, int]:
        await go_on.wait()
        return await append(self, *arguments)

    monkeypatch.setattr(HistoryStore, "append", slowly)
    async with opened(tmp_path, "a", waiting=64 * 1024) as broker:
        async with trio_mqtt.open_client(broker.url) as client:
            for _ in range(100):
                await client.publish("a", bytes(2_000), qos=1)
        lost = broker.statistics.history_lost
        assert 60 < lost < 80
        assert "more comes than is written" in caplog.text
        go_on.set()
        assert len(await payloads(broker, "a")) == 100 - lost
        assert broker.history is not None
        (removal,) = await broker.history.removals()
        assert (removal.reason, removal.messages) == ("lost", lost)


async def test_who_waits_for_what_has_come_does_not_wait_for_what_is_lost_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = HistoryStore.append

    async def while_more_comes(self: HistoryStore, *arguments: Any) -> tuple[int, int]:
        history._lose(1)
        return await append(self, *arguments)

    async with opened(tmp_path, "a") as broker:
        assert broker.history is not None
        history = broker.history
        with monkeypatch.context() as flooded:
            flooded.setattr(HistoryStore, "append", while_more_comes)
            await broker.publish("a", b"1")
            with trio.fail_after(30):
                await history.written()
        await broker.publish("a", b"2")
        await history.written()
        assert await payloads(broker, "a") == [b"1", b"2"]
        (removal,) = await history.removals()
        assert (removal.reason, removal.messages) == ("lost", broker.statistics.history_lost)


async def test_a_full_disk_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path, "a") as broker:
        history = broker.history
        assert history is not None
        file = history._store._file
        assert file is not None
        pages = file.database.execute("PRAGMA page_count").fetchone()[0]
        await history._store._do(
            lambda: file.database.execute(f"PRAGMA max_page_count = {pages + 2}").fetchall()
        )
        await broker.publish("a", os.urandom(40_000))
        await history.written()
        assert "full" in str(history.failure)
        assert (await history.figures()).failure == history.failure
        await broker.publish("a", "later")
        await history._store._do(
            lambda: file.database.execute("PRAGMA max_page_count = 1000000").fetchall()
        )
        assert [len(one) for one in await payloads(broker, "a")] == [40_000, 5]
        assert (await history.figures()).failure is None
        assert "again" in caplog.text
        assert broker.statistics.history_lost == 0


async def test_a_damaged_file_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "h.sqlite3").write_bytes(b"no database" * 1_000)
    with caplog.at_level(logging.ERROR):
        async with opened(tmp_path, "a") as broker:
            await broker.publish("a", "1")
            assert await payloads(broker, "a") == [b"1"]
    assert "set aside" in caplog.text
    assert any("damaged-" in name for name in os.listdir(tmp_path))
