"""Lines of a tree as it is opened, or as something is looked for in it: those that a list has."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tmqtt.topics import found as found_module
from tmqtt.topics.found import Found
from tmqtt.topics.node import Node
from tmqtt.topics.opened import Opened
from tmqtt.topics.shown import ShownLines
from tmqtt.topics.topics import Topics
from tmqtt.topics.tree import Tree

from trio_mqtt import Message

_NAMES = st.text(alphabet="ab/", min_size=1, max_size=7)


class Grown:
    """A tree that grows, and what it is to show."""

    def __init__(self) -> None:
        self._topics = Topics(0.0)
        self.tree = Tree()

    def add(self, *names: str) -> None:
        self._topics.add_all([Message(name, b"1", 0, False, False, {}) for name in names])
        self._topics.look(1.0)
        self.tree.update(self._topics.changed)

    def nodes(self) -> list[Node]:
        return lines(self.tree.root, lambda _node: True)


def lines(
    node: Node, is_open: Callable[[Node], bool], leads: dict[Node, str] | None = None,
    before: str = "",
) -> list[Node]:  # fmt: skip
    """The nodes below one as they are shown, the long way round; `leads` is given theirs."""
    found: list[Node] = []
    below = [node.below[name] for name in sorted(node.below)]
    shown = [one for one in below if is_open(node) or node.parent is None]
    for number, one in enumerate(shown):
        is_last, is_top = number == len(shown) - 1, node.parent is None
        if leads is not None:
            leads[one] = "" if is_top else before + ("└─ " if is_last else "├─ ")
        found.append(one)
        if is_open(one):
            further = "" if is_top else before + ("   " if is_last else "│  ")
            found += lines(one, is_open, leads, further)
    return found


def check(shown: Sequence[Node], wanted: list[Node], leads: dict[Node, str]) -> None:
    assert len(shown) == len(wanted)
    assert list(shown) == wanted
    assert [one.lead for one in wanted] == [leads[one] for one in wanted]
    for first in range(len(wanted) + 2):
        assert list(shown[first : first + 3]) == wanted[first : first + 3]
    for number, one in enumerate(wanted):
        assert one in shown
        assert shown.index(one) == number
        assert shown[number] is one
        assert shown[number - len(wanted)] is one
    with pytest.raises(IndexError):
        shown[len(wanted)]


@given(
    st.lists(
        st.tuples(st.just("add"), _NAMES)
        | st.tuples(st.sampled_from(["open", "close"]), st.integers(0, 50))
        | st.tuples(st.sampled_from(["open all", "close all", "fit"]), st.integers(0, 9)),
        max_size=30,
    )
)
def test_what_is_opened_and_closed_while_it_grows_is_shown(
    steps: list[tuple[str, str | int]],
) -> None:
    grown = Grown()
    opened = grown.tree.opened
    model: dict[Node, bool] = {}
    others = False
    for what, given_one in steps:
        if isinstance(given_one, str):
            grown.add(given_one)
        elif what in ("open", "close"):
            nodes = grown.nodes()
            if nodes:
                node = nodes[given_one % len(nodes)]
                opened.turn(node, opened=what == "open")
                if node.below:
                    model[node] = what == "open"
        elif what == "fit":
            opened.open_what_fits(given_one)
            model, others = {one: opened.is_open(one) for one in grown.nodes()}, False
            fitting = lines(grown.tree.root, opened.is_open)
            assert len(fitting) <= max(given_one, len(grown.tree.root.below))
        else:
            opened.turn_all(opened=what == "open all")
            model, others = {}, what == "open all"

        leads: dict[Node, str] = {}
        wanted = lines(grown.tree.root, partial(_is_open, model, others), leads)
        check(ShownLines(opened), wanted, leads)
        for node in grown.nodes():
            if node not in wanted:
                assert node not in ShownLines(opened)


def _is_open(model: dict[Node, bool], others: bool, node: Node) -> bool:  # of partial
    return bool(node.below) and model.get(node, others)


@given(st.lists(_NAMES, max_size=30), st.lists(_NAMES, max_size=10), st.text("ab/", max_size=3))
def test_what_is_looked_for_is_found_in_steps_also_in_what_comes(
    names: list[str], later: list[str], text: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found_module, "_AT_ONCE", 5)
        grown = Grown()
        grown.add(*names)
        found: Found | None = None
        for end in range(1, len(text) + 1):  # as it is typed
            pattern = re.compile(re.escape(text[:end]))
            found = (
                Found(grown.tree.root, grown.tree.ends, pattern)
                if found is None
                else found.narrowed(pattern)
            )
            found.step()
        grown.add(*later)
        if found is None:
            return
        for _ in range(200):
            if found.is_whole:
                break
            found.step()
        assert found.is_whole
    kept: set[Node] = set()
    for end_node in grown.tree.ends:
        assert end_node.topic is not None
        node: Node | None = end_node
        while text in end_node.topic.name and node is not None:
            kept.add(node)
            node = node.parent
    leads: dict[Node, str] = {}
    wanted = _kept_lines(grown.tree.root, kept, leads)
    check(ShownLines(found), wanted, leads)


def _kept_lines(root: Node, kept: set[Node], leads: dict[Node, str]) -> list[Node]:
    """The lines of a tree that has the kept nodes alone, all open."""
    copies: dict[Node, Node] = {}

    def copy(node: Node, parent: Node | None) -> Node:
        made = Node(node.level, parent)
        copies[made] = node
        made.below = {name: copy(one, made) for name, one in node.below.items() if one in kept}
        return made

    of_copies: dict[Node, str] = {}
    found = lines(copy(root, None), lambda node: bool(node.below), of_copies)
    leads.update({copies[one]: lead for one, lead in of_copies.items()})
    return [copies[one] for one in found]


def test_what_is_deep_is_no_deeper_than_a_screen() -> None:
    grown = Grown()
    grown.add("/".join("x" * 300), "/".join([*"x" * 299, "y"]))
    grown.tree.opened.turn_all(opened=True)
    shown = ShownLines(grown.tree.opened)
    assert len(shown) == 301
    assert max(len(one.lead) for one in shown) < 250
    assert isinstance(grown.tree.opened, Opened)
