"""A node with a history keeps what is published at any node."""

from __future__ import annotations

import json
from pathlib import Path

import trio

import trio_mqtt
from tests.cluster.nodes import LOCAL, nodes
from trio_mqtt import Cluster
from trio_mqtt.history import HistoryQuery, HistorySettings


async def test_what_other_nodes_publish_is_kept_once_and_answered(
    cluster: Cluster, tmp_path: Path
) -> None:
    history = HistorySettings(filters=["a/#", "+/x"], path=tmp_path / "h.sqlite3", interval=0.02)
    with trio.fail_after(60):
        async with (
            nodes(cluster, 1) as (plain,),
            trio_mqtt.open_broker(LOCAL, cluster=cluster, history=history) as keeper,
        ):
            kept = keeper.history
            assert kept is not None
            async with (
                trio_mqtt.open_client(plain.url) as there,
                trio_mqtt.open_client(keeper.url) as here,
            ):
                # Until the other node knows what is wanted here.
                while "a/known" not in await kept.topics("#"):
                    await there.publish("a/known", "1", qos=1)
                    await kept.written()
                for number, client in enumerate((there, here) * 3):
                    await client.publish("a/x", str(number), qos=number % 3)
                query = HistoryQuery(topic_filter="a/x")
                found: list[bytes] = []
                while len(found) < 6:
                    await kept.written()
                    found = [one.payload for one in (await kept.read(query)).messages]
                assert sorted(found) == [b"%d" % number for number in range(6)]
                answer = await here.request("$history/a/x", "last=6", timeout=30)
                assert len(json.loads(answer.payload)["messages"]) == 6
