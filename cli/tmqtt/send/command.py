"""`tmqtt send`: have a broker publish a message, or send it to one client."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import change
from tmqtt.connecting.listing import show_done
from tmqtt.messages.payload_input import whole_file
from tmqtt.terminal.terminal import Terminal


async def send_message(
    api: Api,
    terminal: Terminal,
    asked: Mapping[str, object],
    *,
    text: str,
    file: str | None,
    as_json: bool,
) -> None:
    """Have it sent, and say so; its payload is a text, or what is in a file."""
    payload = os.fsencode(text) if file is None else await whole_file(file)
    asked = {**asked, "payload": base64.b64encode(payload).decode()}
    client = asked.get("client_id")
    path = "/messages" if client is None else "/client/messages"
    answer = await change(api, path, asked)
    if client is None:
        sentence = f"Published to {asked['topic']}."
    else:
        sentence = f"Sent to {client}, or it waits there."
    show_done(terminal, answer, sentence, as_json=as_json)
