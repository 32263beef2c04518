"""Engines of several processes: a Redis Cluster of three masters, and a master with Sentinels."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

from tests.cluster.redis import RedisServer, redis_server
from tests.ports import free_port

SLOTS = 16_384
SERVICE = "main"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end, what
        sleep(0.02)


class RedisCluster:
    """Three masters, each with a third of the slots."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers
        self.ids = [one.command("CLUSTER", "MYID").split()[1].decode() for one in servers]

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{one.port}" for one in self.servers)
        return f"redis+cluster://{places}"

    def owner(self, slot: int) -> int:
        """Which of them has a slot, as the first one knows."""
        lines = self.servers[0].command("CLUSTER", "NODES").decode().splitlines()
        for line in lines:
            for words in [line.split()]:
                for part in words[8:]:
                    first, _, last = part.partition("-")
                    if first.isdigit() and int(first) <= slot <= int(last or first):
                        return self.ids.index(words[0])
        raise AssertionError(f"nobody has slot {slot}")

    def begin_move(self, slot: int, there: int) -> None:
        """A slot is on its way to another master: what is new in it is to be there."""
        here = self.owner(slot)
        self.servers[there].command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", self.ids[here])
        self.servers[here].command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", self.ids[there])

    def move_keys(self, slot: int, there: int, *keys: str) -> None:
        """These keys of a slot go to where it is on its way to."""
        here = self.owner(slot)
        place = ("127.0.0.1", str(self.servers[there].port))
        for key in keys:
            self.servers[here].command("MIGRATE", *place, f'"{key}"', "0", "5000")

    def end_move(self, slot: int, there: int) -> None:
        """All that is in the slot is there, and all know it."""
        for server in (self.servers[there], *self.servers):
            server.command("CLUSTER", "SETSLOT", str(slot), "NODE", self.ids[there])


@contextmanager
def redis_cluster() -> Iterator[RedisCluster]:
    """One that runs in the block."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                redis_server(
                    *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                    *("--cluster-node-timeout", "2000"),
                    *("--appendonly", "yes", "--appendfsync", "always"),
                    port=free_port(),
                )
            )
            for _ in range(3)
        ]
        first = servers[0]
        bounds = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for number, server in enumerate(servers):
            last = bounds[number + 1] - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", str(bounds[number]), str(last))
            server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            bus = server.command("CONFIG", "GET", "cluster-port").split()[-1].decode()
            if server is not first:
                first.command("CLUSTER", "MEET", "127.0.0.1", str(server.port), bus)

        def is_whole() -> bool:
            return all(
                b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info
                for info in [server.command("CLUSTER", "INFO") for server in servers]
            )

        wait_for(is_whole, "the Redis Cluster does not come together")
        yield RedisCluster(servers)


class Sentinels:
    """A master, a replica, and three Sentinels that watch over them."""

    def __init__(self, servers: list[RedisServer], ports: list[int]) -> None:
        self.servers = servers
        self.ports = ports
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        places = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{places}/{SERVICE}"

    def stop_sentinel(self) -> None:
        """End one of them."""
        process = self.processes.pop()
        process.kill()
        process.wait()


@contextmanager
def redis_sentinels() -> Iterator[Sentinels]:
    """They run in the block."""
    program = shutil.which("redis-sentinel")
    assert program is not None, "redis-sentinel is needed for these tests"
    folder = Path(mkdtemp(prefix="redis-"))
    with ExitStack() as stack:
        master = stack.enter_context(redis_server(port=free_port()))
        replica = stack.enter_context(redis_server(port=free_port()))
        replica.command("REPLICAOF", "127.0.0.1", str(master.port))
        wait_for(
            lambda: b"state=online" in master.command("INFO", "replication"),
            "the replica does not follow",
        )
        group = Sentinels([master, replica], [free_port() for _ in range(3)])
        try:
            for number, port in enumerate(group.ports):
                path = folder / f"{number}.conf"
                path.write_text(
                    f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                    f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 2\n"
                    f"sentinel down-after-milliseconds {SERVICE} 1000\n"
                    f"sentinel failover-timeout {SERVICE} 2000\n"
                )
                with (folder / f"{number}.log").open("wb") as log:
                    group.processes.append(
                        subprocess.Popen([program, str(path)], stdout=log, stderr=log)
                    )
            for port in group.ports:
                wait_for(lambda port=port: _is_set_up(port), "a Sentinel does not start")  # type: ignore[misc]
            wait_for(lambda: all(map(_sees_all, group.ports)), "the Sentinels do not meet")
            yield group
        finally:
            while group.processes:
                group.stop_sentinel()
            shutil.rmtree(folder, ignore_errors=True)


# In milliseconds. They look often, so that one late answer on a busy machine is nobody's end, meet
# soon, and do not stand by for half a minute where they were given no processor for a while.
_PERIODS = {
    "ping-period": 100,
    "info-period": 500,
    "ask-period": 100,
    "publish-period": 200,
    "tilt-trigger": 60_000,
}


def _ask(port: int, *words: str) -> list[str]:
    asked = subprocess.run(
        ["redis-cli", "-p", str(port), "SENTINEL", *words], capture_output=True, check=False
    )
    return asked.stdout.decode().splitlines()


def _is_set_up(port: int) -> bool:
    periods = [word for name, period in _PERIODS.items() for word in (name, str(period))]
    return _ask(port, "DEBUG", *periods) == ["OK"]


def _sees_all(port: int) -> bool:
    words = _ask(port, "MASTER", SERVICE)
    said = dict(zip(words[::2], words[1::2], strict=False))
    return said.get("num-other-sentinels") == "2" and said.get("num-slaves") == "1"
