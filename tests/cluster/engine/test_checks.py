"""What an engine must be set up like, who is let in, and what is said of what it promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from tests.cluster.redis import RedisServer, redis_server
from tests.ports import free_port
from trio_mqtt import Cluster, ConfigurationError, EngineError
from trio_mqtt.cluster.engine.checks import promise
from trio_mqtt.cluster.engine.engine import open_engine


async def _why_not(cluster: Cluster) -> str:
    with pytest.raises(EngineError) as caught:
        async with open_engine(cluster):
            pass
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--appendonly", "yes", "--appendfsync", "always"], "before it answers"),
        (["--appendonly", "yes"], "may lose the last second"),
        (["--appendonly", "yes", "--appendfsync", "no"], "half a minute"),
        ([], "logs nothing to its disk"),
    ],
)
async def test_what_the_engine_promises_is_said(options: list[str], said: str) -> None:
    with redis_server(*options) as server:
        async with open_engine(Cluster(url=server.url)) as engine:
            assert said in engine.promise
            assert engine.promise.endswith(".")


def test_replicas_are_part_of_what_is_promised() -> None:
    info = {"connected_slaves": "1"}
    assert "A failover may lose" in promise(info, "", 0)
    assert "1 of its replicas have each write" in promise(info, "", 1)


async def test_an_engine_that_evicts_is_refused_with_what_to_do() -> None:
    with redis_server("--maxmemory-policy", "allkeys-lru") as server:
        why = await _why_not(Cluster(url=server.url))
        assert "CONFIG SET maxmemory-policy noeviction" in why
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        async with open_engine(Cluster(url=server.url)):
            pass


async def test_an_engine_that_comes_to_evict_is_gone_when_it_is_reached_again() -> None:
    with redis_server() as server, trio.fail_after(60):
        async with open_engine(Cluster(url=server.url)) as engine:
            server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await engine.wait_gone()
            while "noeviction" not in str(engine.why_gone):  # noqa: ASYNC110
                await trio.sleep(0.01)
            server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await engine.wait_returned()


async def test_a_replica_is_refused_with_its_master() -> None:
    with redis_server(port=free_port()) as master, redis_server() as replica:
        replica.command("REPLICAOF", "127.0.0.1", str(master.port))
        why = await _why_not(Cluster(url=replica.url))
        assert f"it follows 127.0.0.1:{master.port}" in why


@asynccontextmanager
async def with_a_replica() -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    """An engine, and a replica that has all that it has."""
    with redis_server(port=free_port()) as master, redis_server() as replica:
        replica.command("REPLICAOF", "127.0.0.1", str(master.port))
        with trio.fail_after(60):
            # Either may know it before the other does.
            for server, said in ((replica, b"master_link_status:up"), (master, b"state=online")):
                while said not in server.command("INFO", "replication"):  # noqa: ASYNC110
                    await trio.sleep(0.02)
        yield master, replica


async def ends_waits(server: RedisServer) -> None:
    """Whoever waits for replicas there is told how many have it, as if its time was over."""
    while True:
        for line in server.command("CLIENT", "LIST").decode().splitlines():
            if "cmd=wait" in line:
                server.command("CLIENT", "UNBLOCK", line.partition(" ")[0].removeprefix("id="))
        await trio.sleep(0.01)


async def test_replicas_that_must_have_each_write() -> None:
    with redis_server(port=free_port()) as alone:
        cluster = Cluster(url=alone.url, replicas=1)
        assert "has 0 replicas, and 1 must have" in await _why_not(cluster)
    async with with_a_replica() as (master, replica):
        cluster = Cluster(url=master.url, replicas=1, timeout=60, lease=120)
        with trio.fail_after(60):
            async with open_engine(cluster) as engine, trio.open_nursery() as nursery:
                key = engine.keys.shared("x")
                assert await engine.call("INCR", key) == 1
                replica.stop()
                nursery.start_soon(ends_waits, master)
                with pytest.raises(EngineError, match="0 replicas that have what was written"):
                    await engine.call("INCR", key)
                nursery.cancel_scope.cancel()
                assert engine.is_gone


async def test_a_replica_that_follows_but_has_nothing_yet_is_not_enough() -> None:
    async with with_a_replica() as (master, replica), trio.open_nursery() as nursery:
        cluster = Cluster(url=master.url, replicas=1, timeout=60, lease=120)
        replica.pause()
        nursery.start_soon(ends_waits, master)
        with trio.fail_after(60):
            why = await _why_not(cluster)
        assert "has 0 replicas that have what was written, and 1 must" in why
        nursery.cancel_scope.cancel()


async def test_user_and_password(tmp_path: Path) -> None:
    with redis_server("--requirepass", "right", port=free_port()) as server:
        at = f"127.0.0.1:{server.port}"
        why = await _why_not(Cluster(url=f"redis://{at}"))
        assert "does not let this node in: it asks for a password, and none is given." in why
        assert "wrong" not in await _why_not(Cluster(url=f"redis://:wrong@{at}"))
        path = tmp_path / "password"
        path.write_text("right\n")
        for cluster in (
            Cluster(url=f"redis://:right@{at}"),
            Cluster(url=f"redis://default:right@{at}"),
            Cluster(url=f"redis://{at}", password="right"),
            Cluster(url=f"redis://{at}", username="default", password="right"),
            Cluster(url=f"redis://{at}", password_file=str(path)),
        ):
            async with open_engine(cluster) as engine:
                assert await engine.call("PING") == b"PONG"
        with pytest.raises(ConfigurationError):
            async with open_engine(Cluster(url=f"redis://{at}", password_file="/no/such/file")):
                pass


async def test_databases_are_parts_of_an_engine() -> None:
    with redis_server(port=free_port()) as server:
        async with (
            open_engine(Cluster(url=f"{server.url}/3")) as one,
            open_engine(Cluster(url=f"unix://{server.path}?db=4")) as other,
        ):
            await one.call("SET", one.keys.shared("x"), 1)
            assert await other.call("GET", other.keys.shared("x")) is None


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    paths = {name: str(tmp_path / name) for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    certificate.cert_chain_pems[0].write_to_path(paths["cert"])
    certificate.private_key_pem.write_to_path(paths["key"])
    port = free_port()
    with redis_server(
        *("--tls-port", str(port), "--tls-cert-file", paths["cert"]),
        *("--tls-key-file", paths["key"], "--tls-ca-cert-file", paths["ca"]),
        *("--tls-auth-clients", "no"),
    ):
        url = f"rediss://localhost:{port}"
        assert "its certificate is not trusted" in await _why_not(Cluster(url=url))
        async with open_engine(Cluster(url=f"{url}?cafile={paths['ca']}")) as engine:
            big = b"x" * 300_000
            await engine.call("SET", engine.keys.shared("x"), big)
            assert await engine.call("GET", engine.keys.shared("x")) == big
            await engine.call("XADD", engine.keys.inbox("n"), "*", "b", 1)
            assert len(await engine.read(engine.keys.inbox("n"), b"0", count=1, block=5)) == 1
        with pytest.raises(ConfigurationError, match="No such file"):
            async with open_engine(Cluster(url=f"{url}?cafile=/no/such/file")):
                pass


async def test_a_plain_port_does_not_speak_tls() -> None:
    with redis_server(port=free_port()) as server:
        why = await _why_not(Cluster(url=f"rediss://localhost:{server.port}", timeout=1))
        assert "cannot be reached" in why
