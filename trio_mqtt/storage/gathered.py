"""Changes as a broker gathers them: messages stay together as they came, and are rows when asked.

Most of what an online session is sent comes and goes before it would be written. So a run of
messages is one entry, and what becomes of them is a look-up by number; whoever writes makes rows of
what is left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from trio_mqtt.protocol.properties import Carrier, Properties, encode_properties
from trio_mqtt.storage.rows import Changes, DeliveryRow, MessageRow

if TYPE_CHECKING:
    from trio_mqtt.protocol.packets import Publish


class MessageRun(NamedTuple):
    """Messages that came together; their numbers begin at `first`. Those of QoS 0 are not kept."""

    first: int
    messages: Sequence[Publish]
    received_at: float


class DeliveryRun(NamedTuple):
    """Such messages on their way to one session, which gets them at `qos` at most.

    `place` is where they stand in place of others, as in a DeliveryRow.
    """

    session: int
    first: int
    messages: Sequence[Publish]
    topic_filter: str
    is_shared: bool
    qos: int
    keeps_retain: bool
    identifiers: bytearray
    place: int = 0


class Gathered(Changes):
    """What has changed since the last group."""

    __slots__ = (
        "_left",
        "_packet_ids",
        "_rows_of_deliveries",
        "_rows_of_messages",
        "delivery_runs",
        "gone",
        "is_urgent",
        "message_runs",
        "taken_count",
    )

    def __init__(self) -> None:
        self._rows_of_messages: dict[int, MessageRow | None] = {}
        self._rows_of_deliveries: dict[tuple[int, int], DeliveryRow | None] = {}
        super().__init__()
        self.message_runs: dict[int, MessageRun] = {}  # by the number of their first message
        self.delivery_runs: list[DeliveryRun] = []
        # Of the messages in runs: those that no session needs any more, and for each session those
        # that are still on their way to it, and the packet identifiers of what is in flight.
        self.gone: set[int] = set()
        self._left: dict[int, set[int]] = {}
        self._packet_ids: dict[int, dict[int, int]] = {}
        # How many deliveries in runs were over before they were written.
        self.taken_count = 0
        # Something else is promised than that connected clients get their messages.
        self.is_urgent = False

    def __bool__(self) -> bool:
        return bool(
            self._left
            or self._rows_of_messages
            or self._rows_of_deliveries
            or self.identifiers
            or self.subscriptions
            or self.sessions
            or self.retained
            or self.clock_set
        )

    # -- gathering ------------------------------------------------------------------------------

    def came(self, run: MessageRun) -> None:
        """Messages have come, of which there are deliveries."""
        self.message_runs[run.first] = run

    def came_back(self, run: MessageRun) -> Collection[int]:
        """Messages that have come have another delivery; the numbers of those that had none left.

        A session may be done with a message, as with one too large for its client, before the next
        one gets it.
        """
        numbers = range(run.first, run.first + len(run.messages))
        if run.first not in self.message_runs:  # nothing was left of any run
            self.message_runs[run.first] = run
            self.gone.difference_update(numbers)
            return numbers
        back = self.gone.intersection(numbers)
        self.gone -= back
        return back

    def queued(self, run: DeliveryRun) -> None:
        """Messages are on their way to a session."""
        self.delivery_runs.append(run)
        numbers = [number for number, message in enumerate(run.messages, run.first) if message.qos]
        left = self._left.get(run.session)
        if left is not None:
            left.update(numbers)
        elif numbers:
            self._left[run.session] = set(numbers)

    def sent(self, session: int, packet_ids: Mapping[int, int]) -> None:
        """Messages of this group are in flight to a session; `packet_ids` are by number."""
        known = self._packet_ids.get(session)
        if known is None:
            self._packet_ids[session] = dict(packet_ids)
        else:
            known.update(packet_ids)

    def taken(self, session: int, numbers: Collection[int]) -> None:
        """Messages of this group have reached a session, or never will."""
        left = self._left.get(session)
        if left is None:
            return
        before = len(left)
        left.difference_update(numbers)
        self.taken_count += before - len(left)
        if not left:
            del self._left[session]
            if not self._left:
                self._forget_runs()  # a group has no end while the storage fails

    @property
    def may_settle(self) -> bool:
        """Whether acknowledgements alone may spare it the storage."""
        return bool(self._left) and not self.is_urgent

    @property
    def left(self) -> int:
        """How many deliveries in runs are not over."""
        return sum(map(len, self._left.values()))

    def set_message(self, number: int, row: MessageRow | None) -> None:
        """What is to be written of a message beside the runs, after them."""
        self._rows_of_messages[number] = row

    def set_delivery(self, session: int, number: int, row: DeliveryRow | None) -> None:
        """What is to be written of a delivery beside the runs, after them."""
        self._rows_of_deliveries[session, number] = row

    def unset_delivery(self, session: int, number: int) -> None:
        """Of a delivery nothing is to be written beside the runs."""
        self._rows_of_deliveries.pop((session, number), None)

    # -- what is left ---------------------------------------------------------------------------

    def messages_left(self) -> Iterator[tuple[int, Publish, float]]:
        """The messages of the runs that somebody needs: number, message, when it was received."""
        gone = self.gone
        for first, messages, at in self.message_runs.values():
            for number, message in enumerate(messages, first):
                if message.qos and number not in gone:
                    yield number, message, at

    def deliveries_left(self) -> Iterator[tuple[int, int, str, int, int, bytearray, int, int]]:
        """The deliveries of the runs that are not over: what their rows begin with."""
        for run in self.delivery_runs:
            session, first, messages, topic_filter, is_shared, most, keeps_retain = run[:7]
            left = self._left.get(session, ())
            packet_ids = self._packet_ids.get(session, _NONE)
            for number, message in enumerate(messages, first):
                if number in left:
                    packet_id = packet_ids.get(number, 0)
                    yield (
                        session,
                        number,
                        # In flight, it belongs to no subscription any more.
                        "" if packet_id and not is_shared else topic_filter,
                        message.qos if message.qos < most else most,
                        1 if keeps_retain and message.retain else 0,
                        run.identifiers,
                        packet_id,
                        run.place,
                    )

    def _unroll(self) -> None:
        """Make rows of what is in runs."""
        if not self.delivery_runs:
            return
        messages = {
            number: message_row(number, message, at) for number, message, at in self.messages_left()
        }
        deliveries = {
            row[:2]: DeliveryRow(*row[:5], bytes(row[5]), row[6], place=row[7])
            for row in self.deliveries_left()
        }
        self._rows_of_messages = {**messages, **self._rows_of_messages}
        self._rows_of_deliveries = {**deliveries, **self._rows_of_deliveries}
        self._forget_runs()

    def _forget_runs(self) -> None:
        self.message_runs, self.delivery_runs = {}, []
        self._left, self._packet_ids = {}, {}
        self.gone = set()

    def beside_runs(
        self,
    ) -> tuple[dict[int, MessageRow | None], dict[tuple[int, int], DeliveryRow | None]]:
        """The rows of messages and deliveries that are to be written after the runs."""
        return self._rows_of_messages, self._rows_of_deliveries

    # Whoever asks for rows gets them.

    @property
    def messages(self) -> dict[int, MessageRow | None]:
        self._unroll()
        return self._rows_of_messages

    @messages.setter
    def messages(self, rows: dict[int, MessageRow | None]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._rows_of_messages = rows

    @property
    def deliveries(self) -> dict[tuple[int, int], DeliveryRow | None]:
        self._unroll()
        return self._rows_of_deliveries

    @deliveries.setter
    def deliveries(self, rows: dict[tuple[int, int], DeliveryRow | None]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._rows_of_deliveries = rows


_NONE: Mapping[int, int] = {}


def message_row(number: int, message: Publish, received_at: float) -> MessageRow:
    """A message as it is kept."""
    properties = message.properties
    return MessageRow(
        number,
        message.topic,
        message.payload,
        message.qos,
        1 if message.retain else 0,  # not a bool, for which SQLite asks around
        received_at,
        encoded(properties) if properties else b"",
        expiry(message, received_at) if properties else None,
    )


def encoded(properties: Properties) -> bytes:
    """Properties of PUBLISH as they are kept."""
    return encode_properties(properties, Carrier.PUBLISH) if properties else b""


def expiry(message: Publish, received_at: float) -> float | None:
    """When a message expires that was received at this time of day; None is never (§3.3.2.3.3)."""
    properties = message.properties
    interval = properties.get("message_expiry_interval") if properties else None
    return None if interval is None else received_at + interval


def encoded_identifiers(identifiers: tuple[int, ...]) -> bytes:
    """Subscription identifiers as they are kept."""
    if not identifiers:
        return b""
    return encode_properties({"subscription_identifier": list(identifiers)}, Carrier.PUBLISH)
