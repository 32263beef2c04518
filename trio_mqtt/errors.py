"""One tree of exceptions: whatever goes wrong on purpose here is an `MqttError`.

MqttError
├── LocalProtocolError                  this end was asked to break the rules
├── RemoteProtocolError                 the peer has broken them
│   ├── MalformedPacketError
│   └── UnsupportedVersionError
├── InvalidUrlError                     an address is none
├── ConfigurationError                  settings, or a file of the broker's, are wrong
├── StoreError                          a client's store, or a broker's, cannot be used
├── EngineError                         what a cluster shares cannot be reached or used
├── NotFoundError                       what an operation names is not there
├── ListenError                         the machine does not let the broker listen
├── ConnectionFailedError               no connection came about
│   └── TlsError
├── WithdrawnError                      a message was withdrawn before it was sent
├── ConnectionLostError                 a connection has ended
│   └── DisconnectedByBrokerError
├── RefusedError                        the broker says no
│   ├── ConnectionRefusedByBrokerError
│   └── RequestRefusedError
├── AuthenticationError                 the broker does not prove who it is
└── InvalidTokenError                   a token lets nobody in

Arguments that cannot be are a ValueError or a TypeError, as everywhere in Python; some of these are
ValueErrors, too.
"""

from __future__ import annotations

from typing import TypeVar

from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.reason_codes import ReasonCode

E = TypeVar("E", bound=BaseException)


class MqttError(Exception):
    """The base of all errors that trio-mqtt raises on purpose. Its text is a sentence."""


class LocalProtocolError(MqttError, ValueError):
    """This end was asked to do what MQTT forbids, or this peer; nothing was sent."""


class RemoteProtocolError(MqttError):
    """The peer broke the rules of MQTT.

    `reason_code` is the code to answer with where the protocol version has one (MQTT 5.0 §4.13).
    """

    def __init__(self, message: str, reason_code: ReasonCode = ReasonCode.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.reason_code = reason_code


def without_frames(error: E) -> E:
    """The error as it can be kept with what it tells of.

    Its traceback, and those of its causes, hold the frames that they went through, and these all
    that was in them: often the error itself, so that each would keep the other.
    """
    one: BaseException | None = error
    while one is not None:
        before = one.__cause__ or one.__context__
        one.__traceback__ = one.__cause__ = one.__context__ = None
        one = before
    return error


class MalformedPacketError(RemoteProtocolError):
    """Bytes that no MQTT packet may consist of (MQTT 5.0 §1.2, Malformed Packet)."""

    def __init__(self, message: str, reason_code: ReasonCode = ReasonCode.MALFORMED_PACKET) -> None:
        super().__init__(message, reason_code)


class UnsupportedVersionError(RemoteProtocolError):
    """CONNECT asks for a protocol level that is not known (MQTT 5.0 §3.1.2.2).

    `answer_version` is the version in whose form to answer, as the peer will understand it.
    """

    def __init__(self, level: int, answer_version: ProtocolVersion) -> None:
        super().__init__(
            f"protocol level {level} is not supported", ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
        )
        self.level = level
        self.answer_version = answer_version


class InvalidUrlError(MqttError, ValueError):
    """An address that is not one; the text says what is wrong and shows a right one."""


class ConfigurationError(MqttError, ValueError):
    """Settings do not fit together, or a file that the broker was told to use is wrong.

    A certificate is such a file, and so are those of passwords, rules and keys. The text names the
    file and the line where there is one, and the remedy.
    """


class StoreError(MqttError):
    """What a client or a broker keeps cannot be read or written, for now or for good.

    The text says which file, why, and what to do.
    """


class EngineError(MqttError):
    """A cluster's engine, Redis or Valkey, cannot be reached, or used as it is set up.

    The text says where it is, why, and what to do.
    """


class NotFoundError(MqttError):
    """What an operation names is not there: a client, a retained message, a ban."""


class ListenError(MqttError):
    """This machine does not let the broker listen at an address; the text says which and why."""


class ConnectionFailedError(MqttError):
    """No connection to the broker could be made: unknown host, refused, timed out."""


class TlsError(ConnectionFailedError):
    """TLS did not come about: a certificate, a key or a version; the text says what to do."""


class WithdrawnError(MqttError):
    """A message was withdrawn by the program before it was sent."""


class ConnectionLostError(MqttError):
    """The connection to the broker ended before the operation was complete."""


class DisconnectedByBrokerError(ConnectionLostError):
    """The broker ended the connection by DISCONNECT; `reason_code` says why (MQTT 5.0 §3.14).

    `server_reference` names other servers, where it refers to them (§4.11).
    """

    def __init__(self, message: str, reason_code: ReasonCode, server_reference: str = "") -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.server_reference = server_reference


class RefusedError(MqttError):
    """The broker said no; `reason_code` says why."""

    def __init__(self, message: str, reason_code: ReasonCode) -> None:
        super().__init__(message)
        self.reason_code = reason_code


class ConnectionRefusedByBrokerError(RefusedError):
    """The broker answered CONNECT with a refusal (MQTT 5.0 §3.2.2.2).

    `server_reference` names other servers, where it refers to them (§4.11).
    """

    def __init__(self, message: str, reason_code: ReasonCode, server_reference: str = "") -> None:
        super().__init__(message, reason_code)
        self.server_reference = server_reference


class RequestRefusedError(RefusedError):
    """The broker refused a publish or a subscription (MQTT 5.0 §3.4.2.1, §3.9.3)."""


class AuthenticationError(MqttError):
    """The broker did not prove who it is, or authenticates in another way than agreed."""


class InvalidTokenError(MqttError):
    """A JSON Web Token that does not let its client in; the text says why."""
