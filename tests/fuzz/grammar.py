"""Packets as trees of fields, written by no encoder of the library's: they may be anything.

What properties there are, and who carries them, is the standard's table as the library has it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from trio_mqtt.protocol.properties import TABLE, Carrier, Property, WireType

V31, V311, V5 = 3, 4, 5


class Kind(Enum):
    """How a node is written."""

    LEAF = "bytes as they are"
    GROUP = "its parts, one after the other"
    TEXT = "its parts, after their length in two bytes"
    BLOCK = "its parts, after their length as a variable byte integer"


@dataclass
class Node:
    """A field, or fields together. `lie` is added to the length that is written."""

    kind: Kind
    data: bytes = b""
    parts: list[Node] = field(default_factory=list)
    lie: int = 0
    longer: int = 0  # bytes that a variable byte integer takes more than it need

    def encode(self) -> bytes:
        body = self.data + b"".join(part.encode() for part in self.parts)
        length = max(0, len(body) + self.lie)
        if self.kind is Kind.TEXT:
            return (length & 0xFFFF).to_bytes(2, "big") + body
        if self.kind is Kind.BLOCK:
            return variable(length, self.longer) + body
        return body

    def walk(self) -> Iterator[Node]:
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def size(self) -> int:
        """About how many bytes it takes; a node without any counts, too, for it takes time."""
        return len(self.data) + 1 + sum(part.size for part in self.parts)

    def copy(self) -> Node:
        parts = [part.copy() for part in self.parts]
        return Node(self.kind, self.data, parts, self.lie, self.longer)


def variable(value: int, longer: int = 0) -> bytes:
    """A variable byte integer (MQTT 5.0 §1.5.5), and so many bytes more than it need be."""
    digits = []
    while True:
        digits.append(value & 0x7F)
        value >>= 7
        if not value:
            break
    digits += [0] * longer
    return bytes(digit | 0x80 for digit in digits[:-1]) + bytes(digits[-1:])


def leaf(data: bytes) -> Node:
    return Node(Kind.LEAF, data)


def number(value: int, size: int) -> Node:
    return leaf(value.to_bytes(size, "big"))


def text(value: str | bytes) -> Node:
    raw = value.encode() if isinstance(value, str) else value
    return Node(Kind.TEXT, parts=[leaf(raw)])


def group(*parts: Node) -> Node:
    return Node(Kind.GROUP, parts=list(parts))


def packet(first: int, *parts: Node) -> Node:
    return group(leaf(bytes((first,))), Node(Kind.BLOCK, parts=list(parts)))


# What clients call themselves and speak of. Few, so that they meet each other.
CLIENTS = ("one", "two", "three", "four", "five", "#", "a/b", "%c", "é\u202etxt")
TOPICS = (
    "fuzz/a", "fuzz/b", "fuzz/a/b", "fuzz//", "fuzz/é", "fuzz/$x", "own/one/x", "own/#/x",
    "secret/plan", "pair/0", "$SYS/broker/uptime", "$share/g/fuzz/a", "fuzz/" + "a/" * 40, "drop/x",
)  # fmt: skip
FILTERS = (
    *TOPICS, "#", "+", "+/+", "fuzz/#", "fuzz/+", "fuzz/+/b", "+/a/#", "$SYS/#", "$share/g/fuzz/+",
    "$share/h/#", "$share/g/fuzz/#", "$share//x", "$share/g", "$share/g/", "$share/+/x", "secret/#",
    "pair/#", "own/+/x", "fuzz/" + "+/" * 30 + "#", "fuzz/a#", "fuzz/#/b", "+a", "",
)  # fmt: skip
USERS = ("ann", "pair", "", "#")
PASSWORDS = (b"wrong", b"", b"\x00\xff", b"ann")
METHODS = ("SCRAM-SHA-256", "X", "")
PAYLOADS = (b"", b"x", b"\x00", bytes(200), b"{}", "é".encode(), bytes(5_000))


_USER_PROPERTY = next(row for row in TABLE if row.name == "user_property")


class Grammar:
    """Valid packets of one version, drawn by chance."""

    ACKNOWLEDGEMENTS = (
        (0x40, Carrier.PUBACK), (0x50, Carrier.PUBREC), (0x62, Carrier.PUBREL),
        (0x70, Carrier.PUBCOMP),
    )  # fmt: skip

    def __init__(self, chance: random.Random, version: int) -> None:
        self.chance = chance
        self.version = version
        self._makers: dict[str, Callable[[], Node]] = {
            "publish": self.publish,
            "subscribe": self.subscribe,
            "unsubscribe": self.unsubscribe,
            "puback": lambda: self.acknowledgement(0x40, Carrier.PUBACK),
            "pubrec": lambda: self.acknowledgement(0x50, Carrier.PUBREC),
            "pubrel": lambda: self.acknowledgement(0x62, Carrier.PUBREL),
            "pubcomp": lambda: self.acknowledgement(0x70, Carrier.PUBCOMP),
            "pingreq": lambda: packet(0xC0),
            "disconnect": self.disconnect,
        }
        if version == V5:
            self._makers["auth"] = self.auth

    def any(self) -> Node:
        """A packet that a client may send once it is connected."""
        weights = {"publish": 8, "subscribe": 5, "unsubscribe": 2, "pubrel": 3}
        kinds = list(self._makers)
        (kind,) = self.chance.choices(kinds, [weights.get(kind, 1) for kind in kinds])
        return self._makers[kind]()

    def packet_id(self) -> int:
        return self.chance.choice((1, 1, 2, 3, 4, 65_535, self.chance.randint(1, 65_535)))

    def connect(
        self, client_id: str | None = None, *, clean: bool | None = None, user: str | None = None
    ) -> Node:
        chance = self.chance
        clean = chance.random() < 0.5 if clean is None else clean
        flags = clean << 1
        if client_id is None:
            client_id = chance.choice(CLIENTS)
        payload = [text(client_id)]
        if chance.random() < 0.25:
            flags |= 0x04 | chance.randrange(3) << 3 | (chance.random() < 0.3) << 5
            if self.version == V5:
                payload.append(self.properties(Carrier.WILL))
            payload += [text(chance.choice(TOPICS)), text(chance.choice(PAYLOADS))]
        if user is None and chance.random() < 0.1:
            user = chance.choice(USERS)
        if user is not None:
            flags |= 0xC0
            payload += [text(user), text(chance.choice(PASSWORDS))]
        properties = []
        if self.version == V5:
            properties.append(self.properties(Carrier.CONNECT, without={"authentication_data"}))
        keep_alive = chance.choice((0, 1, 5, 60, 65_535))
        name = "MQIsdp" if self.version == V31 else "MQTT"
        return packet(
            0x10, text(name), number(self.version, 1), number(flags, 1), number(keep_alive, 2),
            *properties, *payload,
        )  # fmt: skip

    def publish(self, topic: str | None = None, qos: int | None = None) -> Node:
        chance = self.chance
        qos = chance.randrange(3) if qos is None else qos
        first = 0x30 | qos << 1 | (chance.random() < 0.2)
        if qos and chance.random() < 0.1:
            first |= 0x08
        parts = [text(chance.choice(TOPICS) if topic is None else topic)]
        if qos:
            parts.append(number(self.packet_id(), 2))
        if self.version == V5:
            parts.append(self.properties(Carrier.PUBLISH, without={"subscription_identifier"}))
        return packet(first, *parts, leaf(chance.choice(PAYLOADS)))

    def subscribe(self, topic_filter: str | None = None) -> Node:
        chance = self.chance
        parts = [number(self.packet_id(), 2)]
        if self.version == V5:
            parts.append(self.properties(Carrier.SUBSCRIBE))
        for _ in range(chance.choice((1, 1, 1, 1, 2, 2, 5, 200))):
            options = chance.randrange(3)
            if self.version == V5 and chance.random() < 0.3:
                options |= chance.randrange(3) << 4 | chance.randrange(4) << 2
            wanted = chance.choice(FILTERS) if topic_filter is None else topic_filter
            parts += [text(wanted), number(options, 1)]
        return packet(0x82, *parts)

    def unsubscribe(self) -> Node:
        parts = [number(self.packet_id(), 2)]
        if self.version == V5:
            parts.append(self.properties(Carrier.UNSUBSCRIBE))
        count = self.chance.choice((1, 1, 2, 5))
        return packet(
            0xA2, *parts, *(text(self.chance.choice(FILTERS)) for _ in range(count))
        )  # fmt: skip

    def acknowledgement(self, first: int, carrier: Carrier) -> Node:
        chance = self.chance
        parts = [number(self.packet_id(), 2)]
        if self.version == V5 and chance.random() < 0.3:
            is_release = carrier in (Carrier.PUBREL, Carrier.PUBCOMP)
            codes = (0, 0x92) if is_release else (0, 0x10, 0x80, 0x97)
            parts += [number(chance.choice(codes), 1), self.properties(carrier)]
        return packet(first, *parts)

    def disconnect(self) -> Node:
        if self.version != V5 or self.chance.random() < 0.3:
            return packet(0xE0)
        code = self.chance.choice((0, 4, 0x80, 0x82, 0x98))
        return packet(
            0xE0, number(code, 1),
            self.properties(Carrier.DISCONNECT, without={"server_reference"}),
        )  # fmt: skip

    def auth(self) -> Node:
        code = self.chance.choice((0, 0x18, 0x19))
        return packet(0xF0, number(code, 1), self.properties(Carrier.AUTH))

    def properties(
        self, carrier: Carrier, without: frozenset[str] | set[str] = frozenset()
    ) -> Node:
        """None most of the time, else some of those that this carrier may have."""
        chance = self.chance
        if chance.random() < 0.5:
            return Node(Kind.BLOCK)
        rows = [row for row in TABLE if carrier in row.carriers and row.name not in without]
        chosen = chance.sample(rows, min(len(rows), chance.choice((1, 1, 2, 4))))
        parts = [self.property(row) for row in chosen]
        if chance.random() < 0.03:
            parts += [
                self.property(_USER_PROPERTY) for _ in range(chance.choice((2, 30, 400, 900)))
            ]
        return Node(Kind.BLOCK, parts=parts)

    def property(self, row: Property) -> Node:
        return group(leaf(variable(row.identifier)), self._value(row))

    def _value(self, row: Property) -> Node:
        chance = self.chance
        inside = [n for n in (1, 2, 3, 10, 1_000, row.maximum) if row.minimum <= n <= row.maximum]
        some = chance.choice([row.minimum, *inside])
        match row.type:
            case WireType.BYTE:
                return number(some & 0xFF, 1)
            case WireType.TWO_BYTE_INTEGER:
                return number(some & 0xFFFF, 2)
            case WireType.FOUR_BYTE_INTEGER:
                return number(some, 4)
            case WireType.VARIABLE_BYTE_INTEGER:
                return leaf(variable(some))
            case WireType.BINARY:
                return text(chance.choice(PAYLOADS[:5]))
            case WireType.UTF8_PAIR:
                return group(text(chance.choice(("k", "", "é"))), text(chance.choice(("v", ""))))
            case WireType.UTF8:
                if row.name == "authentication_method":
                    return text(chance.choice(METHODS))
                return text(chance.choice((*TOPICS[:4], "", "text/plain")))
