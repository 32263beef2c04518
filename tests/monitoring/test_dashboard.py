"""The dashboard for Grafana: all that it asks for is there, and it is laid out as Grafana wants."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from trio_mqtt import MemoryStorage
from trio_mqtt.broker.timing import Timing
from trio_mqtt.monitoring.metrics import Exposition
from trio_mqtt.testing import open_memory_broker

DASHBOARD = json.loads(
    (Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]


def expressions() -> list[str]:
    asked = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    variables = DASHBOARD["templating"]["list"]
    return asked + [one["definition"] for one in variables if "definition" in one]


async def test_every_metric_that_it_names_is_there_with_its_labels() -> None:
    async with open_memory_broker(storage=MemoryStorage()) as memory:
        await memory.broker.publish("t", b"x", qos=1)
        async with memory.open_client() as client:
            await client.publish("t", b"y", qos=1)
        page, _ = await Exposition(memory.broker, Timing(1, float)).page("")
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    named = [name for one in expressions() for name in re.findall(r"(?:mqtt|process)_\w+", one)]
    assert len(set(named)) > 25
    assert [name for name in named if name not in labels] == []
    for expression in expressions():
        for by, name in re.findall(r"by \(([\w, ]+)\) \(rate\((\w+)", expression):
            assert set(by.split(", ")) <= labels[name], expression


def test_it_is_laid_out_as_grafana_wants() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert DASHBOARD["uid"] == "trio-mqtt"
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        area = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not area & taken, panel["title"]
        taken |= area
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert [one["refId"] for one in panel["targets"]] == list(
            "ABCDEFGH"[: len(panel["targets"])]
        )
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    used = {name for one in expressions() for name in re.findall(r"\$(\w+)", one)}
    assert used <= variables | {"__rate_interval"}
