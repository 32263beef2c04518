"""Answers are written piece by piece, and are the same JSON as in one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt.broker.access.dynamic.views import Views
from trio_mqtt.broker.access.dynamic.writing import pieces

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(), inner),
    max_leaves=100,
)


@given(_VALUES)
def test_pieces_are_the_json_of_the_whole(value: object) -> None:
    assert "".join(pieces(value)) == json.dumps(value, separators=(",", ":"))


def test_no_piece_is_long_however_much_there_is() -> None:
    made = []

    def view(number: int) -> dict[str, object]:
        made.append(number)
        return {"username": f"user-{number}", "roles": [{"rolename": "r"}] * (number % 100)}

    value = {"responses": [{"data": {"clients": Views(range(10_000), view), "totalCount": 1}}]}
    longest = 0
    for piece in pieces(value):
        longest = max(longest, len(made))
        assert len(piece) < 70_000
        made.clear()
    assert 0 < longest <= 64  # looked at for how long they are, and made
    whole = json.loads("".join(pieces(value)))
    (response,) = whole["responses"]
    assert [one["username"] for one in response["data"]["clients"]] == [
        f"user-{number}" for number in range(10_000)
    ]


def test_no_piece_is_long_where_each_list_is_short() -> None:
    given = [{"rolename": "role", "priority": 1}] * 32
    users = [{"username": f"user-{number}", "roles": given} for number in range(32)]
    value = {"responses": [{"command": "listClients", "data": {"clients": users}}] * 32}
    assert max(map(len, pieces(value))) < 20_000
    assert "".join(pieces(value)) == json.dumps(value, separators=(",", ":"))
    texts = ["x" * 60_000] * 32
    assert max(map(len, pieces(texts))) < 200_000
