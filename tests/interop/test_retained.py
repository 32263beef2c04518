"""`tmqtt sub --retained-only` and `--remove-retained` on Mosquitto, which sends by the window."""

from __future__ import annotations

from pathlib import Path

import pytest

import trio_mqtt
from tests.cli.programs import Program
from trio_mqtt import sync

from .brokers import run_mosquitto

COUNT = 500


@pytest.mark.interop
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_all_that_is_retained_comes_before_the_end(tmp_path: Path, version: str) -> None:
    with run_mosquitto(tmp_path) as server:
        url = f"mqtt://{server.host}:{server.port}"
        protocol = trio_mqtt.ProtocolVersion.V311 if version == "3.1.1" else None
        with sync.open_client(url, protocol_version=protocol) as client:
            for number in range(COUNT):
                client.publish(f"kept/{number}", "x", qos=1, retain=True)
        options = ("-q", "1", "-V", version, "-b", url)
        with Program("sub", "kept/#", "--retained-only", *options) as sub:
            assert sub.ended() == 0
            assert sub.out.text.count("\n") == COUNT
        with Program("sub", "kept/#", "--remove-retained", *options) as remover:
            assert remover.ended() == 0
            assert f"{COUNT} retained messages removed.\n" in remover.err.text
        with Program("sub", "kept/#", "--retained-only", *options) as sub:
            assert sub.ended() == 0
            assert sub.err.text == "Nothing that is retained matches kept/#.\n"
