"""QoS 1 and 2 (MQTT 5.0 §4.3, §4.4): what is in flight, at both ends of a delivery.

A session owns one `Sender` and one `Receiver` for each direction that messages take; they outlive
connections as the session does. Client and broker share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.reason_codes import ReasonCode

T = TypeVar("T")
MAX_PACKET_IDENTIFIER = 65_535


class Sender(Generic[T]):
    """The sending end: gives packet identifiers and remembers what is not acknowledged.

    `quota` is how many more QoS 1 and 2 messages may be sent now (MQTT 5.0 §4.9). `reserved` are
    the packet identifiers of SUBSCRIBE and UNSUBSCRIBE that wait for their answer: they come from
    the same numbers (§2.2.1) and take no quota.
    """

    __slots__ = ("_last", "in_flight", "quota", "receive_maximum", "released", "reserved")

    def __init__(self, receive_maximum: int = MAX_PACKET_IDENTIFIER) -> None:
        self.receive_maximum = receive_maximum
        self.quota = receive_maximum
        # Both in the order of sending: PUBLISH to be acknowledged, and PUBREL to be answered.
        self.in_flight: dict[int, tuple[int, T]] = {}
        self.released: dict[int, T] = {}
        self.reserved: set[int] = set()
        self._last = 0

    def __len__(self) -> int:
        return len(self.in_flight) + len(self.released)

    def connected(self, receive_maximum: int) -> None:
        """A new connection begins: its peer accepts `receive_maximum` unacknowledged messages.

        What was only released counts until PUBCOMP. What is to be sent again counts when it is:
        take one off `quota` for each, and none while there is no quota (§4.9).
        """
        self.receive_maximum = receive_maximum
        self.quota = receive_maximum - len(self.released)
        self.reserved.clear()

    def begin(self, qos: int, item: T) -> int:
        """Take a free packet identifier for `item`, to be sent at `qos` (1 or 2).

        Raises LocalProtocolError if the quota is used up.
        """
        if self.quota <= 0:
            raise LocalProtocolError("the receive maximum is reached")
        packet_id = self._last + 1
        if (
            packet_id > MAX_PACKET_IDENTIFIER
            or packet_id in self.in_flight
            or packet_id in self.released
            or packet_id in self.reserved
        ):
            packet_id = self.free_identifier()
        self._last = packet_id
        self.quota -= 1
        self.in_flight[packet_id] = (qos, item)
        return packet_id

    def free_identifier(self) -> int:
        """An identifier that is not in use, the next in turn (MQTT 5.0 §2.2.1).

        Raises LocalProtocolError if all are in use.
        """
        packet_id = self._last
        for _ in range(MAX_PACKET_IDENTIFIER):
            packet_id = packet_id + 1 if packet_id < MAX_PACKET_IDENTIFIER else 1
            if (
                packet_id not in self.in_flight
                and packet_id not in self.released
                and packet_id not in self.reserved
            ):
                self._last = packet_id
                return packet_id
        raise LocalProtocolError("every packet identifier is in use")

    def reserve_identifier(self) -> int:
        """An identifier for SUBSCRIBE or UNSUBSCRIBE; give it back by taking it off `reserved`."""
        packet_id = self.free_identifier()
        self.reserved.add(packet_id)
        return packet_id

    # An answer to nothing is let pass: it may be a late one, to what was given up. One that does
    # not fit what is on its way is a protocol error (MQTT 3.1.1 §4.8): that would hold its place
    # for ever. Then nothing is changed.

    def on_puback(self, packet_id: int) -> T | None:
        """PUBACK came: the item is done. None for an identifier that is not in use.

        Raises RemoteProtocolError for what awaits PUBREC or PUBCOMP.
        """
        entry = self.in_flight.get(packet_id)
        if entry is None:
            self._expect_not_released(packet_id)
            return None
        if entry[0] != 1:
            raise RemoteProtocolError("PUBACK answers a message of QoS 2")
        del self.in_flight[packet_id]
        self.quota += 1
        return entry[1]

    def on_pubacks(self, packet_ids: Iterable[int]) -> None:
        """Several PUBACK packets came. Raises as `on_puback` does; those before hold."""
        in_flight = self.in_flight
        for packet_id in packet_ids:
            entry = in_flight.get(packet_id)
            if entry is not None:
                if entry[0] != 1:
                    raise RemoteProtocolError("PUBACK answers a message of QoS 2")
                del in_flight[packet_id]
                self.quota += 1
            else:
                self._expect_not_released(packet_id)

    def _expect_not_released(self, packet_id: int) -> None:
        if packet_id in self.released:
            raise RemoteProtocolError("PUBACK answers a PUBREL")

    def on_pubrec(self, packet_id: int, reason_code: ReasonCode) -> tuple[T | None, bool]:
        """PUBREC came: the item, and whether PUBREL is to be sent for it.

        A failure ends the delivery (§4.3.3). A PUBREC for an identifier that is not in use
        gives (None, False): the answer is PUBREL with PACKET_IDENTIFIER_NOT_FOUND, unless PUBREC
        says failure. Raises RemoteProtocolError for what awaits PUBACK, and for a failure of what
        was accepted before.
        """
        entry = self.in_flight.get(packet_id)
        if entry is None:
            if packet_id not in self.released:
                return None, False
            if reason_code >= 0x80:
                raise RemoteProtocolError("PUBREC refuses a message that it has accepted")
            # The peer repeats PUBREC when it never saw PUBREL: it gets it again.
            return self.released[packet_id], True
        if entry[0] != 2:
            raise RemoteProtocolError("PUBREC answers a message of QoS 1")
        del self.in_flight[packet_id]
        if reason_code >= 0x80:
            self.quota += 1
            return entry[1], False
        self.released[packet_id] = entry[1]
        return entry[1], True

    def on_pubcomp(self, packet_id: int) -> T | None:
        """PUBCOMP came: the item is done. None for an identifier that is not in use.

        Raises RemoteProtocolError for what awaits PUBACK or PUBREC.
        """
        if packet_id not in self.released:
            if packet_id in self.in_flight:
                raise RemoteProtocolError("PUBCOMP answers a PUBLISH")
            return None
        self.quota += 1
        return self.released.pop(packet_id)

    def to_resend(self) -> Iterator[tuple[int, int, T]]:
        """Packet identifier, QoS and item of each PUBLISH to send again, with DUP (§4.4).

        They are in the order in which they were first sent (§4.6); `connected` says how they count.
        """
        for packet_id, (qos, item) in self.in_flight.items():
            yield packet_id, qos, item


class Receiver:
    """The receiving end of QoS 2: which packet identifiers have been accepted and not released."""

    __slots__ = ("accepted",)

    def __init__(self) -> None:
        self.accepted: set[int] = set()

    def on_publish(self, packet_id: int) -> bool:
        """Whether a QoS 2 PUBLISH is new; otherwise it is a repetition, to be acknowledged only."""
        if packet_id in self.accepted:
            return False
        self.accepted.add(packet_id)
        return True

    def refused(self, packet_id: int) -> None:
        """PUBREC was sent with a failure: the identifier is free again (§4.3.3)."""
        self.accepted.discard(packet_id)

    def on_pubrel(self, packet_id: int) -> ReasonCode:
        """PUBREL came: the reason code for PUBCOMP."""
        if packet_id in self.accepted:
            self.accepted.remove(packet_id)
            return ReasonCode.SUCCESS
        return ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
