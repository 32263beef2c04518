"""Unix sockets: who may connect, and what is left in the file system."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

import trio_mqtt
from tests.inside import links_of
from tests.transport.dialing import dial, exchange, greet
from trio_mqtt import Listen, ListenError


async def refused(listen: Listen | str) -> str:
    with pytest.raises(ListenError) as caught:
        async with trio_mqtt.open_broker(listen):
            pass
    return str(caught.value)


def facts(path: Path) -> os.stat_result:
    return path.lstat()


async def test_messages_go_through_and_the_file_goes_with_the_broker(tmp_path: Path) -> None:
    path = tmp_path / "a b.sock"
    async with trio_mqtt.open_broker(f"unix://{tmp_path}/a%20b.sock") as broker:
        client = await greet(await dial(broker.url))
        await exchange(client, "t")
        (connection,) = links_of(broker)
        assert f"process {os.getpid()} of user {os.getuid()}" in connection.stream.peer
        await client.stream.aclose()
        assert stat.S_IMODE(facts(path).st_mode) == 0o660
    assert os.listdir(tmp_path) == []


async def test_mode_and_group_are_the_listeners(tmp_path: Path) -> None:
    path = tmp_path / "s"
    group = os.getgid()
    listen = Listen(f"unix://{path}", mode=0o600, group=str(group))
    before = os.umask(0o077)
    try:
        async with trio_mqtt.open_broker(listen):
            assert stat.S_IMODE(facts(path).st_mode) == 0o600
            assert facts(path).st_gid == group
        async with trio_mqtt.open_broker(f"unix://{path}?mode=666"):
            assert stat.S_IMODE(facts(path).st_mode) == 0o666
            assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)


async def test_a_socket_at_which_nobody_listens_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with trio_mqtt.open_broker(f"unix://{path}") as broker:
        client = await greet(await dial(broker.url))
        await client.stream.aclose()


async def test_a_socket_at_which_somebody_listens_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with trio_mqtt.open_broker(f"unix://{path}") as broker:
        assert "another broker may be running" in await refused(f"unix://{path}")
        client = await greet(await dial(broker.url))
        await client.stream.aclose()


async def test_a_file_of_somebody_else_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    assert "is no socket" in await refused(f"unix://{path}")
    assert path.read_text() == "mine"
    path.unlink()
    async with trio_mqtt.open_broker(f"unix://{path}"):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


async def test_what_cannot_be_is_explained(tmp_path: Path) -> None:
    assert "does not exist" in await refused(f"unix://{tmp_path}/no/s")
    assert "too long" in await refused(f"unix://{tmp_path}/{'x' * 200}")
    assert "no group 'no-such-group'" in await refused(
        Listen(f"unix://{tmp_path}/s", group="no-such-group")
    )
    assert os.listdir(tmp_path) == []


async def test_a_proxy_may_come_through_a_socket(tmp_path: Path) -> None:
    async with trio_mqtt.open_broker(f"unix://{tmp_path}/s?proxy=unix") as broker:
        stream = await dial(broker.url)
        await stream.send_all(b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 1883\r\n")
        client = await greet(stream)
        (connection,) = links_of(broker)
        assert connection.stream.peer == "1.2.3.4:1000"
        await client.stream.aclose()
