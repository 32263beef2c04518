"""`tmqtt sessions`: ask a broker for its sessions, for what waits in one, or to end one."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask_list, remove
from tmqtt.connecting.listing import Column, ago, figure, show_done, show_page, text, until
from tmqtt.terminal.escaping import escape_payload
from tmqtt.terminal.terminal import Terminal

_SHOWN = 40  # characters of a payload

_SESSIONS: Sequence[Column] = (
    ("Client", text("client_id"), False),
    ("State", lambda item: "connected" if item["connected"] else "away", False),
    ("For", ago("since"), True),
    ("Ends in", until("expires_at"), True),
    ("Subscriptions", figure("subscriptions"), True),
    ("Queued", figure("queued_messages"), True),
    ("Bytes", figure("queued_bytes"), True),
    ("In flight", figure("in_flight"), True),
    ("Dropped", figure("dropped"), True),
)
_QUEUE: Sequence[Column] = (
    ("Topic", text("topic"), False),
    ("QoS", figure("qos"), True),
    ("Bytes", figure("size"), True),
    ("For", ago("received_at"), True),
    ("State", text("state"), False),
    ("Subscription", text("topic_filter"), False),
    ("Payload", lambda item: escape_payload(base64.b64decode(item["payload"]), _SHOWN), False),
)


async def show_sessions(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show so many of them."""
    answer = await ask_list(api, "/clients", asked, limit)
    show_page(terminal, answer, _SESSIONS, "session", as_json=as_json)


async def show_queue(
    api: Api, terminal: Terminal, asked: Mapping[str, object], limit: int, *, as_json: bool
) -> None:
    """Show what is on its way to a client."""
    answer = await ask_list(api, "/session/queue", asked, limit)
    show_page(terminal, answer, _QUEUE, "message", as_json=as_json)


async def end_session(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """End a session."""
    answer = await remove(api, "/session", asked)
    sentence = f"The session of {asked['client_id']} has ended."
    show_done(terminal, answer, sentence, as_json=as_json)
