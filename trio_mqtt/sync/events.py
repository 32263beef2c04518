"""What becomes of a client's connection, and its packets, one after the other as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.client.threads import Inlet
from trio_mqtt.errors import ConnectionLostError, MqttError

if TYPE_CHECKING:
    from trio_mqtt.client.events import ConnectionEvent
    from trio_mqtt.client.events import ConnectionEvents as AsyncConnectionEvents
    from trio_mqtt.client.packets import PacketEvent
    from trio_mqtt.client.packets import PacketEvents as AsyncPacketEvents
    from trio_mqtt.sync.caller import Caller


class ConnectionEvents:
    """What becomes of a client's connection: iterate over it, until the client is closed.

    Several threads may iterate; each event goes to one. Of more than 100, the oldest is forgotten.
    """

    def __init__(self, events: AsyncConnectionEvents, client: Caller) -> None:
        self._inlet = Inlet(client.call, events.take)

    def __iter__(self) -> ConnectionEvents:
        return self

    def __next__(self) -> ConnectionEvent:
        try:
            return self._inlet.next(None)
        except MqttError:  # the client is closed: nothing else keeps from asking
            raise StopIteration from None

    def get(self, timeout: float | None = None) -> ConnectionEvent:
        """The next event. Raises TimeoutError where none comes within `timeout` seconds."""
        try:
            return self._inlet.next(timeout)
        except StopIteration:
            raise ConnectionLostError("The client is closed.") from None


class PacketEvents:
    """The packets of a client's connections: iterate over it, until the client is closed."""

    def __init__(self, packets: AsyncPacketEvents, client: Caller) -> None:
        self._packets = packets
        self._inlet = Inlet(client.call, packets.take)

    @property
    def missed(self) -> int:
        """How many were forgotten because nobody took them in time."""
        return self._packets.missed

    def __iter__(self) -> PacketEvents:
        return self

    def __next__(self) -> PacketEvent:
        try:
            return self._inlet.next(None)
        except MqttError:  # the client is closed: nothing else keeps from asking
            raise StopIteration from None
