"""What becomes of the client's connection, for a program that wants to say so."""

from __future__ import annotations

from typing import TypeAlias

from trio_mqtt.client.latest import Latest
from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.records import record

# Events that wait for one reader; where it does not read, the oldest are forgotten.
_BUFFER = 100


@record
class Connected:
    """The broker accepted the connection; `session_present` says whether it knew the session."""

    url: str
    client_id: str
    session_present: bool
    protocol_version: ProtocolVersion


@record
class ConnectionLost:
    """The connection, or an attempt to make one, failed; `reason` says why."""

    reason: MqttError


@record
class Reconnecting:
    """The next attempt begins in `delay` seconds; `attempt` counts from 1."""

    delay: float
    attempt: int


@record
class ServerFailed:
    """One of several servers, at `url`, could not be used, and the next is tried.

    Where it was the last, `ConnectionLost` follows, with what is to be said of all.
    """

    url: str
    reason: MqttError


ConnectionEvent: TypeAlias = Connected | ConnectionLost | Reconnecting | ServerFailed


class ConnectionEvents(Latest[ConnectionEvent]):
    """An async iterator of connection events, from when it was made until the client is closed.

    It keeps up to 100 events that were not taken yet; then the oldest is forgotten for each new.
    """

    def __init__(self) -> None:
        super().__init__(_BUFFER)
