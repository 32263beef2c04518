"""Answers that may be long: sent part by part, so that others are served in between."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

_PART = 64 * 1024  # bytes


class JsonResponse(Response):
    """JSON that is written already."""

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
