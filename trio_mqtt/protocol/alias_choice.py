"""Topic aliases that one side sends (MQTT 5.0 §3.3.2.3.4): which topics get one, and how it is
written into a PUBLISH."""

from __future__ import annotations

from trio_mqtt.protocol.wire import encode_variable_byte_integer

_HOT = 2  # a topic that was sent so often before gets an alias
_WORTH_IT = 5  # bytes: an alias takes three, and shorter topics gain nothing by it


class AliasChoice:
    """Which topics have an alias on one connection, of which the receiver allows `maximum`.

    A topic gets one when it recurs among the latest few, if need be that of the topic that was not
    sent for the longest time. So topics that all come once push nobody out.
    """

    __slots__ = ("_maximum", "_numbers", "_seen")

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._numbers: dict[str, int] = {}  # the topic sent last comes last
        self._seen: dict[str, int] = {}

    def known(self, topic: str) -> int:
        """The alias of a topic that is sent now; 0 where it has none."""
        numbers = self._numbers
        alias = numbers.pop(topic, 0)
        if alias:
            numbers[topic] = alias
        return alias

    def offered(self, topic: str) -> int:
        """Note that a topic without alias is sent; that which it can have now, 0 for none yet.

        It has it once it is told by `give`.
        """
        if len(topic) < _WORTH_IT:
            return 0
        seen, numbers = self._seen, self._numbers
        count = seen.get(topic, 0)
        if not count and len(seen) >= 2 * self._maximum:
            seen.clear()
        seen[topic] = count + 1
        if count < _HOT:
            return 0
        if len(numbers) < self._maximum:
            return len(numbers) + 1
        return next(iter(numbers.values()))

    def give(self, topic: str, alias: int) -> None:
        """A topic is sent with the alias that it was just `offered`."""
        numbers = self._numbers
        if len(numbers) >= self._maximum:
            del numbers[next(iter(numbers))]
        numbers[topic] = alias
        self._seen.pop(topic, None)


def with_alias(
    before: bytes, after: bytes, alias: int, name: bytes, beside: int
) -> tuple[bytes, bytes]:
    """What is sent of a PUBLISH before and after its packet identifier, with an alias added.

    `before` begins with the fixed header, `after` with the properties; `name` is the topic with its
    length, or that of no topic. `beside` are the bytes of the packet that stand in neither: the
    packet identifier, and the payload where `after` ends before that.
    """
    length = at = 0
    while True:
        byte = after[at]
        length |= (byte & 0x7F) << 7 * at
        at += 1
        if byte < 0x80:
            break
    after = (
        encode_variable_byte_integer(length + 3) + b"\x23" + alias.to_bytes(2, "big") + after[at:]
    )
    size = len(name) + beside + len(after)
    return before[:1] + encode_variable_byte_integer(size) + name, after
