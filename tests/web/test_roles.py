"""Who may ask for what: every operation, by every role, tried."""

from __future__ import annotations

import pytest
import trio

import trio_mqtt
from tests.web.asked import ASKED
from tests.web.conftest import Served
from tests.web.event_streams import EventStream
from tests.web.test_every_way import send
from trio_mqtt.administration import OPERATIONS, Operation, Role

ROLES = (None, "see", "operate", "administrate")
# Every operation, with the least role that may ask for it: written here once more, and not taken
# from the table that is tried.
LEAST = {
    **dict.fromkeys(("overview", "series", "clients", "client", "queue", "subscriptions"), "see"),
    **dict.fromkeys(("retained", "retained_message", "topics", "history", "removals"), "see"),
    **dict.fromkeys(("bans", "who", "may", "trace", "events"), "see"),
    **dict.fromkeys(("disconnect", "end_session", "publish", "send_to_client"), "operate"),
    **dict.fromkeys(("delete_retained", "delete_history"), "operate"),
    **dict.fromkeys(("ban", "unban", "dynamic_security"), "administrate"),
    **dict.fromkeys(("give_subscription", "take_subscription"), "administrate"),
}


def _may(role: str | None, name: str) -> bool:
    return ROLES.index(role) >= ROLES.index(LEAST[name])


def test_every_operation_has_its_least_role() -> None:
    assert {one.name: one.role.name.lower() for one in OPERATIONS} == LEAST
    assert set(ASKED) == set(LEAST)


async def _status(served: Served, role: str | None, operation: Operation) -> int:
    async with served.asking(role) as client:
        if not operation.streams:
            return (await send(client, operation, ASKED[operation.name])).status_code
        if role is None:
            return (await client.get(operation.path)).status_code
        params = {"client_id": "c"} if operation.name == "trace" else {}
        async with EventStream(served, operation.path, role, **params) as told:
            return told.status


@pytest.mark.slow
async def test_each_role_may_do_what_it_may_and_nothing_else(served: Served) -> None:
    operations = {one.name: one for one in OPERATIONS}
    async with trio_mqtt.open_client(
        served.broker.url, client_id="c", session_expiry_interval=100
    ) as client:
        await client.publish("kept/1", b"x", retain=True, qos=1)
        with trio.fail_after(120):
            for name in ASKED:
                for role in ROLES:
                    status = await _status(served, role, operations[name])
                    if role is None:
                        assert status == 401, name
                    elif not _may(role, name):
                        assert status == 403, (name, role)
                    else:
                        assert status in (200, 404, 409), (name, role, status)


def test_what_changes_is_no_get_and_takes_more_than_seeing() -> None:
    for operation in OPERATIONS:
        assert operation.changes is (operation.role > Role.SEE), operation.name


async def test_who_may_not_changes_nothing(served: Served) -> None:
    async with served.asking("see") as client:
        refused = await client.post("/messages", json={"topic": "a", "retain": True, "text": "x"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert "operate" in refused.json()["detail"]
    assert served.broker.holdings().retained == 0
