"""Dynamic security over HTTP: commands are done, and no password is in the audit log."""

from __future__ import annotations

import logging

import pytest

from tests.web.conftest import PASSWORD, Served
from trio_mqtt.administration import DynamicCommands
from trio_mqtt.events import ChangeRequested


async def test_a_user_is_made_and_its_password_told_nobody(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    create = {"command": "createClient", "username": "lamp", "password": "s3cret"}
    async with served.asking("administrate") as client:
        answer = await client.post("/dynamic-security", json={"commands": [create]})
    assert (answer.status_code, answer.json()) == (
        200, {"responses": [{"command": "createClient"}]}
    )  # fmt: skip
    (line,) = (one.getMessage() for one in caplog.records if one.name == "trio_mqtt.audit")
    assert '{"commands": [{"command": "createClient", "username": "lamp"}]}' in line
    assert "s3cret" not in caplog.text
    asked = DynamicCommands(commands=({"command": "listClients"},))
    (known,) = (await served.broker.administration.dynamic_security(asked)).responses
    assert known["data"] == {"totalCount": 1, "clients": ["lamp"]}


async def test_who_only_looks_has_changed_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.audit")
    looks = ({"command": "listClients"}, {"command": "getDefaultACLAccess"})
    enable = {"command": "enableClient", "username": "nobody"}
    async with served.asking("administrate") as client:
        with served.broker.sample(ChangeRequested) as sample:
            for commands in (looks, (*looks, enable), ({"command": 1},)):
                answer = await client.post("/dynamic-security", json={"commands": commands})
                assert answer.status_code == 200
            events = sample.take()
    assert len(events) == 2
    told = [one.getMessage() for one in caplog.records if one.name == "trio_mqtt.audit"]
    assert len(told) == 2
    assert "enableClient" in told[0]


async def test_who_is_disabled_is_logged_in_no_more(served: Served) -> None:
    def asked(name: str) -> DynamicCommands:
        return DynamicCommands(commands=({"command": name, "username": "ada"},))

    administration = served.broker.administration
    create = {"command": "createClient", "username": "ada", "password": PASSWORD}
    await administration.dynamic_security(DynamicCommands(commands=(create,)))
    async with served.asking(None) as client:
        login = {"user": "ada", "password": PASSWORD}
        assert (await client.post("/login", json=login)).status_code == 200
        assert (await client.get("/session")).status_code == 200
        await administration.dynamic_security(asked("disableClient"))
        assert (await client.get("/session")).status_code == 401
        assert (await client.post("/login", json=login)).status_code == 401
        await administration.dynamic_security(asked("enableClient"))
        assert (await client.get("/session")).status_code == 401
        assert (await client.post("/login", json=login)).status_code == 200
