"""Answers that may be long, sent part by part; and whoever goes on sending hears theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Send

_PART = 64 * 1024  # bytes


class JsonResponse(Response):
    """JSON that is written already; between two parts of it others are served."""

    media_type = "application/json"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 # ASGI's
        del scope, receive
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        body, at = bytes(self.body), 0
        while True:
            part = body[at : at + _PART]
            at += _PART
            is_last = at >= len(body)
            await send({"type": "http.response.body", "body": part, "more_body": not is_last})
            if is_last:
                return


async def send_reading_on(receive: Receive, send: Send, message: Message) -> None:
    """Send a part of an answer, and with the last what is left of the body is read.

    The server hands over a body by a queue, and at the end of an answer says there that it ends:
    where whoever asks sends on, it is full, and who answers would wait for themselves.
    """
    if message["type"] != "http.response.body" or message.get("more_body", False):
        await send(message)
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_read_on, receive)
        await send(message)
        nursery.cancel_scope.cancel()


async def _read_on(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
