"""A retained message whose author may not publish it any more is not delivered (CVE-2018-12546)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

import trio_mqtt
from tests.broker.access.test_permissions import Rules
from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from tests.inside import core_of
from trio_mqtt import Broker, Security, open_broker, open_client
from trio_mqtt.access import AccessHooks, ClientInfo
from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.files.access_rules import WrittenRules
from trio_mqtt.broker.access.files.file_rules import FileRules
from trio_mqtt.broker.access.permissions import Permissions, RulesInForce
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.routing.retained import RetainedMessages
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, Will
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Changes
from trio_mqtt.testing import MemoryBroker, open_memory_broker

Seen = Callable[[], Awaitable[list[str]]]


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def memory(limits: Limits, rules: Rules) -> AsyncIterator[MemoryBroker]:
    async with open_memory_broker(limits=limits, security=Security(access=rules)) as memory:
        yield memory


@pytest.fixture
def seen(join: Join, version: ProtocolVersion) -> Seen:
    """The topics of the retained messages that a new subscriber gets."""

    async def seen() -> list[str]:
        client = await join("new", version)
        await client.subscribe("#", qos=1)
        topics = [message.topic for message in await client.take()]
        await client.disconnect()
        return sorted(topics)

    return seen


async def test_a_retained_message_goes_to_nobody_new_while_its_author_may_not_publish_it(
    join: Join, broker: Broker, rules: Rules, seen: Seen
) -> None:
    author, other = await join("a", username="author"), await join("o", username="other")
    await author.publish("t", b"author's", 1, retain=True)
    await other.publish("u", b"other's", 1, retain=True)
    await broker.publish("own", "the broker's", retain=True)
    assert await seen() == ["own", "t", "u"]
    rules.forbid("publish", "t", "author")
    rules.forbid("publish", "u", "author")
    rules.forbid("publish", "own")
    await broker.rules_changed()
    assert await seen() == ["own", "u"]
    assert broker.statistics.deliveries_refused == 1
    rules.forbidden.clear()
    await broker.rules_changed()
    assert await seen() == ["own", "t", "u"]


async def test_a_retained_message_counts_as_its_last_authors(
    join: Join, broker: Broker, rules: Rules, seen: Seen
) -> None:
    author, other = await join("a", username="author"), await join("o", username="other")
    await author.publish("t", b"1", 1, retain=True)
    await other.publish("t", b"2", 1, retain=True)
    rules.forbid("publish", "t", "author")
    await broker.rules_changed()
    assert await seen() == ["t"]


async def test_the_author_of_a_retained_message_is_remembered_when_its_session_has_ended(
    join: Join, broker: Broker, rules: Rules, seen: Seen
) -> None:
    author = await join("a", username="author", will=Will("will", b"gone", 1, True))
    await author.publish("t", b"x", 1, retain=True)
    await author.drop()
    assert await seen() == ["t", "will"]
    for topic in ("t", "will"):
        rules.forbid("publish", topic, "author")
    await broker.rules_changed()
    assert await seen() == []


async def test_rules_are_asked_about_authors_only_when_they_have_changed(
    join: Join, broker: Broker, rules: Rules
) -> None:
    author = await join("a", username="author")
    await author.publish("t", b"x", 1, retain=True)
    subscriber = await join("s", username="subscriber")
    asked = rules.asked
    for _ in range(3):
        await subscriber.subscribe("t", qos=1)
        assert len(await subscriber.take()) == 1
    assert rules.asked == asked + 3 + 1  # three subscriptions, and whether it may receive the topic
    await broker.rules_changed()
    asked = rules.asked
    for _ in range(3):
        await subscriber.subscribe("t", qos=1)
        assert len(await subscriber.take()) == 1
    assert rules.asked == asked + 3 + 1 + 1  # and once whether the author may publish


async def test_rules_that_fail_for_an_author_withhold_its_message(
    join: Join, broker: Broker, rules: Rules, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await join("a")
    await author.publish("t", b"x", 1, retain=True)

    def broken(*_: object) -> bool:
        raise RuntimeError("a rule that is broken")

    monkeypatch.setattr(rules, "may_publish", broken)
    await broker.rules_changed()
    assert await seen() == []


async def test_authors_are_known_to_the_next_broker() -> None:
    storage, rules = MemoryStorage(), Rules()
    security = Security(access=rules)
    for _ in range(2):  # and to the one after that
        async with open_memory_broker(storage=storage, security=security) as memory:
            if not len(core_of(memory.broker).retained):
                for name in ("author", "other"):
                    client = Raw(memory.connect(), V5)
                    await client.connect(name, username=name)
                    await client.publish(f"by/{name}", b"x", 1, retain=True)
                    await client.disconnect()
    rules.forbid("publish", "by/author", "author")
    async with open_memory_broker(storage=storage, security=security) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect("s")
        await client.subscribe("#", qos=1)
        assert [message.topic for message in await client.take()] == ["by/other"]


def test_an_author_by_websocket_is_kept_without_the_request_that_it_came_by() -> None:
    storage = MemoryStorage()
    security = Security(access=Rules())
    will = trio_mqtt.Will("gone", b"x", qos=1, retain=True)

    async def publish() -> None:
        async with (
            open_broker("ws://127.0.0.1:0", storage=storage, security=security) as broker,
            open_client(broker.url, username="author", will=will, clean_start=False,
                        client_id="c", session_expiry_interval=60) as client,
        ):  # fmt: skip
            await client.publish("kept", b"x", qos=1, retain=True)
            kept = await storage.load()
            (session,), (message,) = kept.sessions, kept.retained
            for author in session.author, message.author:
                assert author is not None
                client_of = Authorship.restored(author).client
                assert (client_of.username, client_of.upgrade) == ("author", None)

    trio.run(publish)  # by real sockets in real time


@pytest.mark.parametrize("forbidden", ["before it is published", "afterwards", "never"])
async def test_the_author_of_a_will_is_known_to_the_next_broker(forbidden: str) -> None:
    storage, rules = MemoryStorage(), Rules()
    security = Security(access=rules)
    will = Will("gone", b"x", 1, retain=True, properties={"will_delay_interval": 60})
    async with open_memory_broker(storage=storage, security=security) as memory:
        client = Raw(memory.connect(), V5)
        properties: Properties = {"session_expiry_interval": 3_600}
        await client.connect("c", username="author", will=will, properties=properties)
    if forbidden == "before it is published":
        rules.forbid("publish", "gone", "author")
    async with open_memory_broker(storage=storage, security=security) as memory:
        await trio.sleep(30)
    async with open_memory_broker(storage=storage, security=security) as memory:
        await trio.sleep(61)
        is_kept = forbidden != "before it is published"
        assert len(core_of(memory.broker).retained) == is_kept
        assert memory.broker.statistics.messages_dropped == (not is_kept)
    if forbidden == "afterwards":
        rules.forbid("publish", "gone", "author")
    async with open_memory_broker(storage=storage, security=security) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect("s")
        await client.subscribe("#", qos=1)
        assert len(await client.take()) == (forbidden == "never")


async def test_a_will_of_whom_nobody_can_tell_is_not_published(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage, security = MemoryStorage(), Security(access=Rules())
    async with open_memory_broker(storage=storage, security=security) as memory:
        client = Raw(memory.connect(), V5)
        will = Will("gone", b"x", 1, retain=True, properties={"will_delay_interval": 60})
        properties: Properties = {"session_expiry_interval": 3_600}
        await client.connect("c", username="author", will=will, properties=properties)
    kept = await storage.load()
    changes = Changes()
    changes.sessions[1] = kept.sessions[0]._replace(author='{"client_id": 1')
    await storage.append(changes)
    async with open_memory_broker(storage=storage, security=security) as memory:
        await trio.sleep(61)
        assert not len(core_of(memory.broker).retained)
    assert "Whose the will of 'c' is" in caplog.text


async def test_without_rules_nobody_is_remembered_as_an_author() -> None:
    async with open_memory_broker(security=Security(hooks=AccessHooks())) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect("c")
        assert await client.publish("t", b"x", 1, retain=True) == (
            ReasonCode.NO_MATCHING_SUBSCRIBERS
        )
        (kept,) = core_of(memory.broker).retained.all()
        assert kept.author is None


def test_what_a_token_allowed_its_author_does_not_hang_on_the_file() -> None:
    rules = Rules()
    in_force = RulesInForce(rules)
    own = FileRules(WrittenRules.of(write=["t"]))
    author = Authorship.of(Permissions(_client(), in_force, own))
    rules.forbid("publish", "t")
    in_force.changed()
    assert author.holds(in_force, "t")


def test_authors_with_long_names_count_among_the_bytes_of_retained_messages() -> None:
    author = Authorship(_client("n" * 60_000))
    retained = RetainedMessages(
        Limits(maximum_retained_messages=100, maximum_retained_bytes=100_000)
    )
    assert retained.store(Publish("a", b"x"), 0, author)
    assert retained.bytes > 60_000
    assert not retained.store(Publish("b", b"x"), 0, author)
    assert retained.store(Publish("a", b""), 0, author)
    assert retained.bytes == 0


def _client(username: str = "author") -> ClientInfo:
    return ClientInfo("c", username, "memory", "5")
