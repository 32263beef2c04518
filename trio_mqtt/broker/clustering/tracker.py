"""How far one durable session of this node is, as its fields in the engine say it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_mqtt.broker.clustering.inline import INLINE, Inline
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.cluster.cursors import Cursors
from trio_mqtt.cluster.floors import field_of
from trio_mqtt.cluster.positions import EntryId, entry_id, entry_text
from trio_mqtt.storage.gathered import encoded_identifiers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.sessions.session import Session

# Messages that came by one filter and are to come by another, of which one session remembers most.
_COPIES = 10_000

DELIVERY, RECEIVED, RELEASING = b"d/", b"n", b"r/"


class Under(NamedTuple):
    """A delivery under way, as it is kept: by a packet identifier that its client knows."""

    packet_id: int
    qos: int
    is_released: bool
    retain: bool
    topic_filter: str
    entry: EntryId
    message: int
    identifiers: bytes

    def __bytes__(self) -> bytes:
        flags = f"{self.qos} {int(self.is_released)} {int(self.retain)}"
        place = f"{entry_text(self.entry)} {self.message}"
        text = f"{flags} {place} {self.identifiers.hex()} {self.topic_filter}"
        return text.encode()

    @classmethod
    def parsed(cls, field: bytes, value: bytes) -> Under:
        """Raises ValueError where that is none."""
        qos, released, retain, entry, index, rest = value.decode().split(" ", 5)
        identifiers, _, topic_filter = rest.partition(" ")
        return cls(
            int(field[len(DELIVERY) :]),
            int(qos),
            released == "1",
            retain == "1",
            topic_filter,
            entry_id(entry),
            int(index),
            bytes.fromhex(identifiers),
        )


class Offered(NamedTuple):
    """What is being offered: messages of a log's entry, which the journal may hear are queued."""

    topic_filter: str
    batch: Batch
    indexes: Sequence[int]  # in the entry


