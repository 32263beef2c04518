"""`tmqtt cluster status`: what it shows of the nodes, and what it says where it cannot."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import trio

from tests.cli.programs import DEADLINE, Program, Run
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import Cluster
from trio_mqtt.cluster.engine.engine import open_engine
from trio_mqtt.cluster.membership import Membership

FIGURES: Mapping[str, str | int] = {
    "clients": 1200,
    "sessions": 1203,
    "received": "850.4",
    "sent": "12.25",
    "lag": "0.0012",
}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@contextmanager
def nodes(redis: RedisServer, cluster: str, *names: str) -> Iterator[None]:
    """Members of these names, the first of which says its figures, until the end of the block."""
    joined, over = threading.Event(), threading.Event()

    async def keep() -> None:
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(keep_one, name)
            await trio.to_thread.run_sync(over.wait)
            nursery.cancel_scope.cancel()

    waiting = len(names)

    async def keep_one(name: str) -> None:
        nonlocal waiting
        settings = Cluster(
            url=redis.url, name=cluster, node=name, server_reference=f"{name}.example:1883"
        )
        figures: Mapping[str, str | int] = FIGURES if name == names[0] else {}
        async with open_engine(settings) as engine, trio.open_nursery() as nursery:
            membership = Membership(engine, version="1.2.3", figures=lambda: figures)
            await nursery.start(membership.keep)
            waiting -= 1
            if not waiting:
                joined.set()
            await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(keep,))
    thread.start()
    try:
        assert joined.wait(DEADLINE)
        yield
    finally:
        over.set()
        thread.join()


def test_each_node_is_a_row(redis: RedisServer, in_process: Run) -> None:
    with nodes(redis, "rows", "floor-1", "floor-2"):
        ended = in_process("cluster", "status", "--cluster", redis.url, "--cluster-name", "rows")
    assert (ended.code, ended.err) == (0, "")
    title, heads, first, second, whole = ended.out.splitlines()
    assert title == f"Cluster rows at {redis.path}: 2 nodes"
    assert heads.split() == [
        "Node",
        "State",
        "Up",
        "Clients",
        "Sessions",
        "In/s",
        "Out/s",
        "Lag",
        "Reached",
        "at",
    ]
    words = first.split()
    assert words[:2] == ["floor-1", "serving"]
    assert words[-7:] == ["1,200", "1,203", "850", "12", "1.2", "ms", "floor-1.example:1883"]
    assert second.split()[-6:] == ["-", "-", "-", "-", "-", "floor-2.example:1883"]
    assert whole == "In the engine: 0 sessions away, 0 logs, 0 retained messages."


def test_nodes_that_share_a_name_are_told_apart(redis: RedisServer, in_process: Run) -> None:
    with nodes(redis, "same", "host", "host", "other"):
        ended = in_process("cluster", "status", "--cluster", redis.url, "--cluster-name", "same")
    first, second, other = [line.split()[0] for line in ended.out.splitlines()[2:5]]
    assert other == "other"
    assert all(re.fullmatch("host-[0-9a-f]{8}", name) for name in (first, second))
    assert first != second


def test_json_has_all_of_it(
    redis: RedisServer, in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMQTT_CLUSTER__URL", redis.url)
    monkeypatch.setenv("TMQTT_CLUSTER__NAME", "json")
    with nodes(redis, "json", "floor-1"):
        ended = in_process("cluster", "status", "--json")
    assert (ended.code, ended.err) == (0, "")
    status = json.loads(ended.out)
    (node,) = status.pop("nodes")
    assert status == {
        "name": "json",
        "engine": str(redis.path),
        "sessions_away": 0,
        "durable_filters": 0,
        "retained": 0,
    }
    assert node.pop("node").startswith("floor-1")
    assert 0 <= node.pop("up") < DEADLINE
    assert node == {
        "name": "floor-1",
        "server_reference": "floor-1.example:1883",
        "version": "1.2.3",
        "clients": 1200,
        "sessions": 1203,
        "received": 850.4,
        "sent": 12.25,
        "lag": 0.0012,
        "inbox": 0,
        "state": "serving",
    }


def test_a_cluster_without_nodes_says_what_one_is(redis: RedisServer, in_process: Run) -> None:
    ended = in_process("cluster", "status", "--cluster", redis.url, "--cluster-name", "none")
    assert ended.code == 0
    assert "No node is alive: `tmqtt broker --cluster URL` is one." in ended.out


def test_watch_looks_again_and_again(redis: RedisServer) -> None:
    arguments = ("--cluster", redis.url, "--cluster-name", "seen", "--watch", "--interval", "50ms")
    with Program("cluster", "status", *arguments) as watching:
        watching.out.expect("0 nodes")
        with nodes(redis, "seen", "floor-1"):
            watching.out.expect("1 node\n")
        watching.out.expect("1 node\n(.*\n)*.*0 nodes")
        assert watching.stop() == 143
    with Program("cluster", "status", *arguments, terminal=True) as watching:
        watching.out.expect("0 nodes")
        watching.type("q")
        assert watching.ended() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "Error: Which cluster? --cluster URL says where its engine is, for example"),
        (("--interval", "1s"), 2, "--interval says how often --watch looks: give that too."),
        (("--cluster", "http://a:hunter2@b"), 2, "--cluster: cluster.url: 'http://a:…@b' does"),
        (("--cluster", "redis://:hunter2@127.0.0.1:1"), 1, "127.0.0.1:1"),
    ],
)
def test_what_cannot_be_asked_is_told(
    arguments: tuple[str, ...], code: int, sentence: str, in_process: Run
) -> None:
    ended = in_process("cluster", "status", *arguments)
    assert ended.code == code
    assert sentence in ended.err
    assert "hunter2" not in ended.err
    assert "Traceback" not in ended.err
