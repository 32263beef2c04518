"""What belongs together lies together, and no key is that of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trio_mqtt.cluster.engine.masters import slot_of
from trio_mqtt.cluster.keys import Keys

KEYS = Keys("test")
NAMES = st.text(alphabet="{}/:a+#", max_size=8)


@given(NAMES, NAMES)
def test_keys_of_one_filter_or_client_lie_together(one: str, other: str) -> None:
    for of in (KEYS.of_filter, KEYS.of_client):
        assert slot_of(of(one, "log")) == slot_of(of(one, "holders"))
        assert (of(one, "log") == of(other, "log")) == (one == other)
        assert of(one, "log") != of(other, "holders")
    assert KEYS.of_filter(one, "log") != KEYS.of_client(other, "log")


def test_what_nodes_share_lies_together() -> None:
    slots = {
        slot_of(key)
        for key in (KEYS.nodes, KEYS.changes, KEYS.durable, KEYS.of_node("n", "interest"))
    }
    assert len(slots) == 1
    assert len({slot_of(KEYS.inbox(f"n{number}")) for number in range(50)}) > 40


def test_slots_are_the_engines() -> None:
    # As `CLUSTER KEYSLOT` says.
    assert slot_of(b"foo") == 12182
    assert slot_of(b"{user1000}.following") == slot_of(b"{user1000}.followers") == 3443
    assert slot_of(b"foo{}{bar}") == 8363
    assert slot_of(b"foo{{bar}}zap") == slot_of(b"{bar")
