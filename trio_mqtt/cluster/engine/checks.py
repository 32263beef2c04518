"""Whether an engine can be used as it is set up, and what it promises of what is written to it."""

from __future__ import annotations

import re

import trio
from coredis.exceptions import BusyLoadingError, RedisError

from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineGoneError,
    EngineUnfitError,
    too_few_replicas,
    wait_call,
)
from trio_mqtt.cluster.engine.connection import STILL_LOADING, Connection

# Streams that are trimmed by age, and groups whose messages are taken over, came with it.
OLDEST = (6, 2)

_SECTIONS = ("server", "memory", "persistence", "replication", "cluster")


async def check(
    connection: Connection, *, clustered: bool, replicas: int, by_sentinels: bool = False
) -> str:
    """Ask one process of an engine how it is set up; a sentence of what it promises.

    Where Sentinels have named it, a replica is one that they are about to make the master, or whose
    master they will name next.

    Raises EngineUnfitError with what is to be changed, and EngineGoneError where it cannot do its
    work now.
    """
    answers = await connection.ask(
        *[Call("INFO", section) for section in _SECTIONS], Call("CONFIG", "GET", "appendfsync")
    )
    for answer in answers[:-1]:
        if isinstance(answer, RedisError):
            raise EngineUnfitError(
                f"{connection.where} does not tell this node how it is set up: {answer}. Its user"
                " needs the commands INFO, TIME, EVALSHA, SCRIPT LOAD and those of the data types."
            )
    info: dict[str, str] = {}
    for answer in answers[:-1]:
        for line in answer.decode().splitlines():
            name, _, value = line.partition(":")
            info[name] = value.strip()
    where = connection.where
    _check_version(where, info)
    _check_kind(where, info, clustered=clustered)
    _check_role(where, info, by_sentinels=by_sentinels)
    _check_memory(where, info)
    _check_replicas(where, info, replicas)
    config = answers[-1]
    fsync = config.get(b"appendfsync", b"").decode() if isinstance(config, dict) else ""
    return promise(info, fsync, replicas)


def _check_version(where: str, info: dict[str, str]) -> None:
    said = info.get("redis_version", "0")
    numbers = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if numbers < OLDEST:
        raise EngineUnfitError(
            f"{where} is Redis {said}, which is too old: Redis 6.2, Valkey 7.2 or newer is needed."
        )


def _check_kind(where: str, info: dict[str, str], *, clustered: bool) -> None:
    is_clustered = info.get("cluster_enabled") == "1"
    if is_clustered and not clustered:
        raise EngineUnfitError(
            f"{where} is part of a Redis Cluster: its address reads redis+cluster://HOST:PORT."
        )
    if clustered and not is_clustered:
        raise EngineUnfitError(
            f"{where} is no part of a Redis Cluster: its address reads redis://HOST:PORT/DATABASE."
        )


def _check_role(where: str, info: dict[str, str], *, by_sentinels: bool) -> None:
    if info.get("role") not in (None, "master"):
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        if by_sentinels:
            raise EngineGoneError(f"{where} is a replica of {primary}, and takes no writes yet.")
        raise EngineUnfitError(
            f"{where} is a replica, and takes no writes: it follows {primary}. Give that address,"
            " or that of the Sentinels: redis+sentinel://HOST:PORT,HOST:PORT/NAME."
        )


def _check_memory(where: str, info: dict[str, str]) -> None:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise EngineUnfitError(
            f"{where} drops what it likes once its memory is full (maxmemory-policy {policy}):"
            " sessions, and messages that were acknowledged. Set it to refuse writes instead:"
            " CONFIG SET maxmemory-policy noeviction, and the same in its configuration file."
        )


def _check_replicas(where: str, info: dict[str, str], replicas: int) -> None:
    # One that is connected, but still to be given all that there is, has nothing for a while.
    ready = sum(
        "state=online" in value
        for name, value in info.items()
        if name.startswith("slave") and name.removeprefix("slave").isdigit()
    )
    if ready < replicas:
        raise EngineGoneError(
            f"{where} has {ready} replicas, and {replicas} must have what is written."
        )


def promise(info: dict[str, str], fsync: str, replicas: int) -> str:
    """What becomes of what was written where the engine crashes, in a sentence."""
    if info.get("aof_enabled") == "1":
        said = {
            "always": "The engine has each write on its disk before it answers: a crash loses none"
            " of it.",
            "everysec": "The engine writes to its disk once a second: a crash may lose the last"
            " second of what was acknowledged (appendfsync everysec).",
            "no": "The engine leaves it to its system when to write to the disk: a crash of the"
            " machine may lose half a minute of what was acknowledged (appendfsync no).",
        }.get(fsync, "The engine logs what it is told (appendonly yes); how often it has it on its"
              " disk, it does not tell this node.")  # fmt: skip
    else:
        said = (
            "The engine logs nothing to its disk (appendonly no): a crash loses what was"
            " acknowledged since its last snapshot, and without snapshots everything."
        )
    if replicas:
        said += f" {replicas} of its replicas have each write before it counts as done."
    elif int(info.get("connected_slaves", "0")):
        said += " A failover may lose what its replicas do not have yet (see replicas)."
    return said


async def clock_of(connection: Connection) -> float:
    """How far the engine's clock is ahead of Trio's, in seconds."""
    before = trio.current_time()
    ((seconds, microseconds),) = await connection.ask(Call("TIME"))
    between = (before + trio.current_time()) / 2
    return int(seconds) + int(microseconds) / 1_000_000 - between


def check_clock(where: str, ahead: float, lease: float) -> None:
    """See that a master's clock agrees with another's: each compares ends of leases with its own.

    Raises EngineUnfitError where it is off by more than an eighth of a lease.
    """
    if abs(ahead) > lease / 8:
        raise EngineUnfitError(
            f"{where} has a clock that is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
            f" of another master's; with leases of {lease:g} s it may be {lease / 8:g} s at most."
            " Have their machines keep time by NTP."
        )


async def can_write(
    connection: Connection, key: bytes, *, replicas: int = 0, within: float = 0.0
) -> None:
    """Write something, and take it away; it would go by itself, too. So many replicas have it
    `within` so many seconds: one that is online for the engine may still be reading what it was
    given at first, and answers nobody until it has.

    Raises EngineGoneError where the engine takes nothing now, or too few replicas follow.
    """
    answer, _ = await connection.ask(Call("SET", key, b"1", b"PX", 1000), Call("DEL", key))
    if isinstance(answer, BusyLoadingError):
        raise EngineGoneError(f"{connection.where} {STILL_LOADING}")
    if isinstance(answer, RedisError):
        raise EngineGoneError(f"{connection.where} can do nothing now: {str(answer).rstrip('.')}.")
    if replicas:
        (reached,) = await connection.ask(wait_call(replicas, within))
        if too_few := too_few_replicas(connection.where, reached, replicas):
            raise EngineGoneError(f"{too_few}.")
