"""Asking an API from Trio: an answer, a list of any length, or what is told as it happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from tmqtt.terminal.sentences import CommandError

if TYPE_CHECKING:
    from tmqtt.connecting.api import Api
    from tmqtt.terminal.terminal import Terminal

_PAGE = 1_000  # what is answered at once, at most
_WAITING = 1_000  # what may wait to be shown


async def ask(api: Api, path: str, asked: Mapping[str, object]) -> Any:  # noqa: ANN401 # what JSON has
    """What there is. Raises CommandError."""
    return await trio.to_thread.run_sync(api.get, path, asked, abandon_on_cancel=True)


async def change(api: Api, path: str, asked: Mapping[str, object]) -> Any:  # noqa: ANN401 # what JSON has
    """Have something done; what it is answered. Raises CommandError."""
    return await trio.to_thread.run_sync(api.post, path, asked, abandon_on_cancel=True)


async def remove(api: Api, path: str, asked: Mapping[str, object]) -> Any:  # noqa: ANN401 # what JSON has
    """Have something removed; what it is answered. Raises CommandError."""
    return await trio.to_thread.run_sync(api.delete, path, asked, abandon_on_cancel=True)


async def ask_list(api: Api, path: str, asked: Mapping[str, object], limit: int) -> dict[str, Any]:
    """A list of so many things at most, put together from its pages. Raises CommandError."""
    answer = await ask(api, path, {**asked, "limit": min(limit, _PAGE)})
    items = answer["items"]
    while len(items) < min(limit, answer["total"]):
        page = {"offset": len(items), "limit": min(limit - len(items), _PAGE)}
        more = (await ask(api, path, {**asked, **page}))["items"]
        if not more:  # there are fewer by now
            break
        items += more
    return {**answer, "items": items}


async def follow(
    api: Api,
    path: str,
    asked: Mapping[str, object],
    terminal: Terminal,
    line: Callable[[Mapping[str, Any]], str],
    *,
    count: int | None,
    as_json: bool,
) -> None:
    """Show a line of each thing that is told, until there were so many.

    Raises CommandError where the broker refuses, or ends before.
    """
    send, told = trio.open_memory_channel[tuple[str, Any]](_WAITING)
    token = trio.lowlevel.current_trio_token()

    def tell(name: str, entry: Any) -> None:  # noqa: ANN401 # what JSON has
        trio.from_thread.run(send.send, (name, entry), trio_token=token)

    ended: CommandError | None = None  # why, which is told once all that came before is shown

    async def listen() -> None:
        nonlocal ended
        with send:
            try:
                await trio.to_thread.run_sync(
                    partial(api.follow, path, asked, tell), abandon_on_cancel=True
                )
            except CommandError as error:
                ended = error

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        left = count
        async for name, entry in told:
            if name == "missed":
                terminal.warn(f"{entry['count']:,} were left out, as they came too fast.")
                continue
            if as_json:
                terminal.output.json(entry)
            else:
                terminal.output.line(line(entry))
            if left is not None:
                left -= 1
                if not left:
                    break
        nursery.cancel_scope.cancel()
    if ended is not None and left != 0:
        raise ended
