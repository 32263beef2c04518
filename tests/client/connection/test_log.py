"""What the log says of the connection: each failure's reason once, aloud."""

from __future__ import annotations

import logging

import anyio
import pytest

from tests.client.fake_broker import FakeBroker

pytestmark = pytest.mark.anyio


def at(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


async def test_a_broker_that_is_away_is_told_of_once(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "trio_mqtt.client")
    async with broker.client(client_id="me") as client:
        broker.down = True
        broker.peer.end()
        await anyio.sleep(60)
        lost, refused = at(caplog, logging.WARNING)
        assert lost.startswith("The broker at mqtt://fake:1883 closed the connection. Client 'me'")
        assert refused.startswith("Nothing answers at mqtt://fake:1883. Client 'me' connects to")
        assert "mqtt://fake:1883 again in 0." in lost
        assert len(at(caplog, logging.DEBUG)) == broker.attempts - 2
        caplog.clear()
        broker.down = False
        await client.wait_connected()
        (connected,) = at(caplog, logging.INFO)
        assert connected.startswith("Connected to mqtt://fake:1883 as 'me' (MQTT 5, session new)")
        assert f"s after the first of {broker.attempts - 1} failures." in connected
        broker.peer.end()
        await anyio.sleep(40)
        assert at(caplog, logging.WARNING)[0].startswith("The broker at mqtt://fake:1883 closed")
    assert at(caplog, logging.INFO)[-1].endswith("s after the first of 1 failures.")


async def test_one_that_stays_away_is_recalled_every_ten_minutes(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker.client():
        broker.down = True
        broker.peer.end()
        await anyio.sleep(3_700)
    told = at(caplog, logging.WARNING)
    assert 2 + 5 <= len(told) <= 2 + 6
    assert "Nothing answers at mqtt://fake:1883. The client connects to" in told[-1]
    assert told[-1].endswith(" s now).")


async def test_a_first_broker_that_is_waited_for_is_told_of_too(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.down = True
    with anyio.move_on_after(60):
        async with broker.client(client_id="me", wait_for_broker=True):
            pytest.fail("there is no broker")
    (told,) = at(caplog, logging.WARNING)
    assert told.startswith("Nothing answers at mqtt://fake:1883. Client 'me' connects to")
