"""What docs/how-to/monitoring.md tells is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from trio_mqtt import BrokerOptions, Limits, MemoryStorage, ReasonCode
from trio_mqtt.broker.timing import Timing
from trio_mqtt.configuration import load
from trio_mqtt.monitoring.log_options import PARTS
from trio_mqtt.monitoring.metrics import Exposition
from trio_mqtt.monitoring.metrics_options import MetricsOptions
from trio_mqtt.testing import open_memory_broker

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "monitoring.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


async def test_the_metrics_that_it_names_are_there() -> None:
    async with open_memory_broker(storage=MemoryStorage()) as memory:
        page, _ = await Exposition(memory.broker, Timing(1, float)).page("")
    known = {
        name
        for family in text_string_to_metric_families(page.decode())
        for name in (family.name, *(sample.name for sample in family.samples))
    } | {"mqtt_packets_by_type_received_total", "mqtt_packets_by_type_sent_total"}
    named = set(re.findall(r"\bmqtt_[a-z_]+[a-z]", PAGE))
    assert len(named) > 20
    assert named <= known, named - known


def test_its_settings_and_programs_are_right(tmp_path: Path) -> None:
    for number, block in enumerate(blocks("toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block, encoding="utf-8")
        assert load(path).settings.logging is not None
        assert tomllib.loads(block)["logging"]["format"] == "json"
    for block in blocks("python"):
        compile(block, "monitoring.md", "exec")
    assert len([yaml.safe_load(block) for block in blocks("yaml")]) == 2


def test_its_parts_and_numbers_are_right() -> None:
    assert {part for part in PARTS if f"`{part}`" not in PAGE} == {"client"}
    assert Limits().drain_timeout == 2
    assert Limits().goodbye_timeout == 1
    assert BrokerOptions().heartbeat_interval == 60
    assert MetricsOptions().maximum_connections == MetricsOptions().timed == 16
    assert MetricsOptions().timeout == 10
    assert int(ReasonCode.SERVER_SHUTTING_DOWN) == 0x8B
    assert int(ReasonCode.USE_ANOTHER_SERVER) == 0x9C
