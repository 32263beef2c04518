"""Harm: to fields and their lengths, and to the bytes that they become."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fuzz.grammar import Kind, Node, leaf

# Where decoders err: ends of ranges, what is no UTF-8, what means something elsewhere.
INTERESTING = (
    b"", b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00", b"\xff\xff", b"\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf", b"\x00\x04MQTT", b"\x26\x00\x01k\x00\x01v", b"\x23\x00\x01", b"\x0b\x00",
    b"/" * 300, b"+/" * 200, b"a" * 70_000, b"\x1b[31m[red]", b"$share/g/#",
)  # fmt: skip
# Bytes of repeated parts: larger packets are sent as repetitions of a step.
MAXIMUM_SIZE = 20_000
LIES = (-1, 1, -2, 2, 127, 128, 16_383, 65_535, 268_435_455, -100)


def harm(tree: Node, chance: random.Random, others: list[Node]) -> None:
    """Change one thing in a tree, in place. `others` are trees that parts may come from."""
    nodes = list(tree.walk())
    chance.choice(_HARMS)(chance.choice(nodes), nodes, chance, others)


def _lie(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    with_length = [one for one in nodes if one.kind in (Kind.TEXT, Kind.BLOCK)] or [node]
    chance.choice(with_length).lie = chance.choice(LIES)


def _lengthen(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    blocks = [one for one in nodes if one.kind is Kind.BLOCK] or [node]
    chance.choice(blocks).longer = chance.choice((1, 2, 3, 4))


def _replace(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    leaves = [one for one in nodes if one.kind is Kind.LEAF] or [node]
    chance.choice(leaves).data = chance.choice(INTERESTING)


def _flip(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    leaves = [one for one in nodes if one.kind is Kind.LEAF and one.data] or [node]
    one = chance.choice(leaves)
    if one.data:
        data = bytearray(one.data)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        one.data = bytes(data)


def _number(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    numbers = [one for one in nodes if one.kind is Kind.LEAF and 0 < len(one.data) <= 4] or [node]
    one = chance.choice(numbers)
    size = len(one.data)
    one.data = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))


def _twice(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    parents = [one for one in nodes if one.parts] or [node]
    one = chance.choice(parents)
    if one.parts:
        again = chance.choice(one.parts)
        if again.size < MAXIMUM_SIZE:
            times = chance.choice((1, 1, 1, 2, 30, 400, 3_000))
            times = min(times, MAXIMUM_SIZE // again.size)
            copies = [again.copy() for _ in range(times)]
            one.parts[chance.randrange(len(one.parts)) :] += copies


def _remove(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    parents = [one for one in nodes if one.parts] or [node]
    one = chance.choice(parents)
    if one.parts:
        del one.parts[chance.randrange(len(one.parts))]


def _swap(node: Node, nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    parents = [one for one in nodes if len(one.parts) > 1] or [node]
    chance.shuffle(chance.choice(parents).parts)


def _splice(node: Node, nodes: list[Node], chance: random.Random, others: list[Node]) -> None:
    parents = [one for one in nodes if one.parts] or [node]
    one = chance.choice(parents)
    source = chance.choice(others or [node])
    part = chance.choice(list(source.walk()))
    if part.size < MAXIMUM_SIZE:
        one.parts.insert(chance.randrange(len(one.parts) + 1), part.copy())


def _append(node: Node, _nodes: list[Node], chance: random.Random, _others: list[Node]) -> None:
    node.parts.append(leaf(chance.choice(INTERESTING)))


Harm = Callable[[Node, list[Node], random.Random, list[Node]], None]
_HARMS: tuple[Harm, ...] = (
    _lie, _lengthen, _replace, _flip, _number, _twice, _remove, _swap, _splice, _append
)  # fmt: skip


def harm_bytes(data: bytes, chance: random.Random) -> bytes:
    """Change some bytes, wherever they stand."""
    if not data:
        return data
    changed = bytearray(data)
    at = chance.randrange(len(changed))
    match chance.randrange(6):
        case 0:
            changed[at] ^= 1 << chance.randrange(8)
        case 1:
            changed[at : at + 1] = chance.choice(INTERESTING)
        case 2:
            del changed[at : at + chance.randint(1, 4)]
        case 3:
            changed[at:at] = chance.randbytes(chance.randint(1, 4))
        case 4:
            start = chance.randrange(len(changed))
            changed[at:at] = changed[start : start + chance.randint(1, 30)]
        case _:
            del changed[at:]
    return bytes(changed)
