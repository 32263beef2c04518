"""`tmqtt client`: ask a broker for one client and its subscriptions, and show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask, ask_list
from tmqtt.connecting.listing import UNKNOWN, Column, figure, show_fields, show_page, text
from tmqtt.connecting.seen_clients import FIELDS
from tmqtt.terminal.terminal import Terminal

_MOST = 1_000  # subscriptions that are shown
_SUBSCRIPTIONS: Sequence[Column] = (
    ("Subscription", text("topic_filter"), False),
    ("QoS", figure("qos"), True),
    ("Waiting", figure("queued"), True),
    ("Rests", lambda item: "yes" if item["resting"] else UNKNOWN, False),
)


async def show_client(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Show it: in JSON without its subscriptions, which another command lists."""
    answer = await ask(api, "/client", asked)
    if as_json:
        terminal.output.json(answer)
        return
    show_fields(terminal, answer, FIELDS)
    if answer["subscriptions"]:
        terminal.output.line("")
        subscriptions = await ask_list(api, "/subscriptions", asked, _MOST)
        show_page(terminal, subscriptions, _SUBSCRIPTIONS, "subscription", as_json=False)
