"""SUBSCRIBE, UNSUBSCRIBE and PUBLISH mixed on a filter and its shared forms (MQTT 5.0 §4.8.2)."""

from __future__ import annotations

import random

import pytest

from tests.broker.conftest import Join
from tests.broker.raw import Raw
from tests.inside import has_filters
from trio_mqtt import Broker

FILTERS = ["t", "#", "$share/g/t", "$share/g/#", "$share/h/t", "$share/h/+"]


@pytest.mark.normative("MQTT-4.8.2-1")
@pytest.mark.parametrize("seed", range(20))
async def test_each_group_gets_each_message_once_and_each_other_client_too(
    join: Join, broker: Broker, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test
    clients: dict[str, Raw] = {}
    filters: dict[str, set[str]] = {name: set() for name in "abcd"}
    for number in range(80):
        name = chance.choice("abcd")
        if name not in clients:
            clients[name] = await join(name)
            filters[name] = set()
        roll = chance.random()
        topic_filter = chance.choice(FILTERS)
        if roll < 0.35:
            await clients[name].subscribe(topic_filter, qos=chance.randrange(3))
            filters[name].add(topic_filter)
        elif roll < 0.55:
            await clients[name].unsubscribe(topic_filter)
            filters[name].discard(topic_filter)
        elif roll < 0.6:
            await clients.pop(name).drop()
            filters[name] = set()
        else:
            await broker.publish("t", str(number), qos=chance.randrange(3))
            got = {one: len(await client.take(0.001)) for one, client in clients.items()}
            plain = sum(bool(found & {"t", "#"}) for found in filters.values())
            groups = {one for found in filters.values() for one in found if one[0] == "$"}
            assert sum(got.values()) == plain + len(groups)
            for one, count in got.items():
                shared = sum(1 for f in filters[one] if f[0] == "$")
                alone = bool(filters[one] & {"t", "#"})
                assert alone <= count <= alone + shared
    for client in clients.values():
        await client.drop()
    assert not has_filters(broker)
    assert broker.statistics.subscriptions == 0
