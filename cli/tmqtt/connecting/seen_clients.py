"""How a client of a running broker is shown: a row of a list, and all about one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tmqtt.connecting.listing import UNKNOWN, Column, ago, figure, lasting, text, until
from tmqtt.terminal.figures import rate, size

_FOR_EVER = 0xFFFFFFFF

_CLIENT: Column = ("Client", text("client_id"), False)
_STATE: Column = ("State", lambda item: "connected" if item["connected"] else "away", False)
_QUEUED: Column = ("Queued", figure("queued_messages"), True)
_DROPPED: Column = ("Dropped", figure("dropped"), True)

COLUMNS: Sequence[Column] = (
    _CLIENT,
    _STATE,
    ("For", ago("since"), True),
    ("User", text("username"), False),
    ("Address", text("address"), False),
    ("MQTT", text("protocol"), False),
    ("Subscriptions", figure("subscriptions"), True),
    _QUEUED,
    ("In flight", figure("in_flight"), True),
    _DROPPED,
)


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


def _a_second(name: str, shown: Callable[[float], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda item: UNKNOWN if item["rates"] is None else shown(item["rates"][name])


# In place of those: both have no room in 80 columns.
RATES: Sequence[Column] = (
    _CLIENT,
    _STATE,
    ("In/s", _a_second("messages_in", rate), True),
    ("Out/s", _a_second("messages_out", rate), True),
    ("Bytes in/s", _a_second("bytes_in", size), True),
    ("Bytes out/s", _a_second("bytes_out", size), True),
    _QUEUED,
    _DROPPED,
)
FIELDS: Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]] = (
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
    ("Subscriptions", figure("subscriptions")),
    ("Queued", lambda item: f"{item['queued_messages']:,}, {size(item['queued_bytes'])}"),
    ("In flight", figure("in_flight")),
    ("Dropped", figure("dropped")),
    ("Rates", _rates),
)
