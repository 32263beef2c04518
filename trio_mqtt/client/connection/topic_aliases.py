"""Topic aliases that the client sends (MQTT 5.0 §3.3.2.3.4): for topics that recur."""

from __future__ import annotations

from trio_mqtt.protocol.alias_choice import AliasChoice, with_alias
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.properties import Properties

_NO_TOPIC = b"\0\0"


class Savings:
    """How many bytes fewer a client has sent for its aliases, on all its connections."""

    def __init__(self) -> None:
        self.bytes = 0


class TopicAliases:
    """The messages of one connection that use aliases, of which the broker allows `maximum`."""

    def __init__(self, protocol: ClientConnection, maximum: int, savings: Savings) -> None:
        self._protocol = protocol
        self._choice = AliasChoice(maximum)
        self._savings = savings

    def message_head(
        self, topic: str, size: int, qos: int, retain: bool, properties: Properties
    ) -> tuple[bytes, bytes]:
        """`ClientConnection.message_head`, whose message is sent next: by its alias, or with one.

        Raises LocalProtocolError as that does.
        """
        head, after = self._protocol.message_head(topic, size, qos, retain, properties)
        beside = size + (2 if qos else 0)
        alias = self._choice.known(topic)
        if alias:
            found = with_alias(head, after, alias, _NO_TOPIC, beside)
        else:
            alias = self._choice.offered(topic)
            if not alias:
                return head, after
            name = topic.encode()
            found = with_alias(head, after, alias, len(name).to_bytes(2, "big") + name, beside)
            if sum(map(len, found)) + beside > self._protocol.peer_maximum_packet_size:
                return head, after
            self._choice.give(topic, alias)
        self._savings.bytes += len(head) + len(after) - sum(map(len, found))
        return found
