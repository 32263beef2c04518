"""`tmqtt broker --cluster`: brokers that behave as one, and what is said where they cannot."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.broker.seen import sees
from tests.cli.programs import Program, Run, publish
from tests.cluster.redis import RedisServer, redis_server
from trio_mqtt import sync

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@contextmanager
def node(*options: str, **environment: str) -> Iterator[tuple[Program, str]]:
    """A broker of these options, and its address."""
    with Program("broker", "mqtt://127.0.0.1:0", *options, environment=environment) as broker:
        yield broker, broker.out.expect(r"Listening at (\S+)\n")[1]
        assert broker.stop() == 0
        assert broker.err.text == ""


@sees("cluster.url", "cluster.name", "cluster.node")
def test_nodes_of_a_cluster_behave_as_one(redis: RedisServer) -> None:
    cluster = ("--cluster", redis.url, "--cluster-name", "house")
    by_variables = {"TMQTT_CLUSTER__URL": redis.url, "TMQTT_CLUSTER__NAME": "house"}
    other = {"TMQTT_CLUSTER__URL": redis.url, "TMQTT_CLUSTER__NAME": "other"}
    with (
        node(*cluster, "--node", "floor-1") as (first, one),
        node(**by_variables, TMQTT_CLUSTER__NODE="floor-2") as (second, two),
        node(**other) as (_, three),
        sync.open_client(two) as client,
        client.subscribe("lamp/#", qos=1) as messages,
    ):
        for number, broker in ((1, first), (2, second)):
            broker.out.expect(
                rf"It is the node floor-{number} of the cluster house, which has \d nodes? now\."
                rf" Its engine at {redis.path} keeps what it acknowledges\. The engine logs"
                r" nothing to its disk \(appendonly no\): a crash loses"
            )
        publish(three, "lamp/3", "from another cluster", qos=1)
        publish(one, "lamp/1", "on", qos=1)
        message = next(messages)
        assert (message.topic, message.payload) == ("lamp/1", b"on")


def test_what_outlives_a_node_is_not_said_to_end_with_it(redis: RedisServer) -> None:
    with node("--cluster", redis.url, "--cluster-name", "kept") as (broker, url):
        publish(url, "lamp/1", "on", qos=1, retain=True)
    assert "end with it" not in broker.out.text


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (
            ("--cluster", "redis://ann:hunter2@127.0.0.1:1", "--cluster-wait", "0"),
            1,
            "127.0.0.1:1",
        ),
        (
            ("--cluster", "redis://h", "--data", "here"),
            2,
            "--data: storage is for a broker alone; in a cluster the engine keeps what outlives",
        ),
        (("--node", "floor-1"), 2, "--node: cluster.url is missing. Where the engine is, Redis"),
        (("--cluster", "http://h"), 2, "--cluster: cluster.url: 'http://h' does not start with"),
        (
            ("--cluster", "redis://h", "--cluster-password-file", "none"),
            1,
            "The file of the engine's password, none, cannot be read: No such file or directory.",
        ),
    ],
)
def test_what_cannot_be_is_said(
    options: tuple[str, ...], code: int, sentence: str, in_process: Run
) -> None:
    ended = in_process("broker", "mqtt://127.0.0.1:0", *options)
    assert ended.code == code
    assert ended.err.startswith("Error: ")
    assert sentence in ended.err
    assert "hunter2" not in ended.err
    assert "Traceback" not in ended.err


@sees("cluster.wait")
def test_a_node_waits_for_an_engine_that_comes_after_it(redis: RedisServer, tmp_path: Path) -> None:
    sentence = r"Warning: The engine at \S+ cannot be reached: No such file or directory\. This"
    later = tmp_path / "engine.sock"
    options = ("--cluster", f"unix://{later}", "--cluster-name", "late")
    with Program("broker", "mqtt://127.0.0.1:0", *options, "--cluster-wait", "1m") as broker:
        broker.err.expect(sentence + r" broker waits for it\.\n")
        later.symlink_to(redis.path)
        broker.err.expect(r"Warning: The engine at \S+ is there, after \d+\.\d s\.\n")
        broker.out.expect(r"Listening at")
        assert broker.stop() == 0
    later.unlink()
    with Program("broker", "mqtt://127.0.0.1:0", *options) as broker:
        broker.err.expect(sentence)
        assert broker.stop() == 0
    assert "Traceback" not in broker.err.text


@pytest.mark.parametrize(
    "command", [("broker", "mqtt://127.0.0.1:0"), ("cluster", "status"), ("drain", "floor-1")]
)
def test_where_the_package_is_missing_what_to_install_is_said(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "coredis.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'coredis'\", name='coredis')\n"
    )
    environment = {"PYTHONPATH": os.fspath(tmp_path)}
    options = ("--cluster", "redis://127.0.0.1:1")
    with Program(*command, *options, environment=environment) as program:
        assert program.ended() == 1
    assert program.err.text.startswith(
        "Error: A cluster needs the package coredis, which the extra trio-mqtt[cluster] brings."
    )


@sees("cluster.server_reference")
def test_nodes_are_seen_with_where_clients_reach_them(redis: RedisServer, in_process: Run) -> None:
    cluster = ("--cluster", redis.url, "--cluster-name", "seen")
    with node(*cluster, "--node", "floor-1", "--node-reference", "floor-1.example:1883"):
        ended = in_process("cluster", "status", *cluster, "--json")
        (found,) = json.loads(ended.out)["nodes"]
    assert (found["name"], found["server_reference"]) == ("floor-1", "floor-1.example:1883")
