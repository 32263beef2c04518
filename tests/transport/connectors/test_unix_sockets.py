"""A client that connects to a path of the file system."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trio_mqtt import ConnectionFailedError, open_client

pytestmark = pytest.mark.anyio


async def test_a_unix_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    for path, words in [
        (tmp_path / "none", "There is no socket at .*none"),
        (plain, "No broker listens at .*plain"),
        (stale, "No broker listens at .*stale"),
        (Path("/" + "x" * 200), "cannot be connected to"),
    ]:
        with pytest.raises(ConnectionFailedError, match=words):
            async with open_client(f"unix://{path}"):
                pytest.fail("nobody listens there")


async def test_a_unix_socket_whose_queue_is_full_is_tried_until_the_time_out(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(ConnectionFailedError, match=r"did not answer within 0\.2 s"):
            async with open_client(f"unix://{path}", connect_timeout=0.2):
                pytest.fail("nobody accepts")


async def test_where_there_are_no_unix_sockets_that_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConnectionFailedError, match="has no Unix sockets"):
        async with open_client("unix:///run/mqtt.sock"):
            pytest.fail("there are none")
