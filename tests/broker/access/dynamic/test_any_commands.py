"""Whatever commands come: each is answered, and the state and its file stay whole."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt.broker.access.dynamic.commands import COMMANDS, Request
from trio_mqtt.broker.access.dynamic.document import Lines, load
from trio_mqtt.broker.access.dynamic.records import ACL_TYPES, State
from trio_mqtt.broker.access.dynamic.roles import DynamicRoles
from trio_mqtt.broker.access.files.hashes import make_hash

from .made import answers

NAMES = st.sampled_from(["a", "b", "c", "", "ü", "\ud800", "\0"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
PRIORITIES = st.integers(-3, 3) | st.integers() | ANYTHING
TOPICS = st.sampled_from(["a", "a/#", "+/b", "#", "$CONTROL/#", "a/#/b", "", "a\0"]) | NAMES
ACLS = st.fixed_dictionaries(
    {"acltype": st.sampled_from([*ACL_TYPES, "subscribe", "other"]), "topic": TOPICS},
    optional={"priority": PRIORITIES, "allow": st.booleans() | ANYTHING},
)


def lists(key: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.fixed_dictionaries({key: NAMES}, optional={"priority": PRIORITIES})
    return st.lists(one, max_size=3)


FIELDS = {
    "username": NAMES,
    "groupname": NAMES,
    "rolename": NAMES,
    "password": NAMES,
    "clientid": NAMES,
    "textname": NAMES,
    "priority": PRIORITIES,
    "acltype": st.sampled_from([*ACL_TYPES, "other"]),
    "topic": TOPICS,
    "allow": st.booleans(),
    "verbose": st.booleans(),
    "count": PRIORITIES,
    "offset": PRIORITIES,
    "acls": st.lists(ACLS, max_size=3),
    "roles": lists("rolename"),
    "groups": lists("groupname"),
    "clients": lists("username"),
    "correlationData": NAMES,
}
OPTIONAL = {
    key: values if key == "username" else values | ANYTHING for key, values in FIELDS.items()
}
COMMAND = st.fixed_dictionaries({"command": st.sampled_from(sorted(COMMANDS))}, optional=OPTIONAL)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(COMMAND | ANYTHING, max_size=8), max_size=3))
def test_any_commands_leave_a_whole_state(messages: list[list[object]]) -> None:
    state, lines = State(), Lines()
    for commands in messages:
        request = Request(json.dumps({"commands": commands}).encode())
        hashes = [make_hash(one, "pbkdf2") for one in request.passwords]
        outcome = request.done_to(state, hashes)
        assert len(answers(outcome)) == len(commands)
        assert outcome.changed is (outcome.state is not state)
        state = outcome.state
        lines.written(state)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dynamic.json"
        path.write_bytes(lines.written(state))
        assert load(path) == (state, ())
    roles = DynamicRoles(state)
    for name in (None, *state.clients, "nobody"):
        assert not roles.decide("publish", name, "a/b/c").text.endswith("\n")
        roles.decide("subscribe", name, "+/#")
