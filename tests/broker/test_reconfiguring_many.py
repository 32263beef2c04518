"""Many clients are held to other settings in turns, and whoever asked for these may give up."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.broker.conftest import Join
from tests.broker.passes import LOOKS, watched
from tests.inside import sessions_of
from trio_mqtt import Limits, Security
from trio_mqtt.broker.access.permissions import Permissions
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.connections.link import Link
from trio_mqtt.broker.events.kinds import NOT_CHECKED
from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.broker.sessions.session import Session
from trio_mqtt.broker.turns import InTurns
from trio_mqtt.events import SessionEnded, WillPublished
from trio_mqtt.protocol.packets import Disconnect, Will
from trio_mqtt.protocol.reason_codes import ReasonCode

MANY = 100

pytestmark = pytest.mark.usefixtures("slow_clock")


async def settled() -> None:
    """Let whoever watches see the last of it."""
    for _ in range(2):
        await trio.lowlevel.checkpoint()


async def test_clients_are_looked_at_in_turns(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clients = [await join(f"c{number}") for number in range(MANY)]
    ended = 0
    no_longer_allowed = Link.no_longer_allowed

    def note(link: Link, reason: str) -> None:
        nonlocal ended
        ended += 1
        no_longer_allowed(link, reason)

    monkeypatch.setattr(Link, "no_longer_allowed", note)
    passwords = tmp_path / "passwords"
    passwords.touch()
    # They have proved nothing, which is asked for from now on.
    security = Security(passwords=passwords, allow_anonymous=False)
    async with watched(lambda: ended) as passes:
        await broker.reconfigure(security=security)
        await settled()
    assert sum(passes) == ended == MANY
    assert max(passes) <= 2 * (LOOKS + 1)
    for client in clients:
        await client.drain()
    assert broker.statistics.clients_connected == 0


async def test_those_may_leave_meanwhile(
    join: Join, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    clients = [await join(f"c{number}") for number in range(MANY)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: broker.reconfigure(limits=Limits(maximum_connections=MANY)))
        for client in reversed(clients):
            nursery.start_soon(client.stream.aclose)
    await trio.testing.wait_all_tasks_blocked()
    assert broker.statistics.clients_connected == 0
    assert [one.getMessage() for one in caplog.records if one.exc_info] == []


async def test_so_are_the_subscriptions_of_one_session(
    join: Join, broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = await join()
    await client.subscribe(*(f"f/{number}" for number in range(MANY)))
    asked = 0
    may_subscribe = Permissions.may_subscribe

    def note(permissions: Permissions, topic_filter: str) -> bool:
        nonlocal asked
        asked += 1
        return may_subscribe(permissions, topic_filter)

    monkeypatch.setattr(Permissions, "may_subscribe", note)
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite f/7\n")
    async with watched(lambda: asked) as passes:
        await broker.reconfigure(security=Security(access=rules))
        await settled()
    assert sum(passes) == asked == MANY
    assert max(passes) <= 2 * (LOOKS + 1)
    subscriptions = sessions_of(broker)["c"].subscriptions
    assert [one for one in subscriptions if not subscriptions[one].resting] == ["f/7"]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The identifiers of the clients that are looked at; c1 cannot be."""
    found: list[str] = []

    def keep_to(session: Session, _policy: QueuePolicy) -> None:
        if session.client_id == "c1":
            raise ValueError("a defect")
        found.append(session.client_id)

    monkeypatch.setattr(Session, "keep_to", keep_to)
    return found


async def test_who_gives_up_gives_up_only_to_wait(
    join: Join, broker: Broker, looked_at: list[str]
) -> None:
    names = [f"client {number}" for number in range(MANY)]
    for name in names:
        await join(name)
    looked_at.clear()
    said: list[int] = []

    async def reconfigure(scope: trio.CancelScope) -> None:
        with scope:
            await broker.reconfigure(
                limits=Limits(maximum_keep_alive=8),
                in_force=lambda: said.append(broker.limits.maximum_keep_alive),
            )

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconfigure, scope)
        while not said:
            await trio.lowlevel.checkpoint()
        assert 0 < len(looked_at) < MANY
        scope.cancel()
    assert scope.cancelled_caught
    assert said == [8]
    await trio.testing.wait_all_tasks_blocked()
    assert looked_at == names


async def test_a_client_that_cannot_be_looked_at_is_ended_and_the_others_are(
    join: Join,
    broker: Broker,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    clients = [await join(f"c{number}") for number in range(3)]
    looked_at = request.getfixturevalue("looked_at")
    await broker.reconfigure()
    await clients[1].expect_closed()
    for client in (clients[0], clients[2]):
        await client.ping()
    assert looked_at == ["c0", "c2"]
    assert "a defect" in caplog.text


@pytest.mark.parametrize("is_away", [True, False])
async def test_a_session_that_cannot_be_held_to_what_is_in_force_ends_and_the_others_do_not(
    join: Join,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    is_away: bool,
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite #\n")
    will = Will("last/words", b"by which rules?", properties={"will_delay_interval": 50})
    clients = [await join(f"c{number}", expiry=100, will=will) for number in range(3)]
    await broker.reconfigure(security=Security(access=rules))
    for client in clients:
        await client.subscribe("open/#", "closed/#", qos=1)
        if is_away:
            await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    may_subscribe = Permissions.may_subscribe

    def fail_for_one(permissions: Permissions, topic_filter: str) -> bool:
        if permissions.client.client_id == "c1":
            raise ValueError("a defect")
        return may_subscribe(permissions, topic_filter)

    monkeypatch.setattr(Permissions, "may_subscribe", fail_for_one)
    rules.write_text("topic readwrite open/#\ntopic readwrite last/words\n")
    with broker.sample(SessionEnded, WillPublished) as events:
        await broker.reconfigure(security=Security(access=rules))
        await trio.testing.wait_all_tasks_blocked()
        assert events.take(10) == [SessionEnded("c1", NOT_CHECKED)]
    assert "a defect" in caplog.text
    assert set(sessions_of(broker)) == {"c0", "c2"}
    assert broker.statistics.subscriptions == 4
    await broker.publish("closed/door", b"", qos=1)
    assert broker.statistics.queued_bytes == 0
    if not is_away:
        assert (await clients[1].expect(Disconnect)).reason_code == ReasonCode.UNSPECIFIED_ERROR
        await clients[0].ping()
    with broker.sample(WillPublished) as events:
        for client in clients[:: 2 - is_away]:
            await client.stream.aclose()
        await trio.sleep(51)
        wills = {one.client_id for one in events.take(10) if isinstance(one, WillPublished)}
        assert wills == {"c0", "c2"}


async def test_what_is_left_when_the_broker_ends_is_not_waited_for() -> None:
    chores = InTurns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(chores.run)
        done = [chores.add(itertools.repeat(None)) for _ in range(2)]
        assert not done[0].is_set()
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert all(one.is_set() for one in done)
    with trio.fail_after(60):
        await chores.add(itertools.repeat(None)).wait()
