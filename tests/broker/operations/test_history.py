"""What was kept of topics, asked for as an operation."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import trio_mqtt
from trio_mqtt.administration import OPERATIONS
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


async def test_without_a_history_there_is_nothing(memory: MemoryBroker) -> None:
    with pytest.raises(NotFoundError, match="keeps no history"):
        await memory.broker.administration.history(HistoryQuery(topic_filter="a"))
