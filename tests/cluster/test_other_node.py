"""What is told to another node reaches it, also where the engine has refused it before."""

from __future__ import annotations

from typing import cast

import pytest
import trio

from trio_mqtt import Cluster
from trio_mqtt.broker.clustering.journal import ClusterJournal
from trio_mqtt.broker.clustering.other_node import OtherNode
from trio_mqtt.broker.clustering.travelling import Travel
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.entries import decode_entry
from trio_mqtt.cluster.inbox import Inbox, Inboxes
from trio_mqtt.cluster.items import APPLIED
from trio_mqtt.nurseries import tasks_beside


async def test_news_that_were_refused_are_told_again(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_engine(cluster) as engine, tasks_beside() as nursery:
        other = OtherNode(
            "n",
            engine,
            Inboxes(engine),
            cast("ClusterJournal", None),  # nothing is promised to it
            cast("Travel", None),  # no messages are on their way
            Statistics(),
        )
        inbox = engine.keys.inbox("n")
        await engine.call("SET", inbox, "no stream")
        nursery.start_soon(other.run)
        other.tell(APPLIED, b"news")
        with trio.fail_after(60):
            while not caplog.messages:  # noqa: ASYNC110 # no event tells of it
                await trio.sleep(0.01)
        assert caplog.messages[0].startswith("The engine takes nothing for the node n: ")
        await engine.call("DEL", inbox)
        (entry,) = await Inbox(engine, "n").read(count=10, block=10)
        assert [(kind, bytes(data)) for kind, data in decode_entry(entry)] == [(APPLIED, b"news")]
        assert len(caplog.messages) == 1
