"""What the protocol knows of a connection and of deliveries is changed by the protocol alone.

`ServerConnection`, `ClientConnection`, `Sender` and `Receiver` keep their invariants by methods.
Some of what they know is a plain attribute, as a property would cost a call for each message: here
is what keeps others from changing it. The containers are of types that only read besides, for mypy.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("trio_mqtt", "cli")
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / "trio_mqtt" / "protocol")
)
# Attributes of ServerConnection and ClientConnection, of Sender, and of Receiver.
STATE = {"state", "violation", "unacknowledged", "receive_maximum", "topic_alias_maximum"}
STATE |= {"peer_receive_maximum", "peer_maximum_packet_size", "peer_topic_alias_maximum"}
STATE |= {"quota", "in_flight", "released", "reserved"}
STATE |= {"accepted"}
MUTATORS = {"add", "clear", "discard", "pop", "popitem", "remove", "setdefault", "update"}


def changes(source: str) -> list[str]:
    """Each place where a state that is not the writer's own is assigned, deleted or filled."""
    found = []
    for node in ast.walk(ast.parse(source)):
        changed: ast.expr | None = None
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value if isinstance(node, ast.Subscript) else node
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in MUTATORS
        ):
            changed = node.func.value
        if (
            isinstance(changed, ast.Attribute)
            and changed.attr in STATE
            # An object may have an attribute of its own that is called so.
            and not (isinstance(changed.value, ast.Name) and changed.value.id == "self")
        ):
            found.append(f"line {changed.lineno}: {ast.unparse(changed)}")
    return found


@pytest.mark.slow
def test_nobody_else_changes_it() -> None:
    assert len(FILES) > 100
    found = {str(path.relative_to(ROOT)): changes(path.read_text("utf-8")) for path in FILES}
    assert {path: where for path, where in found.items() if where} == {}


@pytest.mark.parametrize(
    "statement",
    [
        "protocol.violation = error",
        "connection.protocol.unacknowledged -= 1",
        "self.protocol.state, other = 1, 2",
        "session.sender.quota += 1",
        "session.sender.in_flight[1] = 2",
        "del sender.in_flight[packet_id]",
        "self.sender.released.clear()",
        "self._receiver.accepted |= received",
        "for receiver.accepted in others: pass",
    ],
)
def test_every_way_to_change_it_is_found(statement: str) -> None:
    assert len(changes(statement)) == 1


@pytest.mark.parametrize(
    "statement",
    ["quota = sender.quota", "self.violation = 1", "released.clear()", "sender.in_flight.get(1)"],
)
def test_reading_it_is_not_changing_it(statement: str) -> None:
    assert changes(statement) == []
