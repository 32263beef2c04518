"""Where settings stand: their places in the tree, and on which lines of a TOML file these are.

Python's own parser does not tell lines. The values are that parser's; only lines are taken from the
other one, and only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tree_sitter import Node

# The keys from the root to a setting; those of arrays are numbers.
Place: TypeAlias = tuple[str | int, ...]


def dotted(place: Place) -> str:
    """The name of a setting, as options take it: `limits.maximum_connections`."""
    return ".".join(map(str, place))


def lines_of(text: str) -> dict[Place, int]:
    """The line on which each table and each value begins, by its keys."""
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    root = Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node
    found: dict[Place, int] = {}
    # How many tables each array of tables has until now.
    counts: dict[Place, int] = {}
    for node in root.named_children:
        match node.type:
            case "pair":
                _note(node, (), found)
            case "table":
                _note_table(node, _entered(_keys(node.named_children[0]), counts), found)
            case "table_array_element":
                keys = _keys(node.named_children[0])
                array = (*_entered(keys[:-1], counts), keys[-1])
                number = counts[array] = counts.get(array, -1) + 1
                found.setdefault(array, node.start_point.row + 1)
                _note_table(node, (*array, number), found)
    return found


def _entered(keys: tuple[str, ...], counts: dict[Place, int]) -> Place:
    """Where keys lead: through an array of tables, into the last of these."""
    place: Place = ()
    for key in keys:
        place = (*place, key)
        if place in counts:
            place = (*place, counts[place])
    return place


def _note_table(node: Node, place: Place, found: dict[Place, int]) -> None:
    for length in range(1, len(place) + 1):
        found.setdefault(place[:length], node.start_point.row + 1)
    for pair in node.named_children[1:]:
        if pair.type == "pair":
            _note(pair, place, found)


def _note(pair: Node, above: Place, found: dict[Place, int]) -> None:
    """Note a key with its value, and what is in this."""
    keys, value = (child for child in pair.named_children if child.type != "comment")
    place: Place = above
    for key in _keys(keys):
        place = (*place, key)
        found.setdefault(place, pair.start_point.row + 1)
    _note_value(value, place, found)


def _note_value(value: Node, place: Place, found: dict[Place, int]) -> None:
    found.setdefault(place, value.start_point.row + 1)
    if value.type == "inline_table":
        for pair in _without_comments(value):
            _note(pair, place, found)
    elif value.type == "array":
        for number, entry in enumerate(_without_comments(value)):
            _note_value(entry, (*place, number), found)


def _without_comments(node: Node) -> Iterator[Node]:
    return (child for child in node.named_children if child.type != "comment")


def _keys(node: Node) -> tuple[str, ...]:
    """The keys that a dotted key or a single one names."""
    if node.type == "dotted_key":
        return tuple(key for child in node.named_children for key in _keys(child))
    text = (node.text or b"").decode()
    if node.type != "quoted_key":
        return (text,)
    import tomllib  # which a broker without a file does without

    return (str(tomllib.loads(f"key = {text}")["key"]),)  # it has the escapes of strings
