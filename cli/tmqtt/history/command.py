"""`tmqtt history`: ask a broker page by page, or read the file of one that does not run."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import fields, replace
from math import inf
from typing import TYPE_CHECKING, Any

import trio

import trio_mqtt
from tmqtt.connecting.calls import ask
from tmqtt.connecting.opening import open_connection, unanswered
from tmqtt.history.lines import Lines
from tmqtt.terminal.looks import Painter
from tmqtt.terminal.sentences import TIMED_OUT, CommandError
from trio_mqtt.history import (
    HistoryPage,
    HistoryQuery,
    KeptMessage,
    Point,
    decode_page,
    question_for,
)

if TYPE_CHECKING:
    from tmqtt.connecting.api import Api
    from tmqtt.connecting.settings import ConnectionOptions
    from tmqtt.terminal.terminal import Terminal

_TOPIC = "$history"
_Take = Callable[[HistoryPage], Awaitable[bool]]


async def show(
    query: HistoryQuery,
    connection: ConnectionOptions,
    terminal: Terminal,
    *,
    data: str | None,
    patience: float,
    as_json: bool,
) -> None:
    """Print what is found; `patience`, in seconds, is for connecting, and for each page."""

    async def pages(take: _Take) -> None:
        if data is None:
            await _ask(query, connection, terminal, patience, take)
        else:
            await _read(query, data, take)

    await _show(query, terminal, pages, as_json=as_json)


async def show_answered(
    query: HistoryQuery, api: Api, terminal: Terminal, *, as_json: bool
) -> None:
    """Print what a broker answers over HTTP."""

    async def pages(take: _Take) -> None:
        asked = {
            field.name: value
            for field in fields(query)
            if (value := getattr(query, field.name)) != field.default
        }
        page = _answered(await ask(api, "/history", asked))
        while await take(page) and page.next:
            page = _answered(await ask(api, "/history", {**asked, "after": page.next}))

    await _show(query, terminal, pages, as_json=as_json)


def _answered(answer: Mapping[str, Any]) -> HistoryPage:
    """A page as it was answered over HTTP."""
    messages = []
    for one in answer["messages"]:
        kind = one["content_type"]
        properties = (
            trio_mqtt.Properties() if kind is None else trio_mqtt.Properties(content_type=kind)
        )
        payload = b64decode(one["payload"])
        messages.append(
            KeptMessage(one["topic"], payload, one["at"], one["qos"], one["retain"], properties)
        )
    points = tuple(Point(**one) for one in answer["points"])
    return HistoryPage(tuple(messages), points, answer["next"])


async def _show(
    query: HistoryQuery,
    terminal: Terminal,
    pages: Callable[[_Take], Awaitable[None]],
    *,
    as_json: bool,
) -> None:
    """Print the pages that are taken, in the order of their time."""
    output = terminal.output
    paint = Painter().paint if output.is_terminal else None
    lines = Lines(as_json=as_json, path="" if query.every else query.path, paint=paint)
    newest_first: list[HistoryPage] = []
    count = 0

    async def take(page: HistoryPage) -> bool:
        nonlocal count
        if query.last is not None:
            newest_first.append(page)
        else:
            count += await _put(page, lines, terminal)
        return not output.closed

    await pages(take)
    for page in reversed(newest_first):
        count += await _put(page, lines, terminal)
    if not count and output.is_terminal:
        terminal.say("Nothing of that is kept.")


async def _put(page: HistoryPage, lines: Lines, terminal: Terminal) -> int:
    """Print a page; how many lines it has."""
    count = 0
    for message in page.messages:
        line = lines.message(message)
        if line is not None:
            terminal.output.put(line)
            count += 1
    for point in page.points:
        terminal.output.put(lines.point(point))
        count += 1
    await terminal.output.room()
    return count


async def _ask(
    query: HistoryQuery,
    connection: ConnectionOptions,
    terminal: Terminal,
    patience: float,
    take: _Take,
) -> None:
    """Have the pages taken that a broker answers."""
    with trio.CancelScope(deadline=trio.current_time() + patience) as connecting:
        async with open_connection(connection, terminal, reconnect=False) as client:
            connecting.deadline = inf
            page = await _page(query, client, patience)
            while await take(page) and page.next:
                page = await _page(replace(query, after=page.next), client, patience)
    if connecting.cancelled_caught:
        raise unanswered(connection, patience)


async def _page(query: HistoryQuery, client: trio_mqtt.Client, patience: float) -> HistoryPage:
    try:
        answer = await client.request(_TOPIC, question_for(query), timeout=patience)
    except TimeoutError:
        raise CommandError(f"No answer came within {patience:g} s.", TIMED_OUT) from None
    except trio_mqtt.RequestRefusedError as error:
        raise CommandError(
            f"This broker keeps no history, or you may not ask for it: {error}",
            error.reason_code,
        ) from error
    try:
        return decode_page(answer.payload)
    except trio_mqtt.LocalProtocolError as error:  # what the broker says of the question
        raise CommandError(str(error)) from error


async def _read(query: HistoryQuery, data: str, take: _Take) -> None:
    """Have the pages taken that are in the file of a broker that does not run."""
    from trio_mqtt.history import history_path, read_history

    with closing(read_history(history_path(data), query)) as pages:
        while page := await trio.to_thread.run_sync(next, pages, None):
            if not await take(page):
                return
