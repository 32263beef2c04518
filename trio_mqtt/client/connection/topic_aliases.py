"""Topic aliases that the client sends (MQTT 5.0 §3.3.2.3.4): for topics that recur."""

from __future__ import annotations

from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.wire import encode_variable_byte_integer

_HOT = 2  # a topic that was sent so often before gets an alias
_WORTH_IT = 5  # bytes: an alias takes three, and shorter topics gain nothing by it


class Savings:
    """How many bytes fewer a client has sent for its aliases, on all its connections."""

    def __init__(self) -> None:
        self.bytes = 0


class TopicAliases:
    """Which topics have an alias on one connection, of which the broker allows `maximum`.

    A topic gets one when it recurs among the latest few, if need be that of the topic that was not
    sent for the longest time. So topics that all come once push nobody out.
    """

    def __init__(self, protocol: ClientConnection, maximum: int, savings: Savings) -> None:
        self._protocol = protocol
        self._maximum = maximum
        self._savings = savings
        self._numbers: dict[str, int] = {}  # the topic sent last comes last
        self._seen: dict[str, int] = {}

    def message_head(
        self, topic: str, size: int, qos: int, retain: bool, properties: Properties
    ) -> tuple[bytes, bytes]:
        """`ClientConnection.message_head`, whose message is sent next: by its alias, or with one.

        Raises LocalProtocolError as that does.
        """
        head, after = self._protocol.message_head(topic, size, qos, retain, properties)
        numbers = self._numbers
        alias = numbers.pop(topic, None)
        if alias is not None:
            numbers[topic] = alias
            found = _with_alias(head, after, alias, b"\0\0", size, qos)
            self._savings.bytes += len(head) + len(after) - len(found[0]) - len(found[1])
            return found
        if not self._is_hot(topic):
            return head, after
        coldest = next(iter(numbers)) if len(numbers) >= self._maximum else None
        alias = len(numbers) + 1 if coldest is None else numbers[coldest]
        name = topic.encode()
        found = _with_alias(head, after, alias, len(name).to_bytes(2, "big") + name, size, qos)
        more = len(found[0]) + len(found[1])
        if more + size + (2 if qos else 0) > self._protocol.peer_maximum_packet_size:
            return head, after
        if coldest is not None:
            del numbers[coldest]
        numbers[topic] = alias
        self._seen.pop(topic, None)
        self._savings.bytes -= more - len(head) - len(after)
        return found

    def _is_hot(self, topic: str) -> bool:
        """Note that a topic without alias is sent; whether it is time to give it one."""
        if len(topic) < _WORTH_IT:
            return False
        seen = self._seen
        count = seen.get(topic, 0)
        if not count and len(seen) >= 2 * self._maximum:
            seen.clear()
        seen[topic] = count + 1
        return count >= _HOT


def _with_alias(
    head: bytes, after: bytes, alias: int, name: bytes, size: int, qos: int
) -> tuple[bytes, bytes]:
    """What precedes a payload of `size` bytes, with the alias among its properties."""
    length = at = 0
    while True:
        byte = after[at]
        length |= (byte & 0x7F) << 7 * at
        at += 1
        if byte < 0x80:
            break
    properties = encode_variable_byte_integer(length + 3) + b"\x23" + alias.to_bytes(2, "big")
    after = properties + after[at:]
    whole = len(name) + (2 if qos else 0) + len(after) + size
    return head[:1] + encode_variable_byte_integer(whole) + name, after
