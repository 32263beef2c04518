"""Streams in memory, as the client and the broker use streams."""

from __future__ import annotations

from typing import Any

import anyio
import trio
import trio.testing
from anyio.abc import ByteStream

ClientStream = trio.StapledStream[Any, Any]


def stream_pair(*, lockstep: bool = False) -> tuple[ClientStream, ClientStream]:
    """The client's end and the broker's end of a connection.

    What is sent waits in memory without bound; with `lockstep`, what the broker sends waits until
    the client reads.
    """
    if not lockstep:
        return trio.testing.memory_stream_pair()
    to_broker, from_client = trio.testing.memory_stream_one_way_pair()
    to_client, from_broker = trio.testing.lockstep_stream_one_way_pair()
    return trio.StapledStream(to_broker, from_broker), trio.StapledStream(to_client, from_client)


def sever(stream: ClientStream) -> None:
    """End a connection in both directions, without a word: `stream` is the broker's end."""
    stream.send_stream.close()
    stream.receive_stream.close()


class ClientByteStream(ByteStream):
    """A Trio stream as the client uses streams."""

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error
        if not data:
            raise anyio.EndOfStream
        return bytes(data)

    async def send(self, item: bytes) -> None:
        try:
            await self._stream.send_all(item)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()