class Tracker:
    """A session's cursors, what is in flight beyond them, and how much its client has published."""

    __slots__ = (
        "_copies",
        "_packet_ids",
        "cursors",
        "following",
        "incoming",
        "inline",
        "kept",
        "received",
        "restored",
        "session",
        "taken",
        "tokens",
    )

    def __init__(self, session: Session) -> None:
        self.session = session
        self.cursors = Cursors()
        # Of each filter, what tells one time that it has been followed from the next.
        self.tokens: dict[str, object] = {}
        # For who waits until its client has taken something.
        self.taken: trio.Event | None = None
        # The filters whose logs it follows, and the entry that it had last of each.
        self.following: dict[str, EntryId] = {}
        # Messages of QoS 2 that its client has published: how many, of how many of them the engine
        # knows, and which are not released.
        self.received = self.kept = 0
        self.incoming: dict[int, int] = {}
        # Numbers of what is in flight again, by filter, entry and place in it.
        self.restored: dict[tuple[str, EntryId, int], int] = {}
        # Packet identifiers of what is kept with one, by number.
        self._packet_ids: dict[int, int] = {}
        # What is in no log, by number.
        self.inline: dict[int, Inline] = {}
        # Messages that have come by one filter, and by how many others they are still to come.
        self._copies: OrderedDict[tuple[str, int], int] = OrderedDict()

    # -- what its client publishes at QoS 2 -----------------------------------------------------

    def identifiers(self, packet_ids: Collection[int], *, is_used: bool) -> dict[bytes, bytes]:
        """Packet identifiers have come, or are free again; what is to be written."""
        if not is_used:
            for packet_id in packet_ids:
                self.incoming.pop(packet_id, None)
            return {}
        for packet_id in packet_ids:
            self.received += 1
            self.incoming[packet_id] = self.received
        return {RECEIVED: b"%d" % self.received}

    # -- what its client is sent ----------------------------------------------------------------

    def is_first_copy(self, node: str, number: int, others: int) -> bool:
        """Whether a message that comes by several filters has come by none of them before.

        `others` are those by which it comes beside this one.
        """
        key = node, number
        copies = self._copies
        left = copies.get(key)
        if left is not None:
            if left > 1:
                copies[key] = left - 1
            else:
                del copies[key]
            return False
        copies[key] = others
        if len(copies) > _COPIES:
            copies.popitem(last=False)
        return True

    def keep(self, number: int, inline: Inline) -> dict[bytes, bytes | None]:
        """A message that is in no log is on its way; what is to be written of it."""
        self.inline[number] = inline
        fields: dict[bytes, bytes | None] = {inline.field: bytes(inline)}
        packet_id = self._packet_ids.pop(number, None)
        if packet_id is not None:  # it was kept by its place in a log before
            fields[DELIVERY + b"%d" % packet_id] = None
        return fields

    def sent(self, packet_ids: Mapping[int, int]) -> dict[bytes, bytes | None]:
        """Messages are in flight, by their numbers; what is to be written of those of QoS 2."""
        fields: dict[bytes, bytes | None] = {}
        for number, packet_id in packet_ids.items():
            entry = self.session.sender.in_flight.get(packet_id)
            if entry is not None and entry[0] == 2:
                fields |= self._written(number, packet_id)
        return fields

    def _written(
        self, number: int, packet_id: int, *, is_released: bool = False
    ) -> dict[bytes, bytes | None]:
        inline = self.inline.get(number)
        if inline is not None:
            return self.keep(number, inline._replace(packet_id=packet_id, is_released=is_released))
        place = self.cursors.place(number)
        if place is None:
            place = next((one for one, known in self.restored.items() if known == number), None)
        if place is None:
            return {}
        sender = self.session.sender
        qos, item = 2, sender.released.get(packet_id)
        if packet_id in sender.in_flight:
            qos, item = sender.in_flight[packet_id]
        if item is None:
            return {}
        _, retain, (identifiers, _), _, _ = in_flight_of(packet_id, item)
        self._packet_ids[number] = packet_id
        under = Under(packet_id, qos, is_released, retain, *place, encoded_identifiers(identifiers))
        return {DELIVERY + b"%d" % packet_id: bytes(under)}

    def released(self, packet_ids: Mapping[int, int]) -> dict[bytes, bytes | None]:
        """PUBREC has come for messages, by their numbers."""
        fields: dict[bytes, bytes | None] = {}
        for number, packet_id in packet_ids.items():
            fields |= self._written(number, packet_id, is_released=True)
        return fields

    def over(self, numbers: Collection[int]) -> dict[bytes, bytes | None]:
        """Nothing is left of messages, by their numbers; what is to be written beside cursors."""
        others = self.cursors.over(numbers)
        if self.taken is not None:
            self.taken.set()
        fields: dict[bytes, bytes | None] = {}
        if others and self.inline:
            kept = [self.inline.pop(number) for number in others if number in self.inline]
            fields.update((inline.field, None) for inline in kept)
        if not self._packet_ids:
            return fields
        if others and self.restored:
            again = {number: place for place, number in self.restored.items()}
            for number in others:
                place = again.get(number)
                if place is not None:  # it is over before its entry was read again
                    del self.restored[place]
                    self.cursors.skip(*place)
        known = self._packet_ids
        gone = [known.pop(number) for number in numbers if number in known]
        return fields | {DELIVERY + b"%d" % packet_id: None for packet_id in gone}

    def know(self, number: int, under: Under) -> None:
        """A message is in flight again, by the identifier that its client knows."""
        self._packet_ids[number] = under.packet_id
        self.restored[under.topic_filter, under.entry, under.message] = number

    def taken_up(self, entry: EntryId, topic_filter: str, left: Sequence[int]) -> Sequence[int]:
        """Of messages of the entry that came last, those that are not in flight already."""
        restored = self.restored
        if not restored:
            return left
        others: list[int] = []
        for index in left:
            number = restored.pop((topic_filter, entry, index), None)
            if number is None:
                others.append(index)
            else:
                self.cursors.take(topic_filter, number, (index,))
        return others

    # -- what is written ------------------------------------------------------------------------

    def moved(self) -> tuple[dict[bytes, bytes | None], dict[str, EntryId]]:
        """What is to be written of cursors that have moved, and up to which entries all is over."""
        moved = self.cursors.moved()
        fields: dict[bytes, bytes | None] = {
            field_of(topic_filter): bytes(position) for topic_filter, position in moved.items()
        }
        return fields, {one: position.place.entry for one, position in moved.items()}

    def at_the_end(self) -> dict[bytes, bytes | None]:
        """What is to be written where the client has gone: what is in flight goes on as it is."""
        fields: dict[bytes, bytes | None] = {}
        for packet_id, (qos, item) in self.session.sender.in_flight.items():
            number = in_flight_of(packet_id, item)[4]
            if qos == 1 and number:
                fields |= self._written(number, packet_id)
        return fields | self.moved()[0]


def under_way_of(fields: Mapping[bytes, bytes]) -> list[Under]:
    """The deliveries among the fields of a session. Raises ValueError where one is damaged."""
    return [
        Under.parsed(field, value) for field, value in fields.items() if field.startswith(DELIVERY)
    ]


def releasing_of(topic_filter: str) -> bytes:
    """The field that says that a log is to be told that a session has its filter no more."""
    return RELEASING + topic_filter.encode()


def released_of(fields: Mapping[bytes, bytes]) -> list[str]:
    """The filters of which that is among the fields of a session."""
    start = len(RELEASING)
    return [field[start:].decode() for field in fields if field.startswith(RELEASING)]


def inline_of(fields: Mapping[bytes, bytes]) -> list[Inline]:
    """What is in no log among the fields of a session. Raises ValueError where one is damaged."""
    return [
        Inline.parsed(field, value) for field, value in fields.items() if field.startswith(INLINE)
    ]


def shared_filter_of(text: str) -> TopicFilter | None:
    """Who shares what is in flight; None for nobody."""
    return TopicFilter(text) if text.startswith("$share/") else None
