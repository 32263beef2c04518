"""A broker with other settings is one that was opened with them; and nothing is left of the old."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import trio_mqtt
from trio_mqtt import (
    Broker,
    BrokerOptions,
    Limits,
    Listen,
    ListenerLimits,
    ListenerOptions,
    RefusedError,
    ScramClient,
    Security,
)
from trio_mqtt.access import ScramAuthenticator
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.broker.options import SharedStrategy

pytestmark = pytest.mark.trio  # in real time: sockets, and files that are read in threads

LOCAL = "mqtt://127.0.0.1:0"
BY_SCRAM = {"SCRAM-SHA-256": ScramAuthenticator({"alice": "hers"})}
CLIENTS: list[dict[str, Any]] = [
    {},
    {"username": "alice", "password": "right"},
    {"authentication": ScramClient("alice", "hers")},
]


class Draw:
    """Settings by chance."""

    def __init__(self, chance: random.Random, folder: Path) -> None:
        self._chance = chance
        self._passwords = folder / "passwords"
        self._rules = folder / "rules"
        set_password(self._passwords, "alice", b"right", create=True)
        self._rules.write_text("topic readwrite a/#\nuser alice\ntopic readwrite #\n")

    def security(self) -> Security:
        return Security(
            passwords=self._chance.choice([None, self._passwords]),
            access=self._chance.choice([None, self._rules]),
            authenticators=self._chance.choice([{}, BY_SCRAM]),
            authentication_required=self._chance.choice([False, False, False, True]),
            allow_anonymous=self._chance.choice([None, True, False]),
        )

    def listen(self, url: str) -> Listen:
        chance = self._chance
        return Listen(
            url,
            security=chance.choice([None, self.security()]),
            limits=chance.choice([None, ListenerLimits(maximum_subscriptions=1)]),
            options=chance.choice([None, ListenerOptions(maximum_qos=1, retain_available=True)]),
            mount_point=chance.choice(["", "a/", "b/"]),
            allow_anonymous=chance.choice([None, True]),
        )

    def settings(self) -> dict[str, Any]:
        chance = self._chance
        return {
            "limits": Limits(
                maximum_subscriptions=chance.choice([1, 2, 100]),
                maximum_keep_alive=chance.choice([10, 20]),
                maximum_topic_levels=chance.choice([2, 10]),
            ),
            "options": BrokerOptions(
                maximum_qos=chance.choice([0, 1, 2]),
                retain_available=chance.choice([True, False]),
                shared_strategy=chance.choice(list(SharedStrategy)),
                system_topics_interval=chance.choice([0.0, 10.0]),
            ),
            "security": self.security(),
        }


async def answers(broker: Broker) -> list[object]:
    """What new clients are told and let do at each listener."""
    found: list[object] = [broker.limits, broker.options]
    for listen, url in zip(broker.listeners, broker.urls, strict=True):
        found.append(broker.ways_in(listen))
        for who in CLIENTS:
            try:
                async with trio_mqtt.open_client(url, reconnect=False, **who) as client:
                    known = dict(client.server_properties)
                    for drawn in ("assigned_client_identifier", "authentication_data"):
                        known.pop(drawn, None)
                    found.append(known)
                    for topic in ("a/x", "c", "c/d/e"):
                        found.append(await client_may_publish(client, topic))
                    found.append(await granted(client, ("a/x", "c", "$SYS/#")))
            except RefusedError as error:
                found.append(str(error).replace(url, "it"))
    return found


async def client_may_publish(client: trio_mqtt.Client, topic: str) -> bool:
    try:
        await client.publish(topic, qos=min(1, client.server_properties.get("maximum_qos", 2)))
    except RefusedError:
        return False
    return True


async def granted(client: trio_mqtt.Client, filters: Sequence[str]) -> list[str]:
    """Which filters are granted while those before them are."""
    if not filters:
        return []
    try:
        async with client.subscribe(filters[0]):
            return [filters[0], *await granted(client, filters[1:])]
    except RefusedError:
        return await granted(client, filters[1:])


@pytest.mark.parametrize("seed", range(3))
async def test_it_answers_as_one_that_was_opened_so(seed: int, tmp_path: Path) -> None:
    draw = Draw(random.Random(seed), tmp_path)  # noqa: S311
    with trio.fail_after(60):
        async with trio_mqtt.open_broker(LOCAL) as broker:
            for _ in range(4):
                settings = draw.settings()
                listeners = [draw.listen(url) for url in (*broker.urls[:2], LOCAL)]
                await broker.reconfigure(*listeners, **settings)
                anew = [Listen(**{**_fields(each), "url": LOCAL}) for each in listeners]
                async with trio_mqtt.open_broker(*anew, **settings) as other:
                    assert await answers(broker) == await answers(other)


def _fields(listen: Listen) -> dict[str, Any]:
    names = ("security", "limits", "options", "mount_point", "allow_anonymous")
    return {name: getattr(listen, name) for name in names}


@pytest.mark.posix
async def test_nothing_is_left_of_listeners_that_came_and_went() -> None:
    async def come_and_go(broker: Broker) -> None:
        first = broker.url
        await broker.reconfigure(first, *[LOCAL] * 3)
        for url in broker.urls:
            async with trio_mqtt.open_client(url) as client:
                await client.publish("t", qos=1)
        await broker.reconfigure(first)

    def held() -> tuple[int, int]:
        tasks = trio.lowlevel.current_statistics().tasks_living
        return len(os.listdir("/proc/self/fd")), tasks

    with trio.fail_after(30):
        async with trio_mqtt.open_broker(LOCAL) as broker:
            await come_and_go(broker)
            await trio.testing.wait_all_tasks_blocked(0.01)
            before = held()
            for _ in range(20):
                await come_and_go(broker)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert held() == before
