"""`tmqtt subscriptions`: ask a broker for subscriptions, or to give or take one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list, change, remove
from tmqtt.connecting.listing import UNKNOWN, Column, figure, show_done, show_page, text
from tmqtt.terminal.terminal import Terminal

_COLUMNS: Sequence[Column] = (
    ("Client", text("client_id"), False),
    ("Subscription", text("topic_filter"), False),
    ("QoS", figure("qos"), True),
    ("Waiting", figure("queued"), True),
    ("Rests", lambda item: "yes" if item["resting"] else UNKNOWN, False),
)


async def show_subscriptions(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show so many of them."""
    answer = await ask_list(api, "/subscriptions", asked, limit)
    show_page(terminal, answer, _COLUMNS, "subscription", as_json=as_json)


async def give_subscription(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Give a client one."""
    answer = await change(api, "/client/subscriptions", asked)
    sentence = f"{asked['client_id']} has the subscription {asked['topic_filter']}."
    show_done(terminal, answer, sentence, as_json=as_json)


async def take_subscription(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Take one from a client."""
    answer = await remove(api, "/client/subscriptions", asked)
    sentence = f"{asked['client_id']} has no subscription {asked['topic_filter']} any more."
    show_done(terminal, answer, sentence, as_json=as_json)
