"""`tmqtt dynsec`: have a broker do a command of dynamic security."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tmqtt.connecting.api import Api
from tmqtt.connecting.calls import change
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.terminal import Terminal


async def do_command(
    api: Api, terminal: Terminal, command: Mapping[str, object], *, as_json: bool
) -> None:
    """Have it done, and show what it tells. Raises CommandError where it could not be."""
    answer = await change(api, "/dynamic-security", {"commands": [command]})
    (response,) = answer["responses"]
    if as_json:
        terminal.output.json(response)
    elif response.get("data"):
        shown = json.dumps(response["data"], ensure_ascii=False, indent=2)
        for line in shown.splitlines():
            terminal.output.line(escape(line))
    if response.get("error"):
        raise CommandError(f"{command['command']}: {response['error']}.")
    if not as_json and not response.get("data"):
        terminal.say("Done.")
