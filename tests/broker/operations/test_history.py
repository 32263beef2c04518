"""What was kept of topics, asked for as an operation."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import trio_mqtt
from trio_mqtt.administration import OPERATIONS, DeleteHistory, RemovalQuery
from trio_mqtt.errors import NotFoundError
from trio_mqtt.history import HistoryQuery, HistorySettings
from trio_mqtt.testing import MemoryBroker


@pytest.mark.trio
async def test_it_is_answered_by_pages(tmp_path: Path) -> None:
    history = HistorySettings(filters=["a"], path=tmp_path / "h.sqlite3")
    with trio.fail_after(60):
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", history=history) as broker:
            assert broker.history is not None
            for number in range(3):
                await broker.publish("a", str(number), properties={"content_type": "n"})
            await broker.history.written()
            (operation,) = [one for one in OPERATIONS if one.name == "history"]
            asked = HistoryQuery(topic_filter="#", limit=2)
            page = await broker.administration.perform(operation, asked)
            assert [(one.payload, one.content_type) for one in page.messages] == [
                (b"0", "n"),
                (b"1", "n"),
            ]
            asked = HistoryQuery(topic_filter="#", after=page.next)
            page = await broker.administration.history(asked)
            assert ([one.payload for one in page.messages], page.next) == ([b"2"], "")


@pytest.mark.trio
async def test_messages_are_removed_by_filter_and_that_is_told(tmp_path: Path) -> None:
    history = HistorySettings(filters=["#"], path=tmp_path / "h.sqlite3")
    with trio.fail_after(60):
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", history=history) as broker:
            assert broker.history is not None
            for topic in ("a/1", "a/2", "b"):
                await broker.publish(topic, "x")
            await broker.history.written()
            administration = broker.administration
            early = DeleteHistory(topic_filter="#", until=1_000.0)
            assert (await administration.delete_history(early)).count == 0
            assert (
                await administration.delete_history(DeleteHistory(topic_filter="a/+"))
            ).count == 2
            left = await administration.history(HistoryQuery(topic_filter="#"))
            assert [one.topic for one in left.messages] == ["b"]
            told = await administration.removals(RemovalQuery(reason="asked"))
            assert [(one.topic_filter, one.messages) for one in told.items] == [("a/+", 2)]
            assert (await administration.removals(RemovalQuery(reason="age"))).total == 0


async def test_without_a_history_there_is_nothing(memory: MemoryBroker) -> None:
    with pytest.raises(NotFoundError, match="keeps no history"):
        await memory.broker.administration.history(HistoryQuery(topic_filter="a"))
