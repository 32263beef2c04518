"""What tasks wait for: the fate of a message they publish, the answer to a request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import anyio

from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.packets import SubAck, UnsubAck
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode


class Outgoing:
    """A message that is being published, and its outcome."""

    __slots__ = (
        "_done",
        "_line",
        "_on_end",
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
        on_end: Callable[[Outgoing], None] | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.reason = ReasonCode.SUCCESS
        self.reason_text = ""
        self.error: MqttError | None = None
        self.abandoned = False  # nobody waits for it any more
        # Who publishes one message waits for the event; who publishes many is called.
        self._on_end = on_end
        self._done = anyio.Event() if on_end is None else None
        self._line: Line | None = None
        self._turn: anyio.Event | None = None
        self.sent = False  # on some connection
        # Where the client has a store: its place there, and whether its present state is safe.
        self.number = 0
        self.stored: anyio.Event | None = None

    def finish(self) -> None:
        """The broker has taken or refused the message."""
        if self._done is not None:
            self._done.set()
        elif self._on_end is not None:
            self._on_end(self)

    def fail(self, error: MqttError) -> None:
        """The broker never will."""
        self.error = error
        self.finish()

    def belongs_to(self, on_end: Callable[[Outgoing], None]) -> bool:
        """Whether its end is told there."""
        return self._on_end == on_end

    async def wait(self) -> None:
        """Until the message has come to its end; not for those who are called."""
        if self._done is None:
            raise AssertionError("its end is told by a call")
        try:
            await self._done.wait()
        except BaseException:
            self.abandoned = not self.leave_line()
            raise

    def stand_in(self, line: Line) -> None:
        """Wait behind all others in that line."""
        line[self] = None
        self._line = line

    @property
    def waits(self) -> bool:
        """Whether it stands in line."""
        return self._line is not None

    def leave_line(self) -> bool:
        """Wait there no more, to be sent or not to be; return whether it did wait."""
        line = self._line
        if line is None:
            return False
        del line[self]
        self._line = None
        if self._turn is not None:
            self._turn.set()
        return True

    async def turn(self) -> None:
        """Until the message no longer stands in line; cancelled, it is never sent."""
        if self._line is None:
            return
        self._turn = anyio.Event()
        try:
            await self._turn.wait()
        except BaseException:
            self.abandoned = not self.leave_line()
            raise


Line = OrderedDict[Outgoing, None]  # in the order of asking; who waits in it may leave at any time


class Pending:
    """A SUBSCRIBE or UNSUBSCRIBE that waits for its answer."""

    __slots__ = ("_done", "answer", "awaits", "count", "error", "on_answer")

    def __init__(
        self,
        awaits: type[SubAck | UnsubAck],
        count: int,
        on_answer: Callable[[SubAck | UnsubAck], None] | None = None,
    ) -> None:
        self.awaits = awaits
        self.count = count  # topic filters in the request
        self.on_answer = on_answer
        self.answer: SubAck | UnsubAck | None = None
        self.error: MqttError | None = None
        self._done = anyio.Event()

    def finish(self, answer: SubAck | UnsubAck) -> None:
        self.answer = answer
        self._done.set()
        if self.on_answer is not None:
            self.on_answer(answer)

    def fail(self, error: MqttError) -> None:
        self.error = error
        self._done.set()

    async def wait(self) -> SubAck | UnsubAck:
        """The answer. Raises the error of the connection that ended before it came."""
        await self._done.wait()
        if self.answer is None:
            raise self.error or AssertionError("done without an answer")
        return self.answer
