"""The API describes itself: what it answers is what it says that it answers."""

from __future__ import annotations

import json
import threading

import jsonschema
import pytest
import trio

import trio_mqtt
from tests.web.asked import ASKED
from tests.web.conftest import Served
from tests.web.test_every_way import send
from trio_mqtt.administration import OPERATIONS
from trio_mqtt.web.description import description


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for part in value.values() for one in _references(part)]
    if isinstance(value, list):
        return [one for part in value for one in _references(part)]
    return []


def test_each_operation_is_described() -> None:
    told = description()
    entries = [(by, path, one) for path, at in told["paths"].items() for by, one in at.items()]
    assert sorted(one["operationId"] for _, _, one in entries) == sorted(
        [*(one.name for one in OPERATIONS), "log_in", "log_out", "session"]
    )
    for by, path, entry in entries:
        assert entry["summary"], (by, path)
        for parameter in entry.get("parameters", ()):
            assert parameter["description"], (path, parameter)
    schemas = told["components"]["schemas"]
    for reference in _references(told):
        assert reference.removeprefix("#/components/schemas/") in schemas
    json.dumps(told)


async def test_nobody_waits_until_it_is_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by: list[int] = []

    def make() -> bytes:
        made_by.append(threading.get_ident())
        return b"{}"

    monkeypatch.setattr("trio_mqtt.web.api.written_description", make)
    async with served.asking() as client:
        assert (await client.get("/openapi.json")).json() == {}
    assert made_by != [threading.get_ident()]


@pytest.mark.slow
async def test_answers_are_as_described(served: Served) -> None:
    told = description()
    async with (
        served.asking() as client,
        trio_mqtt.open_client(served.broker.url, client_id="c", session_expiry_interval=100),
    ):
        assert (await client.get("/openapi.json")).json() == json.loads(json.dumps(told))
        session = told["paths"]["/session"]["get"]["responses"]["200"]
        whole = {
            **session["content"]["application/json"]["schema"],
            "components": told["components"],
        }
        for answer in (await client.get("/session"), await client.post("/logout")):
            jsonschema.Draft202012Validator(whole).validate(answer.json())
        operations = {one.name: one for one in OPERATIONS}
        with trio.fail_after(60):
            for name, asked in ASKED.items():
                operation = operations[name]
                if operation.streams:
                    continue
                answer = await send(client, operation, asked)
                entry = told["paths"][operation.path][operation.method.lower()]
                response = entry["responses"][str(answer.status_code)]
                schema = response["content"]["application/json"]["schema"]
                whole = {**schema, "components": told["components"]}
                jsonschema.Draft202012Validator(whole).validate(answer.json())
