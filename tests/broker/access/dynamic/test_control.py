"""`$CONTROL/dynamic-security/v1` on a broker: who may, what comes of it, and that it lasts."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_mqtt
from tests.broker.opened import may_connect, opened
from tests.inside import core_of
from trio_mqtt import Broker, Client, ConfigurationError, Listen, Security
from trio_mqtt.administration import DynamicCommands, TraceEntry, TraceQuery
from trio_mqtt.broker import dynamic_control
from trio_mqtt.broker.access.dynamic import security as dynamic_security
from trio_mqtt.broker.access.dynamic.document import load
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.broker.dynamic_control import RESPONSE, TOPIC
from trio_mqtt.broker.turns import ShortTurn
from trio_mqtt.events import EventStream
from trio_mqtt.protocol.packets import Will

from .made import changed, command, saved, with_admin

pytestmark = pytest.mark.trio  # in real time: hashes and files are a matter of threads

LONG = 60.0
OPEN = [
    {"acltype": "publishClientSend", "topic": "#", "allow": True},
    {"acltype": "subscribePattern", "topic": "#", "allow": True},
]
USER = (
    command("createRole", rolename="open", acls=OPEN),
    command("createClient", username="u", password="pw", roles=[{"rolename": "open"}]),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return saved(tmp_path / "dynamic.json", with_admin(*USER))


def saved_as(path: Path, text: str) -> None:
    path.write_text(text)


class Admin:
    """A client that gives commands."""

    def __init__(self, client: Client, answers: AsyncIterator[trio_mqtt.Message]) -> None:
        self.client = client
        self._answers = answers

    async def send(self, *commands: object) -> None:
        await self.client.publish(TOPIC, json.dumps({"commands": commands}), qos=1)

    async def answer(self) -> list[dict[str, Any]]:
        with trio.fail_after(LONG):
            message = await anext(self._answers)
        assert message.topic == RESPONSE
        responses: list[dict[str, Any]] = json.loads(message.payload)["responses"]
        return responses

    async def ask(self, *commands: object) -> list[dict[str, Any]]:
        await self.send(*commands)
        return await self.answer()

    async def do(self, *commands: object) -> None:
        for response in await self.ask(*commands):
            assert "error" not in response, response


@asynccontextmanager
async def administered(broker: Broker, **options: Any) -> AsyncIterator[Admin]:
    options = {"username": "admin", "password": "pw", **options}
    async with (
        trio_mqtt.open_client(broker.url, reconnect=False, **options) as client,
        client.subscribe(RESPONSE) as answers,
    ):
        yield Admin(client, aiter(answers))


def user(broker: Broker, **options: Any) -> AbstractAsyncContextManager[Client]:
    options = {"username": "u", "password": "pw", "reconnect": False, **options}
    return trio_mqtt.open_client(broker.url, **options)


@asynccontextmanager
async def leaving(broker: Broker) -> AsyncIterator[None]:
    """A user that is connected, and has been disconnected when the context ends."""

    async def stay(task_status: trio.TaskStatus[None]) -> None:
        try:
            async with user(broker) as client, client.subscribe("t") as messages:
                task_status.started()
                async for _ in messages:
                    pass
        except trio_mqtt.MqttError:
            return
        raise AssertionError("it was not disconnected")

    with trio.fail_after(LONG):
        async with trio.open_nursery() as nursery:
            await nursery.start(stay)
            yield


async def test_a_user_is_created_and_let_in(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        assert not await may_connect(broker.url, username="new", password="word")
        await admin.do(command("createClient", username="new", password="word"))
        assert await may_connect(broker.url, username="new", password="word")
        assert not await may_connect(broker.url, username="new", password="wrong")
        assert not await may_connect(broker.url, username="new")
        assert not await may_connect(broker.url)


async def test_what_was_changed_is_there_for_the_next_broker(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        await admin.do(command("createClient", username="new", password="word"))
        assert "new" in load(path)[0].clients  # written before it was answered
    async with opened(security=Security(dynamic=path)) as broker:
        assert await may_connect(broker.url, username="new", password="word")


@pytest.mark.parametrize(
    "order",
    [
        command("disableClient", username="u"),
        command("deleteClient", username="u"),
        command("setClientPassword", username="u", password="other"),
        command("modifyClient", username="u", password="other"),
        command("setClientId", username="u", clientid="another"),
    ],
    ids=lambda order: order["command"],
)
async def test_who_would_not_be_let_in_now_is_disconnected(
    path: Path, order: dict[str, object]
) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        async with leaving(broker):
            await admin.do(order)
        assert not await may_connect(broker.url, username="u", password="pw")
        await admin.do(command("listClients"))  # who did nothing wrong stays


async def test_a_user_comes_back_once_it_may(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        async with leaving(broker):
            await admin.do(command("disableClient", username="u"))
        await admin.do(command("enableClient", username="u"))
        assert await may_connect(broker.url, username="u", password="pw")
        await admin.do(command("setClientId", username="u", clientid="only"))
        assert not await may_connect(broker.url, username="u", password="pw", client_id="other")
        assert await may_connect(broker.url, username="u", password="pw", client_id="only")


async def test_a_wrong_password_that_becomes_right_is_taken(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        assert not await may_connect(broker.url, username="u", password="soon")
        await admin.do(command("setClientPassword", username="u", password="soon"))
        assert await may_connect(broker.url, username="u", password="soon")
        assert not await may_connect(broker.url, username="u", password="pw")


async def test_what_is_remembered_as_allowed_or_not_is_asked_again(path: Path) -> None:
    async with (
        opened(security=Security(dynamic=path)) as broker,
        administered(broker) as admin,
        user(broker) as client,
        client.subscribe("t") as messages,
    ):
        await client.publish("t", "1", qos=1)
        deny = {"acltype": "publishClientSend", "topic": "t", "priority": 9, "allow": False}
        await admin.do(command("addRoleACL", rolename="open", **deny))
        with pytest.raises(trio_mqtt.MqttError):
            await client.publish("t", "2", qos=1)
        key = {"acltype": "publishClientSend", "topic": "t"}
        await admin.do(command("removeRoleACL", rolename="open", **key))
        await client.publish("t", "3", qos=1)
        with trio.fail_after(LONG):
            assert [(await anext(messages)).payload for _ in range(2)] == [b"1", b"3"]


async def test_a_subscription_that_is_no_longer_allowed_rests(path: Path) -> None:
    async with (
        opened(security=Security(dynamic=path)) as broker,
        administered(broker) as admin,
        user(broker) as client,
        client.subscribe("t") as messages,
    ):
        await admin.do(command("removeClientRole", username="u", rolename="open"))
        await broker.publish("t", "unseen", qos=1)
        await admin.do(command("addClientRole", username="u", rolename="open"))
        await broker.publish("t", "seen", qos=1)
        with trio.fail_after(LONG):
            assert (await anext(messages)).payload == b"seen"


async def test_unsubscribing_may_be_forbidden(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        deny = {"acltype": "unsubscribeLiteral", "topic": "t", "allow": False}
        await admin.do(command("addRoleACL", rolename="open", **deny))
        async with user(broker, client_id="c") as client:
            async with client.subscribe("t"), client.subscribe("s"):
                pass
            await client.publish("x", "", qos=1)  # after the goodbyes to both
            (session,) = (one for one in core_of(broker).sessions.all() if one.client_id == "c")
            assert set(session.subscriptions) == {"t"}


async def test_only_who_may_publish_there_gives_commands(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, user(broker) as client:
        payload = json.dumps({"commands": [command("createClient", username="evil")]})
        with pytest.raises(trio_mqtt.MqttError):
            await client.publish(TOPIC, payload, qos=1)
        with pytest.raises(trio_mqtt.MqttError):
            await client.publish("$CONTROL/other/v1", payload, qos=1)
    assert "evil" not in load(path)[0].clients


async def test_nobody_else_sees_commands_or_answers(path: Path) -> None:
    """Neither by a subscription, nor as an event, nor as what is retained."""
    async with (
        opened(security=Security(dynamic=path)) as broker,
        administered(broker) as admin,
        administered(broker) as other,
    ):
        everything = {"acltype": "subscribePattern", "topic": "$CONTROL/#", "allow": True}
        await admin.do(command("addRoleACL", rolename="admin", **everything))
        with broker.events(trio_mqtt.events.MessagePublished) as events:
            async with other.client.subscribe("$CONTROL/#") as seen:
                await admin.do(command("listRoles"))
                await admin.client.publish(
                    TOPIC, json.dumps({"commands": [command("listGroups")]}), qos=1, retain=True
                )
                assert (await admin.answer())[0]["command"] == "listGroups"
                await broker.publish("after")
                assert await first_topic(events) == "after"
                assert (await other.ask(command("listClients")))[0]["command"] == "listClients"
                with trio.fail_after(LONG):
                    only = await anext(seen)
                assert b"listClients" in only.payload
        assert broker.holdings().retained == 0


async def first_topic(events: EventStream) -> str:
    """The topic of the message that was published first."""
    with trio.fail_after(LONG):
        async for event in events:
            assert isinstance(event, trio_mqtt.events.MessagePublished)
            return event.topic
    raise AssertionError


async def test_commands_and_other_messages_of_one_read_each_go_their_way(path: Path) -> None:
    async with (
        opened(security=Security(dynamic=path)) as broker,
        administered(broker) as admin,
        user(broker) as client,
        client.subscribe("a/#") as messages,
    ):
        await admin.do(command("addClientRole", username="admin", rolename="open"))
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(admin.client.publish, f"a/{number}", "x")
                nursery.start_soon(admin.send, command("getRole", rolename=f"r{number}"))
        answers = [(await admin.answer())[0]["error"] for _ in range(20)]
        assert answers == ["Role not found"] * 20
        with trio.fail_after(LONG):
            topics = {(await anext(messages)).topic for _ in range(20)}
        assert topics == {f"a/{number}" for number in range(20)}


async def test_requests_are_done_in_their_order(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        for number in range(10):
            await admin.send(command("createClient", username=f"n{number}", password="x"))
        await admin.send(command("listClients"))
        answers = [await admin.answer() for _ in range(11)]
        names = answers[-1][0]["data"]["clients"]
        assert names == ["admin", *(f"n{number}" for number in range(10)), "u"]


async def test_too_many_requests_are_refused_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamic_control, "_MOST_WAITING", 2)
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        core = core_of(broker)
        held = core.access.password_checks._threads
        async with held:  # the first waits for its hash
            while held.available_tokens:
                await held.acquire_on_behalf_of(object())
            for number in range(4):
                await admin.send(command("createClient", username=f"n{number}", password="x"))
            (refused,) = await admin.answer()
            assert refused["error"] == "Too many requests wait"
            for borrower in list(held.statistics().borrowers):
                if borrower is not trio.lowlevel.current_task():
                    held.release_on_behalf_of(borrower)
        for _ in range(3):
            assert "error" not in (await admin.answer())[0]


async def test_what_cannot_be_written_is_refused_and_not_in_force(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ConfigurationError("The disk is full.")

    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        before = load(path)
        with monkeypatch.context() as patch:
            patch.setattr(dynamic_security, "save", fails)
            answers = await admin.ask(command("disableClient", username="u"), command("listGroups"))
        assert answers == [
            {"command": "disableClient", "error": "The change could not be written"},
            {"command": "listGroups", "data": {"totalCount": 0, "groups": []}},
        ]
        assert "The disk is full." in caplog.text
        assert load(path) == before
        assert await may_connect(broker.url, username="u", password="pw")
        await admin.do(command("disableClient", username="u"))
        assert not await may_connect(broker.url, username="u", password="pw")


async def test_what_is_kept_is_in_force_also_where_who_asks_goes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = dynamic_security.DynamicSecurity.save
    scope = trio.CancelScope()

    def saved_as_they_go(self: dynamic_security.DynamicSecurity) -> None:
        save(self)
        trio.from_thread.run_sync(scope.cancel)

    monkeypatch.setattr(dynamic_security.DynamicSecurity, "save", saved_as_they_go)
    monkeypatch.setattr(ShortTurn, "is_over", True)  # as where there are many
    commands = (command("createClient", username="new"), command("listClients", verbose=True))
    async with opened(security=Security(dynamic=path)) as broker:
        with scope:
            await broker.administration.dynamic_security(DynamicCommands(commands=commands))
        assert scope.cancelled_caught
        assert "new" in load(path)[0].clients
        dynamic = core_of(broker).access.dynamic
        assert dynamic is not None
        assert "new" in dynamic.state.clients


async def test_a_defect_is_answered_and_the_next_request_done(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        with monkeypatch.context() as patch:
            patch.setattr(dynamic_security, "save", broken)
            (answer,) = await admin.ask(command("createGroup", groupname="g"))
        assert answer["error"] == "Internal error"
        assert "a defect" in caplog.text
        await admin.do(command("createGroup", groupname="g"))


async def test_the_log_says_who_changed_what_and_no_password(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        await admin.do(
            command("createClient", username="new", password="s3cret"), command("listClients")
        )
    line = next(text for text in caplog.messages if "has changed dynamic security" in text)
    assert "'admin'" in line
    assert line.endswith(": createClient")
    assert "s3cret" not in caplog.text


async def test_an_admin_that_loses_the_role_is_answered_and_has_it_no_longer(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        await admin.do(command("removeClientRole", username="admin", rolename="admin"))
        with pytest.raises(trio_mqtt.MqttError):
            await admin.send(command("listClients"))


async def test_anonymous_clients_have_their_group(path: Path) -> None:
    security = Security(dynamic=path, allow_anonymous=True)
    async with (
        opened(security=security) as broker,
        administered(broker) as admin,
        trio_mqtt.open_client(broker.url, reconnect=False) as client,
    ):
        with pytest.raises(trio_mqtt.MqttError):
            await client.publish("t", "", qos=1)
        await admin.do(
            command("createGroup", groupname="g", roles=[{"rolename": "open"}]),
            command("setAnonymousGroup", groupname="g"),
        )
        await client.publish("t", "", qos=1)


async def test_users_of_a_password_file_are_its_own(path: Path, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    set_password(passwords, "filed", b"word", create=True)
    security = Security(dynamic=path, passwords=passwords)
    async with opened(security=security) as broker, administered(broker) as admin:
        await admin.do(
            command(
                "createClient", username="filed", password="other", roles=[{"rolename": "open"}]
            )
        )
        assert not await may_connect(broker.url, username="filed", password="other")
        for _ in range(2):  # the second time it is recognized
            assert await may_connect(broker.url, username="filed", password="word")
            assert await may_connect(broker.url, username="u", password="pw")
        async with user(broker, username="filed", password="word") as client:
            await client.publish("t", "", qos=1)  # by a role
        await admin.do(command("disableClient", username="filed"))
        assert not await may_connect(broker.url, username="filed", password="word")


async def test_a_listener_with_an_access_of_its_own_is_another_realm(
    path: Path, tmp_path: Path
) -> None:
    access = tmp_path / "access"
    access.write_text("pattern readwrite #\npattern readwrite $CONTROL/#\n")
    access.chmod(0o600)
    own = Security(access=access, allow_anonymous=True)
    async with (
        opened(
            Listen("mqtt://127.0.0.1:0"),
            Listen("mqtt://127.0.0.1:0", security=own),
            security=Security(dynamic=path),
        ) as broker,
        trio_mqtt.open_client(broker.urls[1], reconnect=False) as client,
    ):
        await client.publish("t", "", qos=1)
        with pytest.raises(trio_mqtt.MqttError):
            await client.publish(
                TOPIC, json.dumps({"commands": [command("createClient", username="e")]}), qos=1
            )
    assert "e" not in load(path)[0].clients


async def test_a_will_gives_no_commands(path: Path) -> None:
    payload = json.dumps({"commands": [command("createClient", username="late")]})
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        core = core_of(broker)
        (session,) = core.sessions.all()
        session.will = Will(TOPIC, payload.encode())
        outlet, session.outlet = session.outlet, None
        core.wills.publish(session)
        assert core.statistics.messages_without_packet == 1
        session.outlet = outlet
        assert "late" not in (await admin.ask(command("listClients")))[0]["data"]["clients"]


async def test_the_file_is_read_again_when_that_is_asked_for(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        saved(path, changed(load(path)[0], command("deleteClient", username="u")))
        async with leaving(broker):
            await broker.reload()
        assert (await admin.ask(command("listClients")))[0]["data"]["clients"] == ["admin"]
        saved_as(path, "{")
        with pytest.raises(ConfigurationError):
            await broker.reload()
        await admin.do(command("createGroup", groupname="g"))  # which writes a whole file again
        await broker.reload()
        assert "g" in load(path)[0].groups


async def test_it_comes_and_goes_with_the_settings(path: Path) -> None:
    async with opened(security=Security()) as broker:
        await broker.reconfigure(security=Security(dynamic=path))
        async with administered(broker) as admin:
            await admin.do(command("createGroup", groupname="g"))
        await broker.reconfigure(security=Security())
        async with trio_mqtt.open_client(broker.url, reconnect=False) as client:
            with pytest.raises(trio_mqtt.MqttError):
                await client.publish(TOPIC, "{}", qos=1)


async def test_a_broker_that_ends_meanwhile_leaves_a_whole_file(path: Path) -> None:
    async with opened(security=Security(dynamic=path)) as broker, administered(broker) as admin:
        for number in range(30):
            await admin.send(command("createClient", username=f"n{number}", password="x"))
    state, _ = load(path)
    made = [name for name in state.clients if name.startswith("n")]
    assert sorted(made) == sorted(f"n{number}" for number in range(len(made)))


async def test_a_trace_shows_that_there_was_a_command_and_not_what_it_said(path: Path) -> None:
    async with (
        opened(security=Security(dynamic=path)) as broker,
        administered(broker, client_id="admin") as admin,
    ):
        with broker.administration.trace(TraceQuery(client_id="admin")) as trace:
            await admin.do(command("createClient", username="new", password="s3cret"))
            seen: list[TraceEntry] = []
            with trio.fail_after(LONG):
                async for entry in trace:
                    seen.append(entry)
                    if sum(one.kind == "PUBLISH" for one in seen) == 2:
                        break
        assert [one.payload for one in seen if one.kind == "PUBLISH"] == [b"", b""]
        assert "s3cret" not in repr(seen)


async def test_who_administrates_the_broker_gives_commands_too(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    create = command("createClient", username="new", password="word")
    async with opened(security=Security(dynamic=path)) as broker:
        administration = broker.administration
        answer = await administration.dynamic_security(
            DynamicCommands(commands=(create, create, command("listClients")))
        )
        assert answer.responses == (
            {"command": "createClient"},
            {"command": "createClient", "error": "Client already exists"},
            {
                "command": "listClients",
                "data": {"totalCount": 3, "clients": ["admin", "new", "u"]},
            },
        )
        assert await may_connect(broker.url, username="new", password="word")
        assert await administration.check_password("new", "word", "127.0.0.1:1")
        async with leaving(broker):
            order = command("disableClient", username="u")
            await administration.dynamic_security(DynamicCommands(commands=(order,)))
        assert not await administration.check_password("u", "pw", "127.0.0.1:1")
    assert "Who administrates the broker has changed dynamic security: disableClient" in caplog.text


async def test_without_dynamic_security_there_is_nothing_to_administrate() -> None:
    async with opened() as broker:
        with pytest.raises(trio_mqtt.NotFoundError):
            await broker.administration.dynamic_security(
                DynamicCommands(commands=(command("listClients"),))
            )
