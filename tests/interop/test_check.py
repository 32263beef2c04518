"""`tmqtt check` tells what foreign brokers can do."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .brokers import run_aedes, run_mosquitto

pytestmark = pytest.mark.interop


def checked(url: str) -> dict[str, str]:
    """The status of each thing that is tried, and of the versions."""
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "tmqtt", "check", url, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as check:
        try:
            out, words = check.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            check.send_signal(signal.SIGABRT)  # has it tell where it is
            pytest.fail(f"it does not end:\n{check.communicate()[1]}")
    assert check.returncode == 0, f"{words}\n{out}"
    rows = json.loads(out)["checks"]
    return {row["name"]: row["status"] for row in rows if not row["group"].startswith("Limits")}


def test_mosquitto_can_do_all_of_it(tmp_path: Path) -> None:
    with run_mosquitto(tmp_path) as server:
        found = checked(f"mqtt://127.0.0.1:{server.port}")
    assert {name for name, status in found.items() if status != "OK"} == {"Topic levels"}


def test_aedes_lacks_mqtt_5_and_shared_subscriptions() -> None:
    with run_aedes() as server:
        found = checked(f"mqtt://127.0.0.1:{server.port}")
    assert {name for name, status in found.items() if status == "absent"} >= {
        "MQTT 5",
        "Shared subscriptions",
    }
