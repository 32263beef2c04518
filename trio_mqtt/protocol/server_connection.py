"""A broker's end of one connection: what a client may send, and what the broker answers."""

from __future__ import annotations

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.connection import ProtocolConnection
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    AckRun,
    Auth,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    Publish,
    PublishRun,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.states import CLIENT_MAY_SEND, SERVER_MAY_SEND, State
from trio_mqtt.protocol.wire import MAX_REPETITIONS

# What runs consist of; a client may send acknowledgements of all kinds at the same times.
_KIND_OF_RUN: dict[type[Packet], type[Packet]] = {PublishRun: Publish, AckRun: PubAck}


class ServerConnection(ProtocolConnection):
    """A broker's end of one connection.

    `maximum_packet_size` bounds what is held before CONNECT is accepted, in bytes; raise it with
    `accept_packets_of` afterwards. `maximum_user_properties` is for one packet or will. `runs` and
    the bounds after it are the decoder's.
    """

    def __init__(
        self,
        *,
        maximum_packet_size: int,
        receive_maximum: int,
        topic_alias_maximum: int,
        runs: bool = False,
        maximum_packet_size_later: int | None = None,
        maximum_user_properties: int = MAX_REPETITIONS,
        packets_at_once: int | None = None,
        maximum_filters: int | None = None,
        maximum_request_size: int | None = None,
    ) -> None:
        super().__init__(
            PacketDecoder(
                PacketType.CONNECT,
                None,
                maximum_packet_size,
                runs=runs,
                maximum_packet_size_later=maximum_packet_size_later,
                # What else repeats, a client must not send more than once.
                maximum_repetitions=maximum_user_properties,
                packets_at_once=packets_at_once,
                maximum_filters=maximum_filters,
                maximum_request_size=maximum_request_size,
            ),
            receive_maximum=receive_maximum,
            topic_alias_maximum=topic_alias_maximum,
        )

    def accept_packets_of(self, maximum_packet_size: int) -> None:
        """From now on, packets of up to so many bytes are received.

        One that is larger and has begun to come is a violation.
        """
        self._decoder.maximum_packet_size = maximum_packet_size
        if self._decoder.wanted > maximum_packet_size and self.violation is None:
            self.violation = RemoteProtocolError(
                f"a packet is larger than {maximum_packet_size} bytes",
                ReasonCode.PACKET_TOO_LARGE,
            )

    def refusal(self, reason_code: ReasonCode, reason: str) -> bytes:
        """The bytes that answer a CONNECT that is not right (MQTT 5.0 §3.1.4, §4.13).

        None at all where it names no version whose CONNACK has a code for it. The reason in words
        is left out where its properties cannot be read: they say how large a packet may be.
        """
        if self._decoder.violation is None or self._decoder.version != ProtocolVersion.V5:
            return b""
        self.state = State.DISCONNECTED
        properties: Properties = {}
        opening = self._decoder.opening
        if opening is not None:
            self._learn(opening)
            if reason and opening.get("request_problem_information", 1) == 1:
                properties = {"reason_string": reason}
        for attempt in (properties, NO_PROPERTIES):
            try:
                return self._encode(ConnAck(reason_code=reason_code, properties=attempt))
            except LocalProtocolError:
                continue
        return b""

    def send(self, packet: Packet) -> bytes:
        """The bytes of a packet that the server may send now.

        Raises LocalProtocolError if it may not, or if the client does not accept its size. Refusing
        CONNACK and DISCONNECT end the connection. A message is sent by its shared encoding instead.
        """
        if isinstance(packet, Auth):
            return self._send_auth(packet, from_client=False)
        kind = type(packet)
        if kind not in SERVER_MAY_SEND[self.state]:
            raise LocalProtocolError(
                f"a server must not send {kind.__name__} while {self.state.value}"
            )
        if isinstance(packet, ConnAck):
            problem = self._connack_problem(packet)
            if problem is not None:
                raise LocalProtocolError(problem)
            data = self._encode(packet)
            self._closed_or_connected(packet)
        elif isinstance(packet, Disconnect):
            if self.version != 5:
                raise LocalProtocolError("an MQTT 3 server says nothing when it disconnects")
            if "session_expiry_interval" in packet.properties:
                raise LocalProtocolError("a server must not send a session expiry interval now")
            data = self._encode(packet)
            self.state = State.DISCONNECTED
        elif isinstance(packet, Publish) and "topic_alias" in packet.properties:
            self._check_alias_to_send(packet)
            data = self._encode(packet)
            self._sent_aliases[packet.properties["topic_alias"]] = None
        else:
            data = self._encode(packet)
        return data

    def _check(self, packet: Packet) -> RemoteProtocolError | None:
        if isinstance(packet, Auth):
            return self._receive_auth(packet, from_client=True)
        kind = _KIND_OF_RUN.get(type(packet), type(packet))
        if kind not in CLIENT_MAY_SEND[self.state]:
            name = packet.kind.name if isinstance(packet, AckRun) else kind.__name__.upper()
            return RemoteProtocolError(f"a client must not send {name} now")
        authenticates = self.state is State.CONNECTING and self._authentication is not None
        if authenticates and not isinstance(packet, Disconnect):
            return RemoteProtocolError("a client that authenticates sends nothing else meanwhile")
        if isinstance(packet, Connect):
            self._opened(packet)
            self._learn(packet.properties)
        elif isinstance(packet, Disconnect):
            if self._expires_at_once and packet.properties.get("session_expiry_interval"):
                # Not a valid DISCONNECT: the will stays (§3.14.2.2.2).
                return RemoteProtocolError(
                    "DISCONNECT must not prolong a session that ends with its connection"
                )
            self.state = State.DISCONNECTED
        return None

    def _check_publish(self, packet: Publish) -> RemoteProtocolError | None:
        if self.state is not State.CONNECTED and (
            self.state is not State.CONNECTING or self._authentication is not None
        ):
            return RemoteProtocolError("a client must not send PUBLISH now")
        if "subscription_identifier" in packet.properties:
            return RemoteProtocolError("a client must not send a subscription identifier")
        return super()._check_publish(packet)
