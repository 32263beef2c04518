"""`publish_once`: one message on a connection of its own, mostly without an event loop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

from trio_mqtt.client.arguments import (
    Payload,
    check_message_properties,
    check_qos,
    check_topic,
    payload_bytes,
)
from trio_mqtt.client.connection.first_packets import (
    ClosedUnansweredError,
    Settings,
    against_the_rules,
    broken,
    closed,
    closed_unanswered,
    connect_packet,
    disconnect_for,
    no_mqtt,
    refused,
    told_to_leave,
    too_late,
)
from trio_mqtt.client.explanations import explanation
from trio_mqtt.client.open_arguments import ConnectionArguments
from trio_mqtt.client.options import (
    check_options,
    checked_addresses,
    checked_version,
    checked_will,
)
from trio_mqtt.errors import (
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    LocalProtocolError,
    MqttError,
    RemoteProtocolError,
    RequestRefusedError,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    PubRec,
    PubRel,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE
from trio_mqtt.transport.connectors.blocking import open_socket, seconds_left

if TYPE_CHECKING:
    from typing import Unpack

_READ_SIZE = 65_536
_PACKET_ID = 1  # of the only message
_CLOSE_TIMEOUT = 2.0  # seconds to see the broker close a connection that ends in order
# What a socket is enough for; the schemes of such brokers.
_DEFAULTS: dict[str, Any] = {
    "client_id": "",
    "username": None,
    "password": None,
    "protocol_version": None,
    "keep_alive": 60,
    "will": None,
    "connect_timeout": 10.0,
}
_SCHEMES = ("mqtt", "unix")


def publish_once(
    url: str | Sequence[str],
    topic: str,
    payload: Payload = b"",
    *,
    qos: int = 0,
    retain: bool = False,
    properties: Properties | None = None,
    connect_properties: Properties | None = None,
    **connection: Unpack[ConnectionArguments],
) -> None:
    """Connect, publish one message, and disconnect: what a script does that has one thing to tell.

        publish_once("mqtt://localhost", "home/lamp", "on", qos=1)

    It returns when the broker has taken the message (at QoS 0, when it has left). `properties` are
    those of the message, `connect_properties` those of CONNECT. `connection` are the arguments of
    `open_client` that say how the connection is made, and as whom: `client_id`, `username`,
    `password`, `protocol_version`, `keep_alive`, `will`, `connect_timeout`, `tls`, `proxy`,
    `bind_address`, `websocket_headers`, `transform`, `authentication`, `follow_redirection`,
    `connector` and `on_packet`. The session is a clean one, and nothing is tried again.

    By TCP (`mqtt://`) and through a Unix socket (`unix://`), with none of those from `tls` on, it
    needs neither AnyIO nor an event loop, so a program that does nothing else starts sooner; then
    `connect_timeout`, in seconds, does not bound looking up a name. All else is done by a client in
    a thread of its own. Who publishes more opens a client.

    Raises as `open_client` and `Client.publish` do.
    """
    for name in connection.keys() - ConnectionArguments.__optional_keys__:
        raise TypeError(f"publish_once() has no argument {name!r}.")
    given: dict[str, Any] = {**_DEFAULTS, **connection}
    check_options(
        **given,
        session_expiry_interval=None,
        reconnect=False,
        properties=connect_properties,
        on_connect=None,
    )
    data = payload_bytes(payload)
    check_topic(topic)
    check_qos(qos)
    if properties:
        check_message_properties(properties)
    address, *others = checked_addresses(url)
    if (
        others
        or address.scheme not in _SCHEMES
        or address.is_by_records
        or any(
            value is not None and value is not False
            for name, value in connection.items()
            if name not in _DEFAULTS
        )
    ):
        from trio_mqtt.sync.opening import open_client  # with an event loop: few need it

        with open_client(
            url, reconnect=False, properties=connect_properties, **connection
        ) as client:
            client.publish(topic, data, qos=qos, retain=retain, properties=properties)
        return
    username: str | None = given["username"]
    password: str | bytes | None = given["password"]
    client_id = given["client_id"] or address.client_id
    version = checked_version(given["protocol_version"])
    if not client_id and version == ProtocolVersion.V31:
        client_id = f"tmqtt-{os.urandom(8).hex()}"  # it requires one
    if isinstance(password, str):
        password = password.encode()
    if password is None and address.password is not None:
        password = address.password.encode()
    settings = Settings(
        address,
        client_id,
        address.username if username is None else username,
        password,
        clean_start=True,
        session_expiry_interval=0,
        keep_alive=given["keep_alive"],
        will=checked_will(given["will"]),
        connect_timeout=given["connect_timeout"],
        properties=connect_properties or NO_PROPERTIES,
    )
    link = _connected(settings, version)
    try:
        link.publish(topic, data, qos, retain, properties or NO_PROPERTIES)
    except BaseException:
        link.leave()
        raise
    link.close()


def _connected(settings: Settings, version: ProtocolVersion | None) -> _Connection:
    """A connection that the broker has accepted: `handshake.connect` for those who block."""
    if version is not None:
        return _Connection(settings, version)
    try:
        return _Connection(settings, ProtocolVersion.V5)
    except ConnectionRefusedByBrokerError as error:
        if error.reason_code != ReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
            raise
    except ClosedUnansweredError:
        pass
    return _Connection(settings, ProtocolVersion.V311)


class _Connection:
    """A connection that waits for the socket in each call."""

    def __init__(self, settings: Settings, version: ProtocolVersion) -> None:
        self.url = settings.address.url
        self._keep_alive = settings.keep_alive
        self._early: list[Packet] = []
        self._protocol = ClientConnection(
            version, settings.properties.get("maximum_packet_size", MAX_PACKET_SIZE)
        )
        request = self._protocol.send(connect_packet(settings, version, True, None))
        deadline = time.monotonic() + settings.connect_timeout
        late = too_late(self.url, settings.connect_timeout)
        self._socket = open_socket(settings.address, deadline, late)
        try:
            self._exchange(settings, request, deadline, late)
        except BaseException:
            self._socket.close()
            raise

    def _exchange(
        self, settings: Settings, request: bytes, deadline: float, late: MqttError
    ) -> None:
        protocol = self._protocol
        try:
            self._socket.settimeout(seconds_left(deadline, late))
            with suppress(ConnectionError):  # what the broker said before is read below
                self._socket.sendall(request)
            packets: list[Packet] = []
            while not packets and protocol.violation is None:
                self._socket.settimeout(seconds_left(deadline, late))
                data = self._socket.recv(_READ_SIZE)
                if not data:
                    raise closed_unanswered(self.url, protocol.version)
                packets = protocol.receive(data)
        except TimeoutError:
            raise late from None
        except OSError as error:
            raise closed_unanswered(self.url, protocol.version) from error
        violation = protocol.violation
        if not packets and violation is not None:
            self._say_what_is_wrong(violation)
            raise no_mqtt(self.url, protocol.version, violation) from violation
        connack = cast(ConnAck, packets[0])  # nothing else may come first
        if connack.reason_code.is_failure:
            raise refused(settings, connack)
        self._early = packets[1:]
        self._keep_alive = connack.properties.get("server_keep_alive", self._keep_alive)

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties
    ) -> None:
        """Send a message, and wait until the broker has taken it."""
        protocol = self._protocol
        if properties and protocol.version != ProtocolVersion.V5:
            raise LocalProtocolError(
                f"MQTT {protocol.version.text}, which the broker at {self.url} speaks,"
                " has no properties."
            )
        head, after = protocol.message_head(topic, len(payload), qos, retain, properties)
        packet_id = _PACKET_ID.to_bytes(2, "big") if qos else b""
        self._send(head + packet_id + after + payload)
        if not qos:
            return
        answer = self._answer(PubAck if qos == 1 else PubRec)
        if answer.reason_code.is_failure:
            said = explanation(answer.properties, beside=answer.reason_code)
            raise RequestRefusedError(
                f"The broker at {self.url} refused the message on {topic!r}:"
                f" {answer.reason_code.sentence}{said}.",
                answer.reason_code,
            )
        if qos == 2:
            self._send(protocol.send(PubRel(_PACKET_ID)))
            self._answer(PubComp)

    def close(self) -> None:
        """End the connection in order: the broker reads DISCONNECT last, and then closes."""
        with suppress(OSError):
            self._socket.settimeout(_CLOSE_TIMEOUT)
            self._socket.sendall(self._protocol.send(Disconnect()))
            self._socket.shutdown(socket.SHUT_WR)
            # Closing a socket that holds unread bytes resets it, and that may overtake the message.
            end = time.monotonic() + _CLOSE_TIMEOUT
            while self._socket.recv(_READ_SIZE) and time.monotonic() < end:
                pass
        self._socket.close()

    def leave(self) -> None:
        """End it at once: with DISCONNECT, where that may be and can be sent."""
        with suppress(OSError, MqttError):
            self._socket.setblocking(False)
            self._socket.send(self._protocol.send(Disconnect()))
        self._socket.close()

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            self._socket.settimeout(self._keep_alive or None)
            while rest:
                rest = rest[self._socket.send(rest) :]
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            self._early += self._read_what_is_left()
            self._raise_farewell()
            raise broken(self.url, error) from error

    def _answer(self, kind: type[Any]) -> Any:  # noqa: ANN401 # the caller names it
        """The next packet of a kind; what else comes is nobody's."""
        while True:
            early: list[Any] = self._early
            for packet in early:
                if isinstance(packet, kind) and packet.packet_id == _PACKET_ID:
                    self._early.clear()
                    return packet
            self._raise_farewell()
            self._early = self._receive()

    def _raise_farewell(self) -> None:
        for packet in self._early:
            if isinstance(packet, Disconnect):
                raise told_to_leave(self.url, packet)

    def _receive(self) -> list[Packet]:
        """What comes next, or an error; PINGREQ asks whether the broker is still there."""
        protocol = self._protocol
        violation = protocol.violation
        if violation is not None:
            self._break_off(violation)
        interval = self._keep_alive / 2 or None
        try:
            self._socket.settimeout(interval)
            try:
                data = self._socket.recv(_READ_SIZE)
            except TimeoutError:
                self._socket.sendall(protocol.send(PingReq()))
                data = self._socket.recv(_READ_SIZE)
        except TimeoutError:
            raise self._silent() from None
        except OSError as error:
            raise broken(self.url, error) from error
        if not data:
            raise closed(self.url)
        return protocol.receive(data)

    def _silent(self) -> ConnectionLostError:
        return ConnectionLostError(
            f"The broker at {self.url} did not answer for {self._keep_alive} s"
            f" (keep alive: {self._keep_alive} s)."
        )

    def _read_what_is_left(self) -> list[Packet]:
        """What the broker said before it closed the connection."""
        found: list[Packet] = []
        with suppress(OSError):
            self._socket.setblocking(False)
            while data := self._socket.recv(_READ_SIZE):
                found += self._protocol.receive(data)
        return found

    def _break_off(self, violation: RemoteProtocolError) -> NoReturn:
        self._say_what_is_wrong(violation)
        raise against_the_rules(self.url, violation) from violation

    def _say_what_is_wrong(self, violation: RemoteProtocolError) -> None:
        if self._protocol.version == ProtocolVersion.V5:
            with suppress(OSError, MqttError):
                self._socket.sendall(self._protocol.send(disconnect_for(violation)))
