"""A message on its way to the broker, and what becomes of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import anyio

from trio_mqtt.client.explanations import explanation
from trio_mqtt.errors import MqttError, RequestRefusedError
from trio_mqtt.protocol.packets import PubAck, PubRec
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.storage.client_changes import OutgoingStored


class Delivery:
    """A message that is being published, and its outcome."""

    __slots__ = (
        "_done",
        "_on_end",
        "_queue",
        "_turn",
        "abandoned",
        "error",
        "number",
        "payload",
        "properties",
        "qos",
        "reason",
        "reason_text",
        "retain",
        "sent",
        "stored",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: Properties,
        on_end: Callable[[Delivery], None] | None = None,
        event: Callable[[], anyio.Event] = anyio.Event,
    ) -> None:
        """Who publishes one message waits for its end, by an `event`; who publishes many is called,
        by `on_end`.
        """
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.reason = ReasonCode.SUCCESS
        self.reason_text = ""
        self.error: MqttError | None = None
        self.abandoned = False  # nobody waits for it any more
        self._on_end = on_end
        self._done = event() if on_end is None else None
        self._queue: SendQueue | None = None
        self._turn: anyio.Event | None = None
        self.sent = False  # on some connection
        # Where the client has a store: its place there, and whether its present state is safe.
        self.number = 0
        self.stored: anyio.Event | None = None

    @classmethod
    def restored(cls, kept: OutgoingStored) -> Delivery:
        """A message that the program before had in its store."""
        item = cls(kept.topic, kept.payload, kept.qos, kept.retain, kept.properties)
        item.number = kept.number
        item.sent = True  # it may have been, by that program
        item.stored = anyio.Event()
        item.stored.set()
        return item

    def to_store(self, packet_id: int) -> OutgoingStored:
        """What the store keeps of it."""
        return OutgoingStored(
            self.number,
            packet_id,
            self.qos,
            self.retain,
            self.topic,
            self.payload,
            self.properties,
        )

    @property
    def is_safe(self) -> bool:
        """Whether its present state outlives this program, if it is to."""
        return self.stored is None or self.stored.is_set()

    async def safe(self) -> None:
        """Wait until it stands in the store. Raises the error that ended the client."""
        stored = self.stored
        if stored is None:
            raise AssertionError("it does not go to a store")
        try:
            await stored.wait()
        except BaseException:
            self.abandoned = True
            raise
        if self.stored is not stored and self.error is not None:
            raise self.error

    def take_reason(self, packet: PubAck | PubRec) -> None:
        """What the broker says of it."""
        self.reason = packet.reason_code
        if packet.properties:
            self.reason_text = explanation(packet.properties, beside=packet.reason_code)

    def finish(self) -> None:
        """The broker has taken or refused the message."""
        if self._done is not None:
            self._done.set()
        if self._on_end is not None:
            self._on_end(self)

    def fail(self, error: MqttError) -> None:
        """The broker never will."""
        self.error = error
        self.finish()

    def refusal(self, url: str) -> RequestRefusedError:
        """The error for a message that the broker of that address did not take."""
        return RequestRefusedError(
            f"The broker at {url} refused the message on {self.topic!r}:"
            f" {self.reason.sentence}{self.reason_text}.",
            self.reason,
        )

    def belongs_to(self, on_end: Callable[[Delivery], None]) -> bool:
        """Whether its end is told there."""
        return self._on_end == on_end

    async def wait(self) -> None:
        """Until the message has come to its end; not for those who are called."""
        if self._done is None:
            raise AssertionError("its end is told by a call")
        try:
            await self._done.wait()
        except BaseException:
            self.abandoned = not self.leave_queue()
            raise

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end; not for those whose end is told by a call."""
        return self._done is not None and self._done.is_set()

    def await_too(self) -> None:
        """Let its end be waited for beside being told by a call."""
        self._done = anyio.Event()

    async def ended(self) -> None:
        """Wait for its end, on which nothing depends."""
        if self._done is None:
            raise AssertionError("its end is told by a call")
        await self._done.wait()

    def join(self, queue: SendQueue) -> None:
        """Wait behind all others in that queue."""
        queue[self] = None
        self._queue = queue

    @property
    def waits(self) -> bool:
        """Whether it waits its turn."""
        return self._queue is not None

    def leave_queue(self) -> bool:
        """Wait there no more, to be sent or not to be; return whether it did wait."""
        queue = self._queue
        if queue is None:
            return False
        del queue[self]
        self._queue = None
        if self._turn is not None:
            self._turn.set()
        return True

    async def turn(self) -> None:
        """Until the message no longer waits its turn; cancelled, it is never sent."""
        if self._queue is None:
            return
        self._turn = anyio.Event()
        try:
            await self._turn.wait()
        except BaseException:
            self.abandoned = not self.leave_queue()
            raise


# In the order of asking; who waits in it may leave at any time.
SendQueue = OrderedDict[Delivery, None]
