"""Topic aliases that the broker sets for one client (MQTT 5.0 §3.3.2.3.4): for what recurs."""

from __future__ import annotations

from trio_mqtt.protocol.alias_choice import AliasChoice, with_alias

_NO_TOPIC = b"\0\0"


class TopicAliases:
    """The packets of one connection that use aliases, at most `maximum` of them."""

    __slots__ = ("_choice",)

    def __init__(self, maximum: int) -> None:
        self._choice = AliasChoice(maximum)

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
        alias = self._choice.known(topic)
        if alias:
            return with_alias(before, after, alias, _NO_TOPIC, identifier_size)
        alias = self._choice.offered(topic)
        if not alias:
            return before, after
        name = before[_after_length(before) :]
        found = with_alias(before, after, alias, name, identifier_size)
        if maximum is not None and sum(map(len, found)) + identifier_size > maximum:
            return before, after
        self._choice.give(topic, alias)
        return found


def _after_length(packet: bytes) -> int:
    """Where the remaining length of a packet ends."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return at + 1
