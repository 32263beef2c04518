"""Server-sent events: what an operation that streams answers, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import trio
from starlette.responses import Response

from trio_mqtt.errors import MqttError
from trio_mqtt.web.json_forms import plain, written

_SIGN_OF_LIFE = 15.0  # seconds of silence after which a comment says that it goes on


class Source(Protocol):
    """A trace, or a stream of events."""

    missed: int

    def __aiter__(self) -> AsyncIterator[object]:
        """What there is to tell."""


class EventStreamResponse(Response):
    """Answers with what a source tells, until it ends, the client goes, or may see it no more.

    Where the source does not begin, the answer is what `refused` makes of that.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AbstractContextManager[Source],
        name: str,
        may_go_on: Callable[[], bool],
        refused: Callable[[MqttError], Response],
    ) -> None:
        self._source = source
        self._refused = refused
        self._name = name
        self._may_go_on = may_go_on
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 # ASGI's
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if scope["method"] == "HEAD":  # which has no body, and so no end to wait for
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        with ExitStack() as stack:
            try:
                source = stack.enter_context(self._source)
            except MqttError as error:
                await self._refused(error)(scope, receive, send)
                return
            await send(start)
            await send(_part(b": begun\n\n"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_it_goes, receive, nursery.cancel_scope)
                await self._tell(source, send)
                nursery.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, source: Source, send: Any) -> None:  # noqa: ANN401 # ASGI's
        told, missed = aiter(source), 0
        while self._may_go_on():
            found: object = None
            with trio.move_on_after(_SIGN_OF_LIFE) as scope:
                try:
                    found = await anext(told)
                except StopAsyncIteration:
                    return
            if scope.cancelled_caught:
                await send(_part(b": still here\n\n"))
                continue
            if source.missed != missed:
                count, missed = source.missed - missed, source.missed
                await send(_part(_event("missed", written({"count": count}))))
            await send(_part(_event(self._name, written(_told(found)))))


def _told(found: object) -> object:
    """An event with its kind; what says itself what it is as it is."""
    if hasattr(found, "kind") or not dataclasses.is_dataclass(found):
        return found
    return {"kind": type(found).__name__, **plain(found)}


async def _until_it_goes(receive: Any, scope: trio.CancelScope) -> None:  # noqa: ANN401 # ASGI's
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _part(body: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
