"""Ten thousand clients are listed and searched in turns: others wait for milliseconds at most."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio

import trio_mqtt
from trio_mqtt import Broker, QueuePolicy
from trio_mqtt.administration import (
    BanQuery,
    ClientQuery,
    NewBan,
    OverviewQuery,
    RetainedQuery,
    SubscriptionQuery,
    TopicQuery,
    WhoQuery,
)
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.sessions.claims import Claim
from trio_mqtt.protocol import packets
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.web.json_forms import written, written_in_turns

MANY = 10_000
# Seconds of the processor's time for which nobody else has a turn: turns have one millisecond.
LONGEST = 0.005
_TRIES = 5  # where the machine is busy, what is done takes longer now and then
ASKED = {
    "clients": ClientQuery(search="99", limit=1_000),
    "clients by user": ClientQuery(sort="username", descending=True, limit=1_000),
    "clients by time": ClientQuery(sort="since", offset=MANY - 1_000, limit=1_000),
    "subscriptions": SubscriptionQuery(search="home", limit=1_000),
    "subscriptions to a topic": SubscriptionQuery(topic="home/7/x"),
    "retained": RetainedQuery(search="x", sort="topic", limit=1_000),
    "retained by size": RetainedQuery(sort="size", descending=True, limit=1_000),
    "topics": TopicQuery(prefix="home/", limit=1_000),
    "who": WhoQuery(topic="all", limit=1_000),
    "overview": OverviewQuery(),
    "ban": NewBan(kind="user", value="nobody"),
    "bans": BanQuery(search="nobody"),
}


def _fill(broker: Broker) -> None:
    core = broker._core
    for number in range(MANY):
        claim = core.sessions.claim(
            f"client-{number * 7_919 % MANY}",
            "",
            user=None,
            address=f"10.0.{number >> 8}.{number & 255}:1",
            clean_start=True,
            queue_policy=QueuePolicy.DROP_NEWEST,
        )
        assert isinstance(claim, Claim)
        claim.session.expiry_interval = 100
        for text in (f"home/{number}/#", "all"):
            core.subscriptions.add(
                claim.session, TopicFilter(text), packets.Subscription(text), None
            )
        core.retained.store(Publish(f"home/{number}/x", b"x", retain=True), trio.current_time())


@contextmanager
def _without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.slow
async def test_nobody_waits_for_a_list_of_ten_thousand() -> None:
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        last = time.thread_time()
        while True:
            await trio.lowlevel.checkpoint()
            now = time.thread_time()
            longest = max(longest, now - last)
            last = now

    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        _fill(broker)
        ask_of = broker.administration  # which is loaded with it
        with _without_collector():
            for name, asked in ASKED.items():
                ask = getattr(ask_of, name.partition(" ")[0])
                for _ in range(_TRIES):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(look)
                        await trio.lowlevel.checkpoint()
                        longest = 0.0
                        answer = await ask(asked)
                        text = await written_in_turns(answer)
                        nursery.cancel_scope.cancel()
                    if longest < LONGEST:
                        break
                assert longest < LONGEST, name
                assert json.loads(text) == json.loads(written(answer))
                if name.startswith("who"):
                    assert answer.total == MANY
