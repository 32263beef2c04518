"""`tmqtt may`: ask a broker whether a client may do something."""

from __future__ import annotations

from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import ask
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal

_DONE = {"publish": "publish to", "subscribe": "subscribe to", "receive": "receive"}


async def show_answer(
    api: Api, terminal: Terminal, asked: Mapping[str, object], *, as_json: bool
) -> None:
    """Show whether it may, and which rule says so. Raises CommandError where it may not."""
    answer = await ask(api, "/may", asked)
    if as_json:
        terminal.output.json(answer)
    else:
        who, topic = escape(str(asked["client_id"])), escape(str(asked["topic"]))
        does = _DONE[str(asked["action"])]
        allowed = "may" if answer["allowed"] else "may not"
        terminal.output.line(f"{who} {allowed} {does} {topic}: {escape(answer['rule'])}")
        if not answer["known"]:
            terminal.say("No such client is known: it was asked for one that would come.")
        if answer["hooks"]:
            terminal.say("The program's hooks are asked as well, and may refuse it.")
    if not answer["allowed"]:
        raise CommandError("The client may not do that.")
