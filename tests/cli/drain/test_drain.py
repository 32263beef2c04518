"""`tmqtt drain`: a node that gives up its clients, and what is said where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.broker.wire import V311, Wire
from tests.cli.programs import Program, Run
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt.protocol.packets import Disconnect
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def test_clients_are_told_where_to_go(redis: RedisServer) -> None:
    cluster = ("--cluster", redis.url, "--cluster-name", "house")
    quick = ("--set", "cluster.lease=1s", "--set", "cluster.timeout=500ms")
    with Program("broker", "mqtt://127.0.0.1:0", *cluster, "--node", "floor-1", *quick) as broker:
        url = broker.out.expect(r"Listening at (\S+)\n")[1]
        with Wire(url, "new") as new, Wire(url, "old", version=V311) as old:
            drain = ("drain", "floor-1", *cluster, "--to", "floor-2.example:1883")
            with Program(*drain) as draining:
                told = new.expect(Disconnect)
                assert told.reason_code is ReasonCode.USE_ANOTHER_SERVER
                assert told.properties["server_reference"] == "floor-2.example:1883"
                assert old.receive() is None
                assert draining.ended() == 0
            assert draining.err.text.endswith(
                "floor-1 has no clients any more. It takes none until it is started anew.\n"
            )
        assert broker.stop() == 0


def test_a_node_that_says_nothing_within_the_time_is_told(
    redis: RedisServer, in_process: Run
) -> None:
    """Its figures come with its lease, which is long here; it has no clients."""
    cluster = ("--cluster", redis.url, "--cluster-name", "slow")
    slow = ("--set", "cluster.lease=1h")
    with Program("broker", "mqtt://127.0.0.1:0", *cluster, "--node", "floor-1", *slow) as broker:
        broker.out.expect(r"Listening at (\S+)\n")
        ended = in_process("drain", "floor-1", *cluster, "--timeout", "200ms")
        assert broker.stop() == 0
    assert ended.code == 27
    assert ended.err == (
        "Waiting for floor-1.\n"
        "Error: floor-1 has not said within 0.2 s that it gives up its clients.\n"
    )


def test_a_node_that_there_is_not_is_told(redis: RedisServer, in_process: Run) -> None:
    ended = in_process("drain", "attic", "--cluster", redis.url, "--cluster-name", "none")
    assert ended.code == 1
    assert ended.err == "Error: No node 'attic' is alive in the cluster none: none.\n"


def test_which_cluster_has_to_be_said(in_process: Run) -> None:
    ended = in_process("drain", "attic")
    assert ended.code == 2
    assert ended.err.startswith("Error: Which cluster? --cluster URL says where its engine is")
