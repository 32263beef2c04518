"""Topic aliases that the broker sets for one client (MQTT 5.0 §3.3.2.3.4): for what recurs."""

from __future__ import annotations

from trio_mqtt.protocol.wire import encode_variable_byte_integer

HOT = 2  # a topic that was sent so often before gets an alias
WORTH_IT = 5  # bytes: an alias takes three, and shorter topics gain nothing by it


class TopicAliases:
    """Which topics have an alias on one connection, and the packets that use them.

    There are at most `maximum` aliases. A topic gets one when it recurs among the latest few, if
    need be that of the topic that was not sent for the longest time. So topics that all come once
    push nobody out.
    """

    __slots__ = ("_maximum", "_numbers", "_seen")

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._numbers: dict[str, int] = {}  # the topic sent last comes last
        self._seen: dict[str, int] = {}

    def whole(self, topic: str, packet: bytes, maximum: int | None) -> bytes:
        """A packet of QoS 0, by its alias if the topic has one.

        What would be larger than `maximum` for being given an alias is left as it is.
        """
        at = _after_length(packet)
        at += 2 + (packet[at] << 8 | packet[at + 1])
        before, after = self.parts(topic, packet[:at], packet[at:], maximum, identifier_size=0)
        return before + after

    def parts(
        self,
        topic: str,
        before: bytes,
        after: bytes,
        maximum: int | None,
        *,
        identifier_size: int = 2,
    ) -> tuple[bytes, bytes]:
        """The same for what precedes and follows the packet identifier."""
        numbers = self._numbers
        alias = numbers.pop(topic, None)
        if alias is not None:
            numbers[topic] = alias
            return _with_alias(before, after, alias, b"\0\0", identifier_size)
        if not self._is_hot(topic):
            return before, after
        coldest = next(iter(numbers)) if len(numbers) >= self._maximum else None
        alias = len(numbers) + 1 if coldest is None else numbers[coldest]
        name = before[_after_length(before) :]
        with_alias = _with_alias(before, after, alias, name, identifier_size)
        if maximum is not None and sum(map(len, with_alias)) + identifier_size > maximum:
            return before, after
        if coldest is not None:
            del numbers[coldest]
        numbers[topic] = alias
        self._seen.pop(topic, None)
        return with_alias

    def _is_hot(self, topic: str) -> bool:
        """Note that a topic without alias is sent; whether it is time to give it one."""
        if len(topic) < WORTH_IT:
            return False
        seen = self._seen
        count = seen.get(topic, 0)
        if not count and len(seen) >= 2 * self._maximum:
            seen.clear()
        seen[topic] = count + 1
        return count >= HOT


def _after_length(packet: bytes) -> int:
    """Where the remaining length of a packet ends."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return at + 1


def _with_alias(
    before: bytes, after: bytes, alias: int, name: bytes, identifier_size: int
) -> tuple[bytes, bytes]:
    length = at = 0
    while True:
        byte = after[at]
        length |= (byte & 0x7F) << 7 * at
        at += 1
        if byte < 0x80:
            break
    properties = encode_variable_byte_integer(length + 3) + b"\x23" + alias.to_bytes(2, "big")
    size = len(name) + identifier_size + len(properties) + len(after) - at
    return before[:1] + encode_variable_byte_integer(size) + name, properties + after[at:]
