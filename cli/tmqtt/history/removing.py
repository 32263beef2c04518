"""`tmqtt history`: have a broker remove what it has kept, and tell what went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list, remove
from tmqtt.connecting.listing import UNKNOWN, Column, figure, show_done, show_page, text
from tmqtt.terminal.figures import counted
from tmqtt.terminal.terminal import Terminal

_MOST = 100_000  # rows, a few for each day


async def remove_messages(
    api: Api, terminal: Terminal, topic_filter: str, until: float | None, *, as_json: bool
) -> None:
    """Have removed what matches a filter and came before, and say how much that was."""
    answer = await remove(api, "/history", {"topic_filter": topic_filter, "until": until})
    sentence = f"{counted(answer['count'], 'message')} removed."
    show_done(terminal, answer, sentence, as_json=as_json)


async def show_removals(api: Api, terminal: Terminal, reason: str | None, *, as_json: bool) -> None:
    """Show what went, the latest first; for one reason, if that is given."""
    answer = await ask_list(api, "/history/removals", {"reason": reason}, _MOST)
    show_page(terminal, answer, _COLUMNS, "removal", as_json=as_json)


def _reason(item: Mapping[str, Any]) -> str:
    return _REASONS.get(item["reason"], str(item["reason"]))


def _moment(item: Mapping[str, Any], name: str) -> str:
    at = item[name]
    return UNKNOWN if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


_REASONS = {
    "age": "too old",
    "size": "no room",
    "messages": "too many of a topic",
    "asked": "asked for",
    "lost": "never kept: the disk was too slow, or full",
    "topics": "never kept: too many topics",
}
_COLUMNS: Sequence[Column] = (
    ("Day", text("day"), False),
    ("Messages", figure("messages"), True),
    ("Why", _reason, False),
    ("Filter", text("topic_filter"), False),
    ("From", lambda item: _moment(item, "oldest"), False),
    ("To", lambda item: _moment(item, "newest"), False),
)
