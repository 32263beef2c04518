"""What a broker is opened with: what is no such thing is told in words, before anything is done."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import trio_mqtt


@pytest.mark.trio
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"limits": {"maximum_connections": 5}},
            "limits is trio_mqtt.Limits(...), not of type dict.",
        ),
        ({"options": "none"}, "options is trio_mqtt.BrokerOptions(...), not of type str."),
        ({"security": object()}, "security is trio_mqtt.Security(...), not of type object."),
        (
            {"storage": "data"},
            "storage is no path, but a storage such as SqliteStorage('data').",
        ),
        (
            {"storage": Path("data")},
            "storage is no path, but a storage such as SqliteStorage('data').",
        ),
    ],
)
async def test_arguments_of_another_kind_are_told(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError) as caught:
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", **arguments):
            pass
    assert str(caught.value) == sentence


def test_a_broker_on_asyncio_is_told_that_it_needs_trio() -> None:
    async def main() -> None:
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0"):
            pass

    with pytest.raises(RuntimeError, match=r"A broker runs on Trio, by trio\.run"):
        asyncio.run(main())


@pytest.mark.trio
async def test_a_broker_shows_where_it_listens() -> None:
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        assert repr(broker) == f"<trio_mqtt.Broker at {broker.url}>"
