"""The reference has every `$SYS` topic."""

from __future__ import annotations

import re
from pathlib import Path

from tests.broker.conftest import Join
from trio_mqtt.broker.clustering.cluster_topics import _SUMS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "system-topics.md"


async def test_the_page_has_every_topic_and_no_other(join: Join) -> None:
    rows = re.findall(r"^\| (`.+?) \| ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    client = await join("c")
    await client.subscribe("$SYS/#")
    there = {one.topic.removeprefix("$SYS/broker/") for one in await client.messages(0.05)}
    averages = {name.removeprefix("load/").rpartition("/")[0] for name in there if "load/" in name}
    names = {name for name in there if not name.startswith("load/")} | averages
    names |= {"history/messages/kept", "history/messages/lost"}
    names |= {"cluster/name", "cluster/node", "cluster/nodes/count"}
    names |= {f"cluster/{name}" for name in _SUMS}
    # Linux alone tells these.
    names |= {"heap/current", "heap/maximum"}
    assert told == names
