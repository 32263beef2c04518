"""Who would get a message, and what a client may do."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from tests.broker.conftest import Join
from tests.broker.raw import V5, Raw
from trio_mqtt import Broker, Security
from trio_mqtt.administration import MayQuery, WhoQuery
from trio_mqtt.broker.routing.published import Author
from trio_mqtt.protocol.packets import Publish, Subscription
from trio_mqtt.testing import open_memory_broker


@pytest.fixture
def security(tmp_path: Path) -> Security:
    rules = tmp_path / "access"
    rules.write_text(
        "topic readwrite #\npattern readwrite devices/%c/#\ntopic deny secret/#\n", encoding="utf-8"
    )
    return Security(access=rules)


async def test_who_would_get_a_message(security: Security) -> None:
    async with open_memory_broker(security=security) as memory:
        clients = {}
        for name in ("one", "two", "three"):
            clients[name] = Raw(memory.connect(), V5)
            await clients[name].connect(name, expiry=90)
        await clients["one"].subscribe(Subscription("a/#", 1, no_local=True))
        await clients["two"].subscribe("$share/g/a/+", qos=2)
        await clients["three"].subscribe("#")
        administration = memory.broker.administration
        answer = await administration.who(WhoQuery(topic="a/1", qos=2, client_id="one"))
        told = {one.client_id: one for one in answer.items}
        assert answer.published
        assert answer.total == 3
        assert not told["one"].gets_it
        assert "no local" in (told["one"].why_not or "")
        assert (told["two"].gets_it, told["two"].share, told["two"].qos) == (True, "g", 2)
        assert (told["three"].gets_it, told["three"].qos) == (True, 0)
        answer = await administration.who(WhoQuery(topic="secret/1"))
        assert [(one.client_id, one.gets_it) for one in answer.items] == [("three", False)]
        assert "line 3" in (answer.items[0].why_not or "")
        refused = await administration.who(WhoQuery(topic="secret/1", client_id="one"))
        assert not refused.published
        assert "line 3" in (refused.why_not or "")


async def test_messages_of_qos_0_do_not_wait(broker: Broker, join: Join) -> None:
    client = await join("c", expiry=90)
    await client.subscribe("a", qos=1)
    await client.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    (at_0,) = (await broker.administration.who(WhoQuery(topic="a", qos=0))).items
    (at_1,) = (await broker.administration.who(WhoQuery(topic="a", qos=1))).items
    assert (at_0.gets_it, at_0.connected) == (False, False)
    assert at_1.gets_it


async def test_what_a_client_may_do_and_which_rule_says_so(security: Security) -> None:
    async with open_memory_broker(security=security) as memory:
        client = Raw(memory.connect(), V5)
        await client.connect("c")
        may = memory.broker.administration.may
        allowed = await may(MayQuery(client_id="c", action="publish", topic="devices/c/1"))
        assert (allowed.allowed, allowed.known, allowed.hooks) == (True, True, False)
        denied = await may(MayQuery(client_id="c", action="receive", topic="secret/x"))
        assert not denied.allowed
        assert "line 3" in denied.rule
        unknown = await may(MayQuery(client_id="d", action="subscribe", topic="secret/#"))
        assert (unknown.allowed, unknown.known) == (False, False)
        reserved = await may(MayQuery(client_id="c", action="publish", topic="$SYS/x"))
        assert not reserved.allowed
        assert "begin with $" in reserved.rule


class _Heard:
    def ask(self, sender: Author, message: Publish) -> bool:
        return True


async def test_what_the_broker_answers_may_be_asked(security: Security) -> None:
    async with open_memory_broker(security=security) as memory:
        memory.broker._core.answer("$ours", _Heard())
        may = memory.broker.administration.may
        asked = await may(MayQuery(client_id="c", action="publish", topic="$ours/x"))
        assert not asked.allowed  # "#" is not about it
        assert "begin with $" not in asked.rule
        too_long = await may(MayQuery(client_id="c", action="publish", topic="$ours" + "/x" * 500))
        assert "levels" in too_long.rule


async def test_without_rules_everything_is_allowed(broker: Broker) -> None:
    answer = await broker.administration.may(
        MayQuery(client_id="c", action="publish", topic="a", username="u")
    )
    assert (answer.allowed, answer.rule, answer.username) == (True, "no rules", "u")
    broker._core.answer("$ours", _Heard())
    answer = await broker.administration.may(
        MayQuery(client_id="c", action="publish", topic="$ours/x")
    )
    assert (answer.allowed, answer.rule) == (True, "no rules")
