"""States, requests and files of dynamic security, for its tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trio_mqtt.broker.access.dynamic.commands import Outcome, Request, payload_of
from trio_mqtt.broker.access.dynamic.document import Lines
from trio_mqtt.broker.access.dynamic.records import State
from trio_mqtt.broker.access.files.hashes import make_hash

CONTROL = "$CONTROL/dynamic-security/#"
# What `mosquitto_ctrl dynsec init` gives to its first user, as far as tests need it.
ADMIN = [
    {"acltype": "publishClientSend", "topic": CONTROL, "allow": True},
    {"acltype": "publishClientReceive", "topic": CONTROL, "allow": True},
    {"acltype": "subscribePattern", "topic": CONTROL, "allow": True},
    {"acltype": "subscribePattern", "topic": "#", "allow": True},
]


def do(state: State, *commands: object) -> Outcome:
    """Commands done to a state, in one message."""
    request = Request(json.dumps({"commands": commands}).encode())
    return request.done_to(state, [make_hash(one, "pbkdf2") for one in request.passwords])


def answers(outcome: Outcome) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(b"".join(payload_of(outcome.responses)))["responses"]
    return found


def changed(state: State, *commands: object) -> State:
    """The state after commands, none of which may fail."""
    outcome = do(state, *commands)
    assert not [answer for answer in answers(outcome) if "error" in answer]
    return outcome.state


def command(name: str, **fields: object) -> dict[str, object]:
    return {"command": name, **fields}


def with_admin(*commands: object) -> State:
    """A state with a user that may change all of it, and what commands make of it."""
    return changed(
        State(),
        command("createRole", rolename="admin", acls=ADMIN),
        command("createClient", username="admin", password="pw", roles=[{"rolename": "admin"}]),
        *commands,
    )


def saved(path: Path, state: State) -> Path:
    path.write_bytes(Lines().written(state))
    path.chmod(0o600)
    return path
