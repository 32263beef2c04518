"""Logging in: cookies, CSRF, wrong passwords, and what ends a login."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from tests.web.conftest import OPTIONS, PASSWORD, Served, served_with
from trio_mqtt.events import ChangeRequested
from trio_mqtt.web.people import Failures, People


async def _log_in(
    client: httpx.AsyncClient, username: str = "ada", password: str = PASSWORD
) -> httpx.Response:
    return await client.post("/login", json={"user": username, "password": password})


async def test_a_user_logs_in_and_asks_by_cookie(served: Served) -> None:
    async with served.asking(None) as client:
        answer = await _log_in(client)
        assert (answer.status_code, answer.json()["role"]) == (200, "administrate")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await client.get("/overview")).status_code == 200
        csrf = answer.json()["csrf"]
        assert (await client.get("/session")).json()["csrf"] == csrf
        message = {"topic": "a", "text": "hello"}
        for headers in ({}, {"X-CSRF-Token": "x" * len(csrf)}):
            refused = await client.post("/messages", json=message, headers=headers)
            assert refused.status_code == 403
        headers = {"X-CSRF-Token": csrf}
        assert (await client.post("/messages", json=message, headers=headers)).status_code == 200
        kept = dict(client.cookies)
        logout = await client.post("/logout", json={}, headers=headers)
        assert logout.status_code == 200
        client.cookies.update(kept)
        assert (await client.get("/overview")).status_code == 401


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong"), ("ada", ""), ("nobody", PASSWORD), ("eve", PASSWORD), ("", "")],
    ids=["wrong", "none", "unknown", "without a role", "nothing"],
)
async def test_who_proves_nothing_is_not_let_in(
    served: Served, username: str, password: str
) -> None:
    async with served.asking(None) as client:
        answer = await _log_in(client, username, password)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert (await client.get("/overview")).status_code == 401


async def test_a_page_elsewhere_cannot_log_somebody_in(served: Served) -> None:
    async with served.asking(None) as client:
        body = f'{{"user": "ada", "password": "{PASSWORD}"}}'
        answer = await client.post("/login", content=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 415


async def test_passwords_are_not_tried_without_end(short_path: Path) -> None:
    async with (
        served_with(replace(OPTIONS, failed_logins_per_minute=3), short_path) as served,
        served.asking(None) as client,
    ):
        codes = [(await _log_in(client, "ada", "wrong")).status_code for _ in range(4)]
        assert codes == [401, 401, 401, 429]
        refused = await _log_in(client, "ada", PASSWORD)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0


async def test_right_passwords_do_not_count(short_path: Path) -> None:
    async with (
        served_with(replace(OPTIONS, failed_logins_per_minute=2), short_path) as served,
        served.asking(None) as client,
    ):
        assert {(await _log_in(client)).status_code for _ in range(6)} == {200}


async def test_logins_and_changes_are_in_the_audit_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.audit")
    async with served.asking(None) as client:
        await _log_in(client, "ada", "wrong")
        await _log_in(client, "bob")
    async with served.asking("operate") as client:
        with served.broker.sample(ChangeRequested) as sample:
            await client.post("/messages", json={"topic": "a/b", "text": "secret words"})
            await client.post("/client/disconnect", json={"client_id": "nobody"})
            await client.post("/bans", json={"kind": "client", "value": "c"})
            await client.get("/overview")
            events = [one for one in sample.take() if isinstance(one, ChangeRequested)]
    told = [one.getMessage() for one in caplog.records if one.name == "trio_mqtt.audit"]
    assert len(told) == 5
    assert "the password is wrong" in told[0]
    assert "'bob'" in told[1]
    assert "logged in" in told[1]
    assert "operate at 127.0.0.1:" in told[2]
    assert "asked for publish" in told[2]
    assert '"topic": "a/b"' in told[2]
    assert told[2].endswith(": done")
    assert "no client 'nobody'" in told[3]
    assert told[4].endswith(": it may not")
    assert not any(PASSWORD in one or "wrong'" in one for one in told)
    assert [(one.user, one.operation) for one in events] == [
        ("operate", "publish"),
        ("operate", "disconnect"),
        ("operate", "ban"),
    ]
    assert events[0].details == '{"topic": "a/b", "text": "12 bytes", "qos": 0, "retain": false}'
    assert [one.outcome for one in events] == [
        "done",
        "This broker knows no client 'nobody'.",
        "it may not",
    ]


async def test_a_token_is_the_whole_of_it(served: Served) -> None:
    async with served.asking("see") as client:
        right = client.headers["authorization"]
        for wrong in (right[:-1], f"{right}x", "Bearer", "Basic YTpi", right.upper()):
            answer = await client.get("/overview", headers={"Authorization": wrong})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_login_ends(autojump_clock: trio.testing.MockClock) -> None:
    people = People(replace(OPTIONS, idle_time=10, session_time=25), lambda _username: False)
    value, login = people.log_in("ada")
    for _ in range(4):
        await trio.sleep(6)
        assert people.by_cookie(value) is not None  # each look is a sign of life
    await trio.sleep(6)
    assert people.by_cookie(value) is None
    assert not people.is_valid(login)
    value, _ = people.log_in("ada")
    await trio.sleep(11)
    assert people.by_cookie(value) is None
    value, _ = people.log_in("eve")  # who has no role
    assert people.by_cookie(value) is None


async def test_others_do_not_keep_out_who_has_logged_in_from_where_it_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failures = Failures(3)
    failures.count("ada", "192.0.2.1")
    failures.was_right("ada", "192.0.2.1")
    for number in range(9):
        failures.count("ada", f"198.51.100.{number}")
    assert failures.wait("ada", "198.51.100.77")
    assert not failures.wait("ada", "192.0.2.1")
    for _ in range(3):
        failures.count("ada", "192.0.2.1")  # who has taken the place guesses no faster
    assert failures.wait("ada", "192.0.2.1")


async def test_wrong_passwords_are_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    failures = Failures(3)
    for _ in range(3):
        assert not failures.wait("ada", "192.0.2.1")
        failures.count("ada", "192.0.2.1")
    assert failures.wait("ada", "192.0.2.9") == pytest.approx(20)
    assert failures.wait("bob", "192.0.2.1") == pytest.approx(20)
    assert not failures.wait("bob", "192.0.2.9")
    await trio.sleep(20.1)
    assert not failures.wait("ada", "192.0.2.1")
