"""QoS 1 and 2 (MQTT 5.0 §4.3, §4.4): what is in flight, at the sending end of a delivery.

A session owns one `Sender` and one `Receiver` for each direction that messages take; they outlive
connections as the session does. Client and broker share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError, without_frames
from trio_mqtt.protocol.outcome import Outcome, take_all
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.reason_codes import ReasonCode

T = TypeVar("T")
MAX_PACKET_IDENTIFIER = 65_535
_MOST_RUNS = 16  # that are looked at one by one

_PUBACK = PacketType.PUBACK
_PUBREC = PacketType.PUBREC


class _Run(Generic[T]):
    """Messages that were sent together, by consecutive packet identifiers, and are in flight."""

    __slots__ = ("beyond", "entry", "first")

    def __init__(self, first: int, beyond: int, entry: tuple[int, T]) -> None:
        self.first = first
        self.beyond = beyond
        self.entry = entry


class Sender(Generic[T]):
    """The sending end: gives packet identifiers and remembers what is not acknowledged.

    `quota` is how many more QoS 1 and 2 messages may be sent now (MQTT 5.0 §4.9). `in_flight` is
    the QoS and the item of each PUBLISH to be acknowledged, `released` the item of each PUBREL to
    be answered, both by packet identifier and in the order of sending. `reserved` are the packet
    identifiers of SUBSCRIBE and UNSUBSCRIBE that wait for their answer: they come from the same
    numbers (§2.2.1) and take no quota. All of them are for others to read; methods change them.
    """

    __slots__ = (
        "_in_flight",
        "_last",
        "_released",
        "_reserved",
        "_runs",
        "quota",
        "receive_maximum",
        "released",
        "reserved",
    )

    def __init__(self, receive_maximum: int = MAX_PACKET_IDENTIFIER) -> None:
        self.receive_maximum = receive_maximum
        self.quota = receive_maximum
        self._in_flight: dict[int, tuple[int, T]] = {}
        # What was sent after all of that, in runs: these are begun, and acknowledged from the first
        # on, as one. Whatever else is done makes them entries of `_in_flight`.
        self._runs: list[_Run[T]] | None = None
        self._released: dict[int, T] = {}
        # Keys alone: an empty set takes three times the memory of an empty dictionary.
        self._reserved: dict[int, None] = {}
        self._last = 0
        # The same objects, in types that only read: a property would cost a call for each message.
        self.released: Mapping[int, T] = self._released
        self.reserved: AbstractSet[int] = self._reserved.keys()

    @property
    def in_flight(self) -> Mapping[int, tuple[int, T]]:
        """The QoS and the item of each PUBLISH to be acknowledged."""
        if self._runs:
            self._take_apart()
        return self._in_flight

    def _take_apart(self) -> None:
        """Have what was sent in runs in flight as messages."""
        if self._runs:
            for run in self._runs:
                self._in_flight.update(dict.fromkeys(range(run.first, run.beyond), run.entry))
            self._runs.clear()

    def __len__(self) -> int:
        runs = sum([run.beyond - run.first for run in self._runs]) if self._runs else 0
        return runs + len(self._in_flight) + len(self._released)

    def restore(self, packet_id: int, qos: int, item: T) -> None:
        """A PUBLISH was in flight when the session was stored: it is to be sent again."""
        if self._runs:
            self._take_apart()
        self._in_flight[packet_id] = (qos, item)

    def restore_released(self, packet_id: int, item: T) -> None:
        """A PUBREL waited for its answer when the session was stored."""
        self._released[packet_id] = item

    def all_restored(self) -> None:
        """All was restored, in any order: the identifiers tell in which it was sent (§4.6).

        They were taken one after the other, from 1 again after the last: the widest gap between
        two that are in use lies between the newest and the oldest.
        """
        if self._runs:
            self._take_apart()
        in_use = sorted((*self._in_flight, *self._released))
        if not in_use:
            return
        before = [in_use[-1] - MAX_PACKET_IDENTIFIER, *in_use]
        gaps = [one - other for one, other in zip(in_use, before, strict=False)]
        oldest = gaps.index(max(gaps))
        order = in_use[oldest:] + in_use[:oldest]
        self._last = order[-1]
        for packet_id in order:  # each becomes the last of those that are in order already
            if packet_id in self._in_flight:
                self._in_flight[packet_id] = self._in_flight.pop(packet_id)
            else:
                self._released[packet_id] = self._released.pop(packet_id)

    def connected(self, receive_maximum: int) -> None:
        """A new connection begins: its peer accepts `receive_maximum` unacknowledged messages.

        What was only released counts until PUBCOMP. What is to be sent again counts when it is:
        `sent_again` for each, and none while there is no quota (§4.9).
        """
        self.receive_maximum = receive_maximum
        self.quota = receive_maximum - len(self._released)
        self._reserved.clear()

    def disconnected(self) -> None:
        """The connection has ended: SUBSCRIBE and UNSUBSCRIBE get no answer any more."""
        self._reserved.clear()

    def begin(self, qos: int, item: T) -> int:
        """Take a free packet identifier for `item`, to be sent at `qos` (1 or 2).

        Raises LocalProtocolError if the quota is used up.
        """
        if self._runs:
            self._take_apart()
        if self.quota <= 0:
            raise LocalProtocolError("the receive maximum is reached")
        packet_id = self._last + 1
        if (
            packet_id > MAX_PACKET_IDENTIFIER
            or packet_id in self._in_flight
            or packet_id in self._released
            or packet_id in self._reserved
        ):
            packet_id = self.free_identifier()
        self._last = packet_id
        self.quota -= 1
        self._in_flight[packet_id] = (qos, item)
        return packet_id

    def begin_run(self, qos: int, item: T, count: int) -> int:
        """Take `count` identifiers for messages that share an item: the first of them.

        They are one after the other; 0 where so many in a row are not free. Raises
        LocalProtocolError if the quota does not suffice.
        """
        if self.quota < count:
            raise LocalProtocolError("the receive maximum is reached")
        first = self._last + 1
        if first + count - 1 > MAX_PACKET_IDENTIFIER:
            first = 1
        runs = self._runs
        if runs is None:
            runs = self._runs = []
        elif len(runs) >= _MOST_RUNS:
            self._take_apart()
        if self._in_flight or self._released or self._reserved:
            packet_ids = range(first, first + count)
            for in_use in (self._in_flight.keys(), self._released.keys(), self._reserved.keys()):
                if in_use and not in_use.isdisjoint(packet_ids):
                    return 0
        for run in runs:
            if run.first < first + count and first < run.beyond:
                return 0
        self._last = first + count - 1
        self.quota -= count
        runs.append(_Run(first, first + count, (qos, item)))
        return first

    def begin_later(self, qos: int, item: T) -> int:
        """Take a free packet identifier for `item`, which counts only once it is `sent_again`.

        Raises LocalProtocolError if all are in use.
        """
        if self._runs:
            self._take_apart()
        packet_id = self.free_identifier()
        self._in_flight[packet_id] = (qos, item)
        return packet_id

    def sent_again(self) -> None:
        """A PUBLISH that the connection found in flight takes its quota.

        It was sent again; or it was answered before that, and so gave back what it had not taken.
        """
        self.quota -= 1

    def take_back(self, packet_id: int) -> None:
        """What `begin` took an identifier for is not sent after all."""
        if self._runs:
            self._take_apart()
        del self._in_flight[packet_id]
        self.quota += 1

    def give_up(self, packet_id: int) -> None:
        """A PUBLISH that has taken no quota on this connection is not sent again."""
        if self._runs:
            self._take_apart()
        del self._in_flight[packet_id]

    def forget_released(self) -> list[T]:
        """The peer has lost its session: no PUBREL will be answered. Returns their items."""
        items = list(self._released.values())
        self._released.clear()
        return items

    def free_identifier(self) -> int:
        """An identifier that is not in use, the next in turn (MQTT 5.0 §2.2.1).

        Raises LocalProtocolError if all are in use.
        """
        if self._runs:
            self._take_apart()
        packet_id = self._last
        for _ in range(MAX_PACKET_IDENTIFIER):
            packet_id = packet_id + 1 if packet_id < MAX_PACKET_IDENTIFIER else 1
            if (
                packet_id not in self._in_flight
                and packet_id not in self._released
                and packet_id not in self._reserved
            ):
                self._last = packet_id
                return packet_id
        raise LocalProtocolError("every packet identifier is in use")

    def reserve_identifier(self) -> int:
        """An identifier for SUBSCRIBE or UNSUBSCRIBE; `return_identifier` gives it back.

        Raises LocalProtocolError if all are in use.
        """
        packet_id = self.free_identifier()
        self._reserved[packet_id] = None
        return packet_id

    def return_identifier(self, packet_id: int) -> None:
        """SUBSCRIBE or UNSUBSCRIBE was answered, or not sent after all."""
        self._reserved.pop(packet_id, None)

    # An answer to nothing is let pass: it may be a late one, to what was given up. One that does
    # not fit what is on its way is a protocol error (MQTT 3.1.1 §4.8): that would hold its place
    # for ever. Then nothing is changed.

    def on_puback(self, packet_id: int) -> T | None:
        """PUBACK came: the item is done. None for an identifier that is not in use.

        Raises RemoteProtocolError for what awaits PUBREC or PUBCOMP.
        """
        if self._runs:
            run = self._runs[0]
            if run.first == packet_id and run.entry[0] == 1:
                self._acknowledged(run, packet_id + 1)
                return run.entry[1]
            self._take_apart()
        entry = self._in_flight.get(packet_id)
        if entry is None:
            if packet_id in self._released:
                raise RemoteProtocolError("PUBACK answers a PUBREL")
            return None
        if entry[0] != 1:
            raise RemoteProtocolError("PUBACK answers a message of QoS 2")
        del self._in_flight[packet_id]
        self.quota += 1
        return entry[1]

    def on_pubacks(self, packet_ids: range) -> range:
        """PUBACKs came for consecutive packet identifiers: what of them is left to `on_run`.

        That is nothing where they acknowledge runs in the order in which these were sent.
        """
        first, beyond = packet_ids.start, packet_ids.stop
        runs = self._runs
        while runs and first < beyond:
            run = runs[0]
            if run.first != first or run.entry[0] != 1:
                break
            if run.beyond > beyond:
                self.quota += beyond - first
                run.first = first = beyond
            else:
                self.quota += run.beyond - first
                first = run.beyond
                del runs[0]
        return range(first, beyond)

    def _acknowledged(self, run: _Run[T], beyond: int) -> None:
        """The messages of the first run before this identifier were acknowledged."""
        self.quota += beyond - run.first
        run.first = beyond
        if beyond == run.beyond and self._runs:
            del self._runs[0]

    def on_pubrec(self, packet_id: int, reason_code: ReasonCode) -> tuple[T | None, bool]:
        """PUBREC came: the item, and whether PUBREL is to be sent for it.

        A failure ends the delivery (§4.3.3). A PUBREC for an identifier that is not in use
        gives (None, False): the answer is PUBREL with PACKET_IDENTIFIER_NOT_FOUND, unless PUBREC
        says failure. Raises RemoteProtocolError for what awaits PUBACK, and for a failure of what
        was accepted before.
        """
        if self._runs:
            self._take_apart()
        entry = self._in_flight.get(packet_id)
        if entry is None:
            if packet_id not in self._released:
                return None, False
            if reason_code >= 0x80:
                raise RemoteProtocolError("PUBREC refuses a message that it has accepted")
            # The peer repeats PUBREC when it never saw PUBREL: it gets it again.
            return self._released[packet_id], True
        if entry[0] != 2:
            raise RemoteProtocolError("PUBREC answers a message of QoS 1")
        del self._in_flight[packet_id]
        if reason_code >= 0x80:
            self.quota += 1
            return entry[1], False
        self._released[packet_id] = entry[1]
        return entry[1], True

    def on_pubrecs(self, packet_ids: range) -> range:
        """PUBRECs came for consecutive packet identifiers: what of them is left to `on_run`.

        That is nothing where they answer runs in the order in which these were sent. PUBREL is to
        be sent for the others.
        """
        first, beyond = packet_ids.start, packet_ids.stop
        while self._runs and first < beyond:
            run = self._runs[0]
            if run.first != first or run.entry[0] != 2:
                break
            first = min(run.beyond, beyond)
            self._released.update(dict.fromkeys(range(run.first, first), run.entry[1]))
            run.first = first
            if first == run.beyond:
                del self._runs[0]
        return range(first, beyond)

    def on_pubcomps(self, packet_ids: range) -> bool:
        """PUBCOMPs came for packet identifiers; False where `on_run` must look at each of them."""
        if not take_all(self._released, packet_ids):
            return False
        self.quota += len(packet_ids)
        return True

    def on_pubcomp(self, packet_id: int) -> T | None:
        """PUBCOMP came: the item is done. None for an identifier that is not in use.

        Raises RemoteProtocolError for what awaits PUBACK or PUBREC.
        """
        if self._runs:
            self._take_apart()
        if packet_id not in self._released:
            if packet_id in self._in_flight:
                raise RemoteProtocolError("PUBCOMP answers a PUBLISH")
            return None
        self.quota += 1
        return self._released.pop(packet_id)

    def on_run(self, kind: PacketType, packet_ids: Sequence[int]) -> Outcome[T]:
        """PUBACKs, PUBRECs or PUBCOMPs came one after the other, none of which says failure.

        It is as if each had come alone, only that what is raised there is the outcome's violation.
        A PUBREC of `unknown` is answered by PUBREL with PACKET_IDENTIFIER_NOT_FOUND.
        """
        if self._runs:
            self._take_apart()
        outcome: Outcome[T] = Outcome(len(packet_ids))
        items, unknown = outcome.items, outcome.unknown
        in_flight, released = self._in_flight, self._released
        place = 0
        try:
            if kind is _PUBACK:
                for place, packet_id in enumerate(packet_ids):
                    entry = in_flight.get(packet_id)
                    if entry is not None and entry[0] == 1:
                        del in_flight[packet_id]
                        items[packet_id] = entry[1]
                    else:
                        self.on_puback(packet_id)
                        unknown.append(place)
            elif kind is _PUBREC:
                for place, packet_id in enumerate(packet_ids):
                    entry = in_flight.get(packet_id)
                    if entry is not None and entry[0] == 2:
                        del in_flight[packet_id]
                        items[packet_id] = released[packet_id] = entry[1]
                    elif not self.on_pubrec(packet_id, ReasonCode.SUCCESS)[1]:
                        unknown.append(place)
            else:
                for place, packet_id in enumerate(packet_ids):
                    if packet_id in released:
                        items[packet_id] = released.pop(packet_id)
                    else:
                        self.on_pubcomp(packet_id)
                        unknown.append(place)
        except RemoteProtocolError as error:
            outcome.violation, outcome.count = without_frames(error), place
        if kind is not _PUBREC:
            self.quota += len(items)
        return outcome

    def to_resend(self) -> Iterator[tuple[int, int, T]]:
        """Packet identifier, QoS and item of each PUBLISH to send again, with DUP (§4.4).

        They are in the order in which they were first sent (§4.6); `connected` says how they count.
        """
        if self._runs:
            self._take_apart()
        for packet_id, (qos, item) in self._in_flight.items():
            yield packet_id, qos, item
