"""`tmqtt client`: ask a broker for one client and its subscriptions, and show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask, ask_list
from tmqtt.connecting.listing import (
    UNKNOWN,
    Column,
    ago,
    figure,
    lasting,
    show_fields,
    show_page,
    text,
    until,
)
from tmqtt.terminal.figures import size
from tmqtt.terminal.terminal import Terminal

_FOR_EVER = 0xFFFFFFFF
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
        terminal.output.line(json.dumps(answer, ensure_ascii=False))
        return
    show_fields(terminal, answer, _FIELDS)
    if answer["subscriptions"]:
        terminal.output.line("")
        subscriptions = await ask_list(api, "/subscriptions", asked, _MOST)
        show_page(terminal, subscriptions, _SUBSCRIPTIONS, "subscription", as_json=False)


def _keep_alive(item: Mapping[str, Any]) -> str:
    return f"{item['keep_alive']} s" if item["keep_alive"] else UNKNOWN


def _outlives(item: Mapping[str, Any]) -> str:
    interval = item["expiry_interval"]
    if interval == _FOR_EVER:
        return "for ever"
    return lasting(interval) if interval else UNKNOWN


def _will(item: Mapping[str, Any]) -> str:
    will = item["will"]
    if will is None:
        return UNKNOWN
    retained = ", retained" if will["retain"] else ""
    return f"{will['topic']}, {size(will['size'])}, QoS {will['qos']}{retained}"


def _rates(item: Mapping[str, Any]) -> str:
    rates = item["rates"]
    if rates is None:
        return UNKNOWN
    return (
        f"in {rates['messages_in']:,.1f} messages/s, {size(rates['bytes_in'])}/s;"
        f" out {rates['messages_out']:,.1f} messages/s, {size(rates['bytes_out'])}/s"
    )


_FIELDS = (
    ("Client", text("client_id")),
    ("Mount point", text("mount_point")),
    ("State", lambda item: "connected" if item["connected"] else "away"),
    ("For", ago("since")),
    ("User", text("username")),
    ("Address", text("address")),
    ("Listener", text("listener")),
    ("MQTT", text("protocol")),
    ("Keep alive", _keep_alive),
    ("Session lasts", _outlives),
    ("Session ends in", until("expires_at")),
    ("Will", _will),
    ("Queued", lambda item: f"{item['queued_messages']:,}, {size(item['queued_bytes'])}"),
    ("In flight", figure("in_flight")),
    ("Dropped", figure("dropped")),
    ("Rates", _rates),
)
