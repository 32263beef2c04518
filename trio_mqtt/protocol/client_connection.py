"""A client's end of one connection: what the broker accepts of it, and may send."""

from __future__ import annotations

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.connection import ProtocolConnection
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode_message_properties, encode_topic_name
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    UnsubAck,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.states import CLIENT_MAY_SEND, SERVER_MAY_SEND, State
from trio_mqtt.protocol.topics import has_wildcard, parse_shared
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE, encode_variable_byte_integer


class ClientConnection(ProtocolConnection):
    """A client's end of one connection, in the protocol version of its CONNECT."""

    def __init__(
        self, version: ProtocolVersion, maximum_packet_size: int = MAX_PACKET_SIZE
    ) -> None:
        super().__init__(PacketDecoder(PacketType.CONNACK, version, maximum_packet_size))
        self.maximum_qos = 2
        self.retain_available = True
        self.wildcard_subscription_available = True
        self.subscription_identifier_available = True
        self.shared_subscription_available = True
        self._wants_words = True  # request problem information (§3.1.2.11.7)

    def send(self, packet: Packet) -> bytes:
        """The bytes of a packet that the client may send now.

        Raises LocalProtocolError if it may not, or if the server said that it does not accept it
        (§3.2.2.3: maximum QoS, retain available, maximum packet size, topic alias maximum, and what
        is available for subscriptions).
        """
        if isinstance(packet, Auth):
            return self._send_auth(packet, from_client=True)
        kind = type(packet)
        if kind not in CLIENT_MAY_SEND[self.state]:
            raise LocalProtocolError(
                f"a client must not send {kind.__name__} while {self.state.value}"
            )
        authenticates = self.state is State.CONNECTING and self._authentication is not None
        if authenticates and not isinstance(packet, Disconnect):
            raise LocalProtocolError(
                "a client must not send this until CONNACK ends authentication"
            )
        if isinstance(packet, Publish):
            self._check_to_send(packet)
            data = self._encode(packet)
            if "topic_alias" in packet.properties:
                self._sent_aliases[packet.properties["topic_alias"]] = None
        elif isinstance(packet, Connect):
            if packet.protocol_version != self.version:
                raise LocalProtocolError("CONNECT is of another protocol version")
            data = self._encode(packet)
            self._opened(packet)
            if self._authentication is not None:
                self._decoder.first = None  # AUTH may come before CONNACK
            properties = packet.properties if self.version == 5 else NO_PROPERTIES
            self.receive_maximum = properties.get("receive_maximum", 65_535)
            self.topic_alias_maximum = properties.get("topic_alias_maximum", 0)
            self._wants_words = properties.get("request_problem_information", 1) == 1
            if not self._wants_words:
                self._unchecked = frozenset()
            self._decoder.maximum_packet_size = min(
                self._decoder.maximum_packet_size,
                properties.get("maximum_packet_size", MAX_PACKET_SIZE),
            )
        elif isinstance(packet, Disconnect):
            data = self.disconnect(packet)
            self.state = State.DISCONNECTED
        else:
            if isinstance(packet, Subscribe):
                self._check_available(packet)
            data = self._encode(packet)
        return data

    def message_head(
        self, topic: str, size: int, qos: int, retain: bool, properties: Properties
    ) -> tuple[bytes, bytes]:
        """What precedes the payload, of `size` bytes, in a PUBLISH that may be sent now.

        It is cut where at QoS 1 and 2 the packet identifier goes (MQTT 5.0 §3.3). Raises
        LocalProtocolError as `send` does. This is `send` for those who send many messages: the
        payload is not copied.
        """
        if self.state is not State.CONNECTED:
            raise LocalProtocolError(f"a client must not send PUBLISH while {self.state.value}")
        if qos > self.maximum_qos:
            raise LocalProtocolError(
                f"There is no QoS {qos}: it is 0, 1 or 2."
                if qos > 2
                else f"The broker accepts no QoS above {self.maximum_qos}."
            )
        if retain and not self.retain_available:
            raise LocalProtocolError("The broker does not keep retained messages.")
        name = encode_topic_name(topic)
        if self._decoder.version != 5:
            after = b""
        elif properties:
            after = encode_message_properties(properties)
        else:
            after = b"\0"
        length = len(name) + (2 if qos else 0) + len(after) + size
        first = 0x30 | qos << 1 | retain
        if length < 128:
            head = bytes((first, length)) + name
        else:
            head = bytes((first,)) + encode_variable_byte_integer(length) + name
        whole = len(head) - len(name) + length
        if whole > self.peer_maximum_packet_size:
            raise LocalProtocolError(
                f"The message on {topic!r} makes a packet of {whole} bytes, which is larger than"
                f" the {self.peer_maximum_packet_size} that the broker accepts."
            )
        return head, after

    def disconnect(self, packet: Disconnect) -> bytes:
        """The bytes of a DISCONNECT, which is not sent yet: nothing changes.

        Raises LocalProtocolError for one that a client must not send (§3.14.2).
        """
        if self._expires_at_once and packet.properties.get("session_expiry_interval"):
            raise LocalProtocolError(
                "DISCONNECT must not prolong a session that ends with its connection"
            )
        return self._encode(packet)

    def acknowledge(self, packet_id: int) -> bytes:
        """The PUBACK of a message that came, which counts no longer.

        Raises LocalProtocolError as `send` does. This is `send` for those who receive many
        messages.
        """
        if self.state is State.CONNECTED and self.peer_maximum_packet_size >= 4:
            data = b"\x40\x02" + packet_id.to_bytes(2, "big")
        else:
            data = self.send(PubAck(packet_id))
        self._unacknowledged -= 1
        return data

    def _check_to_send(self, packet: Publish) -> None:
        if packet.qos > self.maximum_qos:
            raise LocalProtocolError(f"The broker accepts no QoS above {self.maximum_qos}.")
        if packet.retain and not self.retain_available:
            raise LocalProtocolError("The broker does not keep retained messages.")
        if packet.properties:
            if "subscription_identifier" in packet.properties:
                raise LocalProtocolError("a client must not send a subscription identifier")
            self._check_alias_to_send(packet)

    def _check_available(self, packet: Subscribe) -> None:
        if packet.properties.get("subscription_identifier") and (
            not self.subscription_identifier_available
        ):
            raise LocalProtocolError("The broker accepts no subscription identifiers.")
        for subscription in packet.subscriptions:
            topic_filter = subscription.topic_filter
            if not self.wildcard_subscription_available and has_wildcard(topic_filter):
                raise LocalProtocolError("The broker accepts no wildcards in topic filters.")
            if not self.shared_subscription_available and parse_shared(topic_filter):
                raise LocalProtocolError("The broker accepts no shared subscriptions.")

    def _check(self, packet: Packet) -> RemoteProtocolError | None:
        if isinstance(packet, Auth):
            return self._receive_auth(packet, from_client=False)
        if type(packet) not in SERVER_MAY_SEND[self.state]:
            return RemoteProtocolError(
                f"a server must not send {type(packet).__name__.upper()} now"
            )
        if not self._wants_words and _has_unwanted_words(packet):
            return RemoteProtocolError(
                f"a server must not explain {type(packet).__name__.upper()} in words now"
            )
        if isinstance(packet, ConnAck):
            problem = self._connack_problem(packet)
            if problem is not None:
                return RemoteProtocolError(problem)
            self._closed_or_connected(packet)
            self._learn(packet.properties)
            told = packet.properties
            self.maximum_qos = told.get("maximum_qos", 2)
            self.retain_available = told.get("retain_available", 1) == 1
            self.wildcard_subscription_available = (
                told.get("wildcard_subscription_available", 1) == 1
            )
            self.subscription_identifier_available = (
                told.get("subscription_identifier_available", 1) == 1
            )
            self.shared_subscription_available = told.get("shared_subscription_available", 1) == 1
        elif isinstance(packet, Disconnect):
            if self.version != 5:
                return RemoteProtocolError("an MQTT 3 server must not send DISCONNECT")
            if "session_expiry_interval" in packet.properties:
                return RemoteProtocolError("a server must not send a session expiry interval now")
            self.state = State.DISCONNECTED
        return None

    def _check_publish(self, packet: Publish) -> RemoteProtocolError | None:
        if self.state is not State.CONNECTED:
            return RemoteProtocolError("a server must not send PUBLISH now")
        return super()._check_publish(packet)


def _has_unwanted_words(packet: Packet) -> bool:
    """Whether a packet explains itself that must not to a client that declined problem information.

    CONNACK and DISCONNECT may; PUBLISH, too, is not asked about here.
    """
    if isinstance(packet, PubAck | PubRec | PubRel | PubComp | SubAck | UnsubAck):
        return "reason_string" in packet.properties or "user_property" in packet.properties
    return False
