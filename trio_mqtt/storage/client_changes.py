"""What changes in a client's session, in the terms of the standard, for its store to keep."""

from __future__ import annotations

from typing import TypeAlias

from trio_mqtt.protocol.properties import Properties
from trio_mqtt.records import record


@record
class OutgoingStored:
    """A message of QoS 1 or 2 that is to be delivered, in the `number`th place."""

    number: int
    packet_id: int
    qos: int
    retain: bool
    topic: str
    payload: bytes
    properties: Properties
    released: bool = False


@record
class OutgoingReleased:
    """The broker has a message of QoS 2 (PUBREC); its payload is needed no more."""

    number: int


@record
class OutgoingDone:
    """A message is delivered, or never will be."""

    number: int


@record
class ReceivedStored:
    """A message of QoS 2 has arrived, and PUBREC is due."""

    packet_id: int


@record
class ReceivedDone:
    """PUBREL came: the packet identifier may be used for another message."""

    packet_id: int


@record
class ReceivedForgotten:
    """The broker has lost the session."""


ClientChange: TypeAlias = (
    OutgoingStored
    | OutgoingReleased
    | OutgoingDone
    | ReceivedStored
    | ReceivedDone
    | ReceivedForgotten
)
