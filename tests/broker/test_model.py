"""Whatever happens, in whatever order: every promise is kept, and nothing is left behind."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.broker.conftest import in_virtual_time
from tests.broker.model import EXPIRY, Conversation
from tests.broker.raw import V311
from tests.inside import core_of, has_filters, links_of, sessions_of
from trio_mqtt.testing import open_memory_broker

PROMISES = pytest.mark.normative(
    "MQTT-4.3.2-3", "MQTT-4.3.3-10", "MQTT-4.4.0-1", "MQTT-4.6.0-5", "MQTT-4.5.0-1"
)


async def converse(chance: random.Random, steps: int) -> None:
    """Hold a conversation with a new broker, then look at what came of it and what is left."""
    async with open_memory_broker() as memory:
        broker = memory.broker
        conversation = Conversation(memory, chance)
        await conversation.run(steps)
        conversation.check()
        clients = conversation.clients
        for one in clients:
            session = sessions_of(broker)[one.name]
            assert (session.queued_messages, session.queued_bytes) == (0, 0)
            assert len(session.sender) == 0
            assert session.sender.quota == session.sender.receive_maximum
            assert set(session.subscriptions) == set(one.granted)
        statistics = broker.statistics
        assert statistics.messages_dropped == 0
        assert statistics.subscriptions == sum(len(one.granted) for one in clients)
        for one in clients:
            assert one.raw is not None
            await one.raw.drop()
        assert conversation.publisher is not None
        await conversation.publisher.drop()
        await trio.sleep(EXPIRY + 1)
        assert not links_of(broker)
        kept = {one.name for one in clients if one.version == V311 or one.member}
        assert {session.client_id for session in core_of(broker).sessions.all()} == kept
        for session in core_of(broker).sessions.all():
            core_of(broker).sessions._discard(session)
        assert not has_filters(broker)
        assert (statistics.sessions, statistics.subscriptions, statistics.clients_connected) == (
            0,
            0,
            0,
        )


@pytest.mark.slow
@PROMISES
@pytest.mark.parametrize("seed", range(40))
async def test_a_long_conversation_keeps_every_promise(seed: int) -> None:
    await converse(random.Random(seed), 200)  # noqa: S311  # a test


@pytest.mark.slow
@PROMISES
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False), steps=st.integers(1, 60))
def test_any_conversation_keeps_every_promise(chance: random.Random, steps: int) -> None:
    """The same, where a failure is made as small as it can be."""
    in_virtual_time(converse, chance, steps)
