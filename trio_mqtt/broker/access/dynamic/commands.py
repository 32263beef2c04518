"""A message of commands: read, done to a state, answered. Nothing here waits or writes.

    request = Request(payload)
    hashes = [make_hash(password, "pbkdf2") for password in request.passwords]
    outcome = request.done_to(state, hashes)
    outcome.state, payload_of(outcome.responses)

The answers are those of Mosquitto's plugin, in its words, as far as its documentation has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trio_mqtt.broker.access.dynamic import client_commands, group_commands, role_commands
from trio_mqtt.broker.access.dynamic.command import Command, Handler
from trio_mqtt.broker.access.dynamic.draft import Draft
from trio_mqtt.broker.access.dynamic.fields import WrongFieldError
from trio_mqtt.broker.access.dynamic.records import State
from trio_mqtt.broker.access.dynamic.writing import pieces
from trio_mqtt.broker.access.files.hashes import PasswordHash

# All of them, by their names.
COMMANDS: Mapping[str, Handler] = {
    **client_commands.HANDLERS,
    **group_commands.HANDLERS,
    **role_commands.HANDLERS,
}

MOST_COMMANDS = 1_000  # of one message: they are done as one, and meanwhile no others are
_UNNAMED = "Unknown command"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message of commands has come to.

    `state` is the one before where nothing `changed`. `responses` are to be sent once the state is
    kept; where it cannot be, those of `unkept` are.
    """

    state: State
    changed: bool
    responses: Sequence[Mapping[str, object]]
    changing: Sequence[bool]

    def unkept(self, why: str) -> Sequence[Mapping[str, object]]:
        """The responses that refuse what was to be changed."""
        return [
            _refused(response, why) if changes else response
            for response, changes in zip(self.responses, self.changing, strict=True)
        ]


class Request:
    """The commands of one message, in their order."""

    def __init__(self, asked: bytes | Sequence[Mapping[str, object]]) -> None:
        """`asked` is the payload of the message, or the commands where they came otherwise."""
        self._problem: str | None = None
        self._commands: list[object] = []
        commands: object
        if isinstance(asked, bytes):
            try:
                document = json.loads(asked)
            except (ValueError, RecursionError):
                self._problem = "Payload not valid JSON"
                return
            commands = document.get("commands") if isinstance(document, dict) else None
        else:
            commands = list(asked)
        if not isinstance(commands, list):
            self._problem = "Invalid/missing commands"
        elif len(commands) > MOST_COMMANDS:
            self._problem = f"Too many commands: a message has {MOST_COMMANDS:,} at most"
        else:
            self._commands = [*commands]

    @property
    def passwords(self) -> list[bytes]:
        """What is to be hashed before the commands are done, which takes long."""
        return [
            password.encode(errors="surrogatepass")
            for one in self._commands
            if (password := _password(one)) is not None
        ]

    def done_to(self, state: State, hashes: Sequence[PasswordHash]) -> Outcome:
        """Do the commands, each whole or not at all, with the hashes of their `passwords`."""
        if self._problem is not None:
            return Outcome(state, False, [_unnamed(self._problem)], [False])
        draft, waiting = Draft(state), iter(hashes)
        responses: list[Mapping[str, object]] = []
        changing = []
        for one in self._commands:
            before = draft.changes
            password_hash = None if _password(one) is None else next(waiting)
            responses.append(_response(draft, one, password_hash))
            changing.append(draft.changes != before)
        changed = any(changing)
        return Outcome(draft.state() if changed else state, changed, responses, changing)


def refusal_of(why: str) -> bytes:
    """The payload of an answer to a request of which nothing was done."""
    return b"".join(payload_of([_unnamed(why)]))


def _unnamed(error: str) -> dict[str, object]:
    return {"command": _UNNAMED, "error": error}


def _password(one: object) -> str | None:
    """The password that a command brings, if there is something to hash."""
    if not isinstance(one, dict):
        return None
    password = one.get("password")
    return password if isinstance(password, str) and password else None


def _response(draft: Draft, one: object, password_hash: PasswordHash | None) -> dict[str, object]:
    if not isinstance(one, dict):
        return _unnamed("Command not an object")
    name, correlation = one.get("command"), one.get("correlationData")
    if not isinstance(name, str):
        return _unnamed("Missing command")
    if correlation is not None and not isinstance(correlation, str):
        return {"command": name, "error": "Invalid correlationData data type."}
    response: dict[str, object] = {"command": name}
    if correlation is not None:
        response["correlationData"] = correlation
    handler = COMMANDS.get(name)
    if handler is None:
        return response | {"error": "Unknown command"}
    try:
        data = handler(draft, Command(one, password_hash))
    except WrongFieldError as error:
        return response | {"error": str(error)}
    return response if data is None else response | {"data": data}


def _refused(response: Mapping[str, object], why: str) -> dict[str, object]:
    kept = {key: response[key] for key in ("command", "correlationData") if key in response}
    return kept | {"error": why}


def payload_of(responses: Sequence[Mapping[str, object]]) -> Iterator[bytes]:
    """The payload of an answer, piece by piece."""
    return (piece.encode() for piece in pieces({"responses": responses}))
