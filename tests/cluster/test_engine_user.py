"""A node does with what the settings say that its user of the engine needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.nodes import nodes
from tests.cluster.redis import RedisServer, redis_server
from tests.cluster.waiting import known
from tests.ports import free_port
from trio_mqtt import Cluster, open_client
from trio_mqtt.attribute_docs import attribute_docs

# As `Cluster.username` says.
COMMANDS = "+@read +@write +@scripting +@connection +info +time +wait"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server(port=free_port()) as one:
        one.command("ACL", "SETUSER", "node", "on", ">secret", "~{mine}*", "~{mine/*", COMMANDS)
        yield one


async def test_a_user_who_may_do_no_more_than_a_node_does(server: RedisServer) -> None:
    url = f"redis://node:secret@127.0.0.1:{server.port}"
    async with (
        nodes(Cluster(url=url, name="mine"), 2) as (one, other),
        open_client(one.url) as publisher,
    ):
        await publisher.publish("kept/1", "retained", qos=1, retain=True)
        for node in (other, one):
            async with (
                open_client(node.url, client_id="durable", session_expiry_interval=3600) as client,
                client.subscribe("a/#", "kept/#", "$share/g/s", qos=2) as messages,
            ):
                assert (await anext(messages)).payload == b"retained"
                await known(one, other)
                for qos in (0, 1, 2):
                    await publisher.publish("a/1", str(qos), qos=qos)
                    assert (await anext(messages)).payload == str(qos).encode()
                await publisher.publish("s", "shared", qos=1)
                assert (await anext(messages)).payload == b"shared"
    denied = server.command("ACL", "LOG")
    # Nothing but what it does without.
    assert denied.startswith(b"*1\r\n"), denied
    assert b"config|get" in denied


def test_the_settings_say_what_the_user_needs() -> None:
    assert COMMANDS in attribute_docs(Cluster)["username"]
