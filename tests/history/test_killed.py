"""A broker that is killed while much comes: what its history was given is there, and whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.programs import Program
from trio_mqtt import sync
from trio_mqtt.history import HistoryQuery, read_history


@pytest.mark.slow
def test_what_was_written_is_there_in_order_and_nothing_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    written = 0
    for round_ in range(3):
        settings = ("--history", "a/#", "--set", "history.interval=10ms")
        with Program("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path), *settings) as broker:
            url = broker.out.expect(r"Listening at (\S+)")[1]
            with sync.open_client(url) as client:
                for number in range(2_000):
                    client.publish(f"a/{number % 3}", f"{round_}/{number}")
                    if number == 1_000:
                        # What an answer has is in the file; what comes now is on its way there.
                        client.publish("a/0", f"{round_}/seen", qos=1)
                        while f"{round_}/seen" not in str(
                            client.request("$history/a/0", "last=1").payload
                        ):
                            pass
            broker.process.kill()
            broker.process.wait()
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts = file.execute(
                "SELECT messages, (SELECT sum(count) FROM chunks WHERE topic = topics.id)"
                " FROM topics"
            ).fetchall()
        assert all(told == there for told, there in counts)
        query = HistoryQuery(topic_filter="a/+", limit=10_000)
        messages = [one for page in read_history(path, query) for one in page.messages]
        assert len(messages) >= written + 1_002
        written = len(messages)
        for topic in range(3):
            of_round = [
                int(number)
                for where, number in (
                    one.payload.decode().split("/")
                    for one in messages
                    if one.topic == f"a/{topic}" and not one.payload.endswith(b"seen")
                )
                if int(where) == round_
            ]
            assert of_round == [*range(topic, 3 * len(of_round), 3)]
