"""The messages of one read, and their shared encodings.

A batch travels as one thing from the connection that received it to each subscription. Whatever
subscribers have in common is encoded once: the frames that came in are passed on where nothing
changes, and at QoS 1 and 2 everything but the packet identifier is shared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from trio_mqtt.broker.mount_points import properties_below, topic_below
from trio_mqtt.broker.routing.sizes import BATCH, MESSAGE, STRETCH, beside, size_of
from trio_mqtt.protocol.encoding import publish_parts
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.properties import (
    NO_PROPERTIES,
    Carrier,
    Properties,
    encode_properties,
)

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.protocol.run_frames import RunFrames

# A message ready to be sent: a whole packet of QoS 0, or what stands before and after the packet
# identifier. None is a message that expired or is too large for this client.
Encoded = bytes | tuple[bytes, bytes, int] | None

# One entry a message, and, if all are of QoS 0, the packets joined.
Encodings = tuple[list[Encoded], bytes | None]
_NO_ENTRIES: list[Encoded] = []

# A batch may wait for thousands of clients, each with its own identifiers or at its own second of
# the expiry interval: remembering the encodings for all of them would cost a copy for each.
KEPT_ENCODINGS = 8
JOIN = 256 * 1024  # bytes of several batches that are written together


# The subscription identifiers that are added, and the mount point that is taken away.
Changes = tuple[tuple[int, ...], str]


class Form(Protocol):
    """As what messages are sent to a subscription."""

    @property
    def qos(self) -> int:
        """The QoS at most."""

    @property
    def retain_as_published(self) -> bool:
        """Whether they keep their RETAIN flag (§3.8.3.1)."""

    @property
    def changes(self) -> Changes | None:
        """What is otherwise in each than it came; None for nothing."""


class _Parts:
    """Parts of a batch that many queues have room for: each is made once."""

    __slots__ = ("ends", "first", "lasting")

    def __init__(self) -> None:
        self.ends: list[int] = []  # the bytes of all messages up to each
        self.first: dict[int, Batch] = {}
        self.lasting: Batch | None = None


class Batch:
    """Messages that arrived together, in order: a sequence of them, or a run as it came in.

    `sender` is the session that published them (None for the broker itself); `is_v5` the version of
    their frames; `received_at` the broker's clock, in seconds; `retained` whether they come from
    the retained messages and keep their RETAIN flag. `size` is their bytes, `payload_size` those of
    their payloads; `expires` tells whether any of them has an expiry interval.
    """

    __slots__ = ("_above_qos_0", "_encodings", "_forms", "_messages", "_parts", "_run",
                 "_sent_last", "count", "expires", "highest_qos", "is_spread", "is_v5", "number",
                 "payload_size", "received_at", "retained", "sender", "size", "topic")  # fmt: skip

    def __init__(
        self,
        messages: Sequence[Publish] | PublishRun,
        *,
        sender: Author | None = None,
        is_v5: bool = True,
        received_at: float = 0.0,
        retained: bool = False,
    ) -> None:
        self.count = count = len(messages)
        # The topic of all messages, if it is known without a look at each.
        self.topic: str | None = None
        self.expires = False
        self.highest_qos = 0
        if isinstance(messages, PublishRun):
            self._run: PublishRun | None = messages
            self._messages: Sequence[Publish] = ()
            self.highest_qos = messages.qos
            extra = beside(messages) * count + STRETCH * len(messages.topics)
            self.size = BATCH + len(messages.frames) + extra
            self.payload_size = messages.payload_size
            self.topic = messages.topic
        else:
            self._run = None
            self._messages = messages
            size = payloads = 0
            for message in messages:
                frame = message.frame
                if frame is None:
                    size += size_of(message)
                    payloads += message.payload_size
                else:
                    size += len(frame)
                    payloads += len(frame) - message.payload_at
                if message.qos > self.highest_qos:
                    self.highest_qos = message.qos
                if message.properties and "message_expiry_interval" in message.properties:
                    self.expires = True
            self.size = BATCH + size + MESSAGE * count
            self.payload_size = payloads
            if count == 1:
                self.topic = messages[0].topic
        # The number of the first message in the journal; 0 while they are not kept.
        self.number = 0
        # Whether those whom it is offered to are told later that they may send it: see `Spreading`.
        self.is_spread = False
        self.sender = sender
        self.is_v5 = is_v5
        self.received_at = received_at
        self.retained = retained
        self._encodings: dict[tuple[object, ...], Encodings] = {}
        # A run as it is sent where something is otherwise than it came.
        self._forms: dict[tuple[bool, int, Changes | None], RunFrames] | None = None
        self._parts: _Parts | None = None
        # The identifiers with which it was sent last, from the first on, and what that was.
        self._sent_last: tuple[int, RunFrames, bytes] | None = None
        self._above_qos_0: int | None = None

    @property
    def content(self) -> Sequence[Publish] | PublishRun:
        """The messages as they came: a sequence of them, or a run."""
        return self._messages if self._run is None else self._run

    @property
    def messages(self) -> Sequence[Publish]:
        """The messages one by one."""
        return self._messages if self._run is None else self._run.messages

    @property
    def topics(self) -> Sequence[str]:
        """The topics of its pieces: of each stretch of a run, else of each message."""
        run = self._run
        return run.topics if run is not None else [message.topic for message in self._messages]

    def sample(self, count: int) -> Sequence[Publish]:
        """The first `count` messages."""
        return self._messages[:count] if self._run is None else self._run.first(count)

    @property
    def mean_size(self) -> int:
        """The bytes that one of its messages occupies by itself, on average."""
        run = self._run
        extra = 0 if run is None else MESSAGE - beside(run)
        return (self.size - BATCH) // self.count + extra

    @property
    def above_qos_0(self) -> int:
        """How many of its messages are of QoS 1 and 2."""
        if self.highest_qos == 0:
            return 0
        if self._run is not None:
            return self.count
        if self._above_qos_0 is None:
            self._above_qos_0 = sum(1 for message in self._messages if message.qos)
        return self._above_qos_0

    @property
    def is_run(self) -> bool:
        """Whether these are messages of QoS 0 that nobody is told about."""
        return self._run is not None and self.highest_qos == 0

    def taken_apart(self) -> Sequence[Publish]:
        """The messages one by one, where they are held for long: from now on it has no run."""
        if self._run is not None:
            self._messages, self._run = self._run.messages, None
            self._forms = None
        return self._messages

    @property
    def run(self) -> PublishRun | None:
        """The messages, where they are a run as it came in."""
        return self._run

    def run_for(self, form: Form, is_v5: bool, maximum: int | None) -> RunFrames | None:
        """What goes to a subscription of a run of QoS 1 or 2, but for packet identifiers."""
        run, qos = self._run, form.qos
        if run is None or qos == 0:
            return None
        frames: RunFrames | None = run
        if form.changes is not None or is_v5 is not self.is_v5 or qos < run.qos:
            frames = self._frames_for(form, is_v5)
        return (
            frames if maximum is None or frames is None or len(frames.frames) <= maximum else None
        )

    def sent_whole(self, frames: RunFrames, packet_id: int) -> bytes:
        """All of a run as it is sent: `frames`, with the packet identifiers from `packet_id` on.

        It is made once for all who get the same identifiers, one after the other: those are many
        where they all were sent the same before.
        """
        last = self._sent_last
        if last is not None and last[0] == packet_id and last[1] is frames:
            return last[2]
        data = frames.with_identifiers(0, self.count, packet_id)
        self._sent_last = packet_id, frames, data
        return data

    def piece(self, number: int) -> range:
        """Which of the messages one of its pieces is."""
        run = self._run
        if run is None:
            return range(number, number + 1)
        firsts = run.firsts
        return range(firsts[number], firsts[number + 1] if number + 1 < len(firsts) else self.count)

    def some(self, pieces: Sequence[int]) -> Batch:
        """A batch of some of its pieces, by their numbers in ascending order."""
        run, messages = self._run, self._messages
        return self.part([messages[at] for at in pieces] if run is None else run.some(pieces))

    def part(self, messages: Sequence[Publish] | PublishRun) -> Batch:
        """A batch of some of these messages."""
        return Batch(
            messages,
            sender=self.sender,
            is_v5=self.is_v5,
            received_at=self.received_at,
            retained=self.retained,
        )

    def lasting(self, messages: Sequence[Publish]) -> Batch:
        """The part of QoS 1 and 2, which are these: the same for all who are away."""
        shared = self._shared_parts
        if shared.lasting is None:
            shared.lasting = self.part(messages)
        return shared.lasting

    def first(self, count: int, size: int) -> Batch | None:
        """The first messages, as many as `count`, and as `size` bytes are enough for.

        None if that is none of them. The same for all who have as much room, and often many have.
        """
        shared = self._shared_parts
        if not shared.ends:
            shared.ends = list(accumulate(size_of(one) + MESSAGE for one in self.messages))
        count = min(count, bisect_right(shared.ends, size))
        if count <= 0:
            return None
        if count >= self.count:
            return self
        found = shared.first.get(count)
        if found is None:
            found = shared.first[count] = self.part(self.messages[:count])
        return found

    @property
    def _shared_parts(self) -> _Parts:
        if self._parts is None:
            self._parts = _Parts()
        return self._parts

    def encoded(self, form: Form, is_v5: bool, maximum: int | None, now: float) -> Encodings:
        """The messages for a subscription, shared with all that ask for the same.

        A run that may go on as it is comes joined only, without the list of its messages; not so
        if any of them may be larger than `maximum`, the bytes in one packet that a client accepts.
        """
        run = self._run
        if run is not None and (run.qos == 0 or form.qos == 0):
            frames = self._frames_for(form, is_v5)
            if frames is not None and (maximum is None or len(frames.frames) <= maximum):
                return _NO_ENTRIES, frames.frames
        elapsed = int(now - self.received_at) if self.expires else 0
        qos, retain_as_published = form.qos, form.retain_as_published
        changes = form.changes
        key = (is_v5, qos, retain_as_published, changes, elapsed)
        found = self._encodings.get(key)
        if found is None:
            entries: list[Encoded] = []
            append = entries.append
            as_it_came = is_v5 is self.is_v5 and changes is None and not self.expires
            for message in self.messages:
                frame = message.frame
                if (
                    as_it_came
                    and frame is not None
                    and message.qos <= qos
                    and not message.dup
                    and (not message.retain or retain_as_published)
                ):
                    if message.qos:
                        at = message.packet_id_at
                        append((frame[:at], frame[at + 2 :], message.qos))
                    else:
                        append(frame)
                else:
                    append(self._encode(message, is_v5, qos, retain_as_published, changes, elapsed))
            joined = None
            if self.highest_qos == 0 or qos == 0:
                packets = [entry for entry in entries if isinstance(entry, bytes)]
                joined = b"".join(packets) if len(packets) == len(entries) else None
            if len(self._encodings) >= KEPT_ENCODINGS:
                self._encodings.clear()
            found = self._encodings[key] = (entries, joined)
        return found

    def _frames_for(self, form: Form, is_v5: bool) -> RunFrames | None:
        """A run as it goes to a subscription; None if there is none, or it must be taken apart."""
        run = self._run
        if run is None:
            return None
        qos, changes = min(run.qos, form.qos), form.changes
        if changes is None and is_v5 is self.is_v5 and qos == run.qos:
            return run
        key = (is_v5, qos, changes)
        forms = self._forms
        if forms is None:
            forms = self._forms = {}
        found = forms.get(key)
        if found is None:
            identifiers, mount_point = changes or ((), "")
            properties = b""
            if is_v5:
                added: Properties = (
                    {"subscription_identifier": list(identifiers)} if identifiers else NO_PROPERTIES
                )
                properties = encode_properties(added, Carrier.PUBLISH)
            names: list[str] | None = None
            if mount_point:
                names = []
                for topic in run.topics:
                    name = topic_below(mount_point, topic)
                    if name is None:
                        return None
                    names.append(name)
            if len(forms) >= KEPT_ENCODINGS:
                forms.clear()
            found = forms[key] = run.sent_as(qos, properties, names)
        return found

    def _encode(
        self,
        message: Publish,
        is_v5: bool,
        maximum_qos: int,
        retain_as_published: bool,
        changes: Changes | None,
        elapsed: int,
    ) -> Encoded:
        topic = message.topic
        remaining = remaining_properties(message.properties, elapsed)
        if remaining is None:
            return None
        if changes is not None:
            identifiers, mount_point = changes
            if mount_point:
                below = topic_below(mount_point, topic)
                if below is None:
                    return None
                topic = below
                remaining = properties_below(mount_point, remaining)
            if identifiers:
                remaining = remaining.copy()
                remaining["subscription_identifier"] = list(identifiers)
        qos = min(message.qos, maximum_qos)
        before, after = publish_parts(
            topic,
            message.payload,
            qos,
            message.retain and (retain_as_published or self.retained),
            remaining,
            ProtocolVersion.V5 if is_v5 else ProtocolVersion.V311,
        )
        return before + after if qos == 0 else (before, after, qos)


def remaining_properties(properties: Properties, elapsed: int) -> Properties | None:
    """The properties after `elapsed` seconds of waiting; None once expired (§3.3.2.3.3)."""
    interval = properties.get("message_expiry_interval") if properties else None
    if interval is None or elapsed <= 0:
        return properties
    if elapsed >= interval:
        return None
    remaining = properties.copy()
    remaining["message_expiry_interval"] = interval - elapsed
    return remaining
