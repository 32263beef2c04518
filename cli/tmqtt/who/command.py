"""`tmqtt who`: ask a broker whom a message would reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list
from tmqtt.connecting.listing import Column, figure, show_page, text
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal

_COLUMNS: Sequence[Column] = (
    ("Client", text("client_id"), False),
    ("Gets it", lambda item: "yes" if item["gets_it"] else "no", False),
    ("QoS", figure("qos"), True),
    ("Subscription", text("topic_filter"), False),
    ("State", lambda item: "connected" if item["connected"] else "away", False),
    ("Why not", text("why_not"), False),
)


async def show_recipients(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show so many of them. Raises CommandError where nobody would get it."""
    answer = await ask_list(api, "/who", asked, limit)
    show_page(terminal, answer, _COLUMNS, "subscription", as_json=as_json)
    if not answer["published"]:
        raise CommandError(f"It would not be published: {answer['why_not']}")
    if not answer["elsewhere"] and not any(item["gets_it"] for item in answer["items"]):
        raise CommandError("Nobody would get it.")
