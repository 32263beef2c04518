"""Each operation is asked for in each way, by one list: all answer the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import pytest
import trio

import trio_mqtt
from tests.web.asked import ASKED
from tests.web.conftest import Served
from trio_mqtt.administration import OPERATIONS, Operation
from trio_mqtt.web.json_forms import plain

# What differs each time.
_OF_ITS_TIME = {
    "address", "at", "by", "client", "expires_at", "listener", "listeners", "loop_lag", "memory",
    "queued_messages", "rates", "received_at", "since", "stored_at", "totals", "until", "uptime",
    "in_flight", "queued_bytes", "connections",
}  # fmt: skip

Ask = Callable[[Operation, object], Awaitable[object]]


def test_the_list_has_all_operations() -> None:
    assert sorted(ASKED) == sorted(one.name for one in OPERATIONS)


def in_python(served: Served) -> Ask:
    async def ask(operation: Operation, asked: object) -> object:
        return plain(await served.broker.administration.perform(operation, asked))

    return ask


def by_http(client: httpx.AsyncClient) -> Ask:
    async def ask(operation: Operation, asked: object) -> object:
        answer = await send(client, operation, asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


async def send(client: httpx.AsyncClient, operation: Operation, asked: object) -> httpx.Response:
    """Ask for an operation by HTTP."""
    given = {
        field.name: plain(value)
        for field in dataclasses.fields(cast("Any", asked))
        if (value := getattr(asked, field.name)) not in (None, field.default, ())
    }
    if operation.method == "POST":
        return await client.post(operation.path, json=given)
    return await client.request(operation.method, operation.path, params=given)


def lasting(answer: object) -> object:
    """An answer without what differs each time."""
    if isinstance(answer, dict):
        return {key: lasting(one) for key, one in answer.items() if key not in _OF_ITS_TIME}
    if isinstance(answer, list):
        return [lasting(one) for one in answer]
    return answer


@pytest.mark.slow
async def test_all_ways_answer_the_same(served: Served) -> None:
    answers: list[dict[str, Any]] = []
    operations = {one.name: one for one in OPERATIONS}
    async with AsyncExitStack() as stack:
        ways = [
            in_python(served),
            by_http(await stack.enter_async_context(served.asking())),
            by_http(await stack.enter_async_context(served.owning())),
        ]
        for ask in ways:
            found: dict[str, Any] = {}
            async with trio_mqtt.open_client(
                served.broker.url, client_id="c", session_expiry_interval=100
            ):
                with trio.fail_after(60):
                    for name, asked in ASKED.items():
                        if not operations[name].streams:
                            found[name] = lasting(await ask(operations[name], asked))
            answers.append(found)
    assert answers[0] == answers[1]
    assert answers[0] == answers[2]
    assert answers[0]["delete_retained"] == {"count": 1}
    assert answers[0]["clients"]["total"] == 1
