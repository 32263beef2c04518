"""Reading server-sent events, over a socket of one's own."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

import h11
import trio

from tests.web.conftest import TOKENS, Served


class EventStream:
    """One request for a stream, once it has begun."""

    def __init__(self, served: Served, path: str, role: str = "see", **params: str) -> None:
        self._role = role
        self._host, _, port = served.url.removeprefix("http://").rpartition(":")
        self._port = int(port)
        query = f"?{urlencode(params)}" if params else ""
        self._target = f"/api/v1{path}{query}"
        self._connection = h11.Connection(h11.CLIENT)
        self._text = b""

    async def __aenter__(self) -> EventStream:
        self._stream = await trio.open_tcp_stream(self._host, self._port)
        headers = [("Host", "broker"), ("Authorization", f"Bearer {TOKENS[self._role]}")]
        request = h11.Request(method="GET", target=self._target, headers=headers)
        asked = (self._connection.send(request) or b"") + (
            self._connection.send(h11.EndOfMessage()) or b""
        )
        with trio.fail_after(60):
            await self._stream.send_all(asked)
            response = await self._event()
        assert isinstance(response, h11.Response)
        self.status = response.status_code
        self.headers = {name.decode(): value.decode() for name, value in response.headers}
        if self.status == 200:
            assert await self._block() == ": begun"
        return self

    async def __aexit__(
        self, _type: type | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await trio.aclose_forcefully(self._stream)

    async def next(self) -> tuple[str, Any]:
        """The next event: its name, and what it says."""
        while True:
            block = await self._block()
            if not block.startswith(":"):
                name, data = block.split("\n")
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def _block(self) -> str:
        with trio.fail_after(60):
            while b"\n\n" not in self._text:
                event = await self._event()
                assert isinstance(event, h11.Data), event
                self._text += bytes(event.data)
        block, _, self._text = self._text.partition(b"\n\n")
        return block.decode()

    async def _event(self) -> object:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            self._connection.receive_data(await self._stream.receive_some())
        return event
