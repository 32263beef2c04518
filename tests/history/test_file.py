"""The file of a history, as its thread uses it beside a broker."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.history.came import came
from trio_mqtt.history.file import HistoryFile
from trio_mqtt.protocol.packets import Publish


def test_others_have_the_interpreter_while_topics_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = HistoryFile(str(tmp_path / "h.sqlite3"))
    topics = [f"{place}/{number}" for number in range(1_000) for place in "ab"]
    file.append([came([Publish(topic, b"x") for topic in topics])], 10_000)
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    assert file.topics_of("a/+") == topics[::2]
    assert len(pauses) >= 7
    file.close()
