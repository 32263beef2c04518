"""What access refuses is in the log: who, what and the rule, and a flood of it in few lines."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.broker.raw import V5, Raw
from trio_mqtt import Limits, Security
from trio_mqtt.access import AccessHooks, AccessRefused
from trio_mqtt.broker.access.refusals import LINES, LINES_OF_ONE
from trio_mqtt.broker.log_lines import WINDOW
from trio_mqtt.protocol.packets import ConnAck, Connect, Publish, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.testing import MemoryBroker, open_memory_broker

LOGGER = "trio_mqtt.access"
RULES = "topic readwrite home/#\ntopic deny home/safe\n"


@asynccontextmanager
async def guarded(tmp_path: Path, security: Security | None = None) -> AsyncIterator[MemoryBroker]:
    rules = tmp_path / "access"
    rules.write_text(RULES)
    security = security or Security(access=rules, allow_anonymous=True)
    async with open_memory_broker(security=security, limits=Limits()) as memory:
        yield memory


async def joined(memory: MemoryBroker, client_id: str, peer: str = "10.0.0.1:5000") -> Raw:
    client = Raw(memory.connect(peer=peer), V5)
    await client.connect(client_id)
    return client


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == LOGGER and record.levelno == level
    ]


async def test_each_refusal_names_the_client_the_topic_and_the_rule(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(tmp_path) as memory:
        client = await joined(memory, "c1")
        await client.publish("home/safe", b"x", qos=1)
        await client.subscribe("away")
        await client.disconnect()
        other = Raw(memory.connect(peer="10.0.0.2:7"), V5)
        await other.send(Connect("c2", will=Will("away", b"")))
        assert (await other.expect(ConnAck)).reason_code == ReasonCode.NOT_AUTHORIZED
    rules = tmp_path / "access"
    assert lines(caplog) == [
        (
            f"'c1' (no user name, 10.0.0.1:5000) may not publish to 'home/safe': {rules}, line 2:"
            " topic deny home/safe"
        ),
        (
            f"'c1' (no user name, 10.0.0.1:5000) may not subscribe to 'away': {rules}, no rule"
            " allows it"
        ),
        (
            f"'c2' (no user name, 10.0.0.2:7) may not have its will at 'away': {rules}, no rule"
            " allows it"
        ),
    ]
    record = next(record for record in caplog.records if record.name == LOGGER)
    expected = {
        "client_id": "c1",
        "username": None,
        "address": "10.0.0.1:5000",
        "action": "publish",
        "topic": "home/safe",
        "rule": f"{rules}, line 2: topic deny home/safe",
        "count": 1,
    }
    assert {name: getattr(record, name) for name in expected} == expected


async def test_what_a_hook_refuses_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class OnlyTells(AccessHooks):
        async def authorize_publish(self, client: object, message: object) -> AccessRefused:
            return AccessRefused(reason="this broker only tells")

    async with guarded(tmp_path, Security(hooks=OnlyTells())) as memory:
        client = await joined(memory, "c")
        await client.publish("t", b"x", qos=1)
    assert lines(caplog) == [
        (
            "'c' (no user name, 10.0.0.1:5000) may not publish to 't': the program's hook:"
            " this broker only tells"
        )
    ]


async def test_deliveries_are_told_to_those_who_ask_for_information(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    async with guarded(tmp_path) as memory:
        client = await joined(memory, "c")
        await client.subscribe("#")
        await memory.broker.publish("home/safe", b"x")
        await memory.broker.publish("home/lamp", b"y")
        await client.expect_message("home/lamp", b"y")
    assert lines(caplog) == []
    assert lines(caplog, logging.INFO) == [
        (
            f"'c' (no user name, 10.0.0.1:5000) may not receive 'home/safe': {tmp_path / 'access'},"
            " line 2: topic deny home/safe"
        )
    ]


@pytest.mark.slow
async def test_a_flood_of_refusals_is_a_few_lines_and_a_sum(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(tmp_path) as memory:
        flooder = await joined(memory, "flooder")
        for start in range(0, 20_000, 1_000):
            await flooder.send(*(Publish(f"no/{n}", b"") for n in range(start, start + 1_000)))
        await flooder.send(*[Publish("no/same", b"")] * 5_000)
        await flooder.ping()
        # Nobody else's lines are taken away.
        other = await joined(memory, "other", "10.0.0.2:5000")
        await other.publish("home/safe", b"x", qos=1)
        assert len(lines(caplog)) == LINES_OF_ONE + 1
        assert lines(caplog)[-1].startswith("'other'")
        await trio.sleep(WINDOW + 1)
        assert lines(caplog)[LINES_OF_ONE + 1 :] == [
            (
                "24,995 more refusals in the last minute are not shown. Most of them: 'flooder'"
                " may not publish to: 24,995"
            )
        ]
        caplog.clear()
        await trio.sleep(10 * WINDOW)
        assert lines(caplog) == []
        await flooder.publish("no/more", b"", qos=1)
        assert len(lines(caplog)) == 1


async def test_refusals_of_many_clients_have_a_bound_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(tmp_path) as memory:
        for number in range(2 * LINES):
            client = await joined(memory, f"c{number}")
            await client.publish("no", b"", qos=1)
            await client.disconnect()
        assert len(lines(caplog)) == LINES
    # The broker has ended before the minute.
    assert lines(caplog)[-1].startswith(f"{LINES} more refusals in the last minute are not shown.")


async def test_what_clients_choose_cannot_forge_or_fill_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(tmp_path) as memory:
        client = await joined(memory, "c\x1b[2J\n\u202eWARNING")
        await client.publish("t" * 60_000, b"", qos=1)
    (line,) = lines(caplog)
    assert line.isprintable()
    assert len(line) < 1_000
