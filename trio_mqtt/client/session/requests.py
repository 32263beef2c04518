"""Requests and their responses (MQTT 5.0 §4.10): one response topic for all of a client's."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import anyio

from trio_mqtt.client.connection.connection import Connection
from trio_mqtt.client.message import Message, Publisher
from trio_mqtt.client.messages import Messages
from trio_mqtt.client.session.granting import grant, leave, release
from trio_mqtt.client.session.session import Session
from trio_mqtt.client.session.subscriptions import Options
from trio_mqtt.errors import ConnectionLostError, LocalProtocolError, MqttError, RequestRefusedError
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_name_problem

MAX_EXPIRY = 0xFFFF_FFFF  # seconds


class _Answer:
    """What one request waits for."""

    __slots__ = ("_come", "error", "message")

    def __init__(self) -> None:
        self.message: Message | None = None
        self.error: MqttError | None = None
        self._come = anyio.Event()

    def give(self, message: Message) -> None:
        self.message = message
        self._come.set()

    def fail(self, error: MqttError) -> None:
        self.error = error
        self._come.set()

    async def wait(self) -> Message:
        await self._come.wait()
        if self.message is None:
            raise self.error or AssertionError("an answer without one")
        return self.message


class _Inbox(Messages):
    """Takes responses as they come and gives each to its request: no task, and no queue."""

    is_full = False  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def __init__(self, topic: str, requests: Requests, publisher: Publisher) -> None:
        super().__init__((topic,), 1, lambda: None, publisher=publisher)
        self._requests = requests

    def push(self, publish: Publish) -> None:
        self._requests.take(self.message(publish))

    def extend(self, run: Sequence[Publish]) -> None:
        for publish in run:
            self.push(publish)

    offer = extend

    def has_room(self) -> bool:
        return True

    def close(self, error: MqttError | None = None) -> None:
        super().close(error)
        self._requests.end(error)


class Requests:
    """The requests of a client."""

    def __init__(self, session: Session, publisher: Publisher) -> None:
        self.late = 0
        self._session = session
        self._publisher = publisher
        self._waiting: dict[bytes, _Answer] = {}
        self._last = 0
        self._inbox: _Inbox | None = None
        self._suggested: str | None = None  # response information that the inbox follows
        self._changing = anyio.Lock()

    async def request(
        self,
        topic: str,
        payload: bytes,
        timeout: float | None,  # noqa: ASYNC109 # it is told to the responder, too
        qos: int,
        properties: Properties | None,
    ) -> Message:
        own: Properties = {**properties} if properties else {}
        if "response_topic" in own or "correlation_data" in own:
            raise LocalProtocolError("A request sets its response topic and correlation data.")
        if timeout is not None and math.isfinite(timeout):
            own.setdefault("message_expiry_interval", min(MAX_EXPIRY, max(1, math.ceil(timeout))))
        self._last += 1
        number = own["correlation_data"] = self._last.to_bytes(8, "big")
        answer = _Answer()
        with anyio.move_on_after(timeout):
            inbox = await self._ready()
            own["response_topic"] = inbox.filters[0]
            self._waiting[number] = answer
            try:
                code = await self._publisher.publish(topic, payload, qos=qos, properties=own)
                if code == ReasonCode.NO_MATCHING_SUBSCRIBERS and answer.message is None:
                    raise RequestRefusedError(
                        f"Nobody is there to answer requests on {topic!r}.", code
                    )
                return await answer.wait()
            finally:
                self._waiting.pop(number, None)
        if answer.message is not None:  # it came while time ran out
            return answer.message
        raise TimeoutError(f"No response to the request on {topic!r} came within {timeout:g} s.")

    async def _ready(self) -> _Inbox:
        """The inbox, once the broker has granted its subscription."""
        session = self._session
        connection = session.connection
        if connection is not None and self._fits(connection) and self._inbox is not None:
            return self._inbox
        async with self._changing:
            # Whoever held the lock before may have done it, or been cancelled over it.
            connection = await session.connected()
            if self._inbox is not None:
                if self._fits(connection):
                    return self._inbox
                old, self._inbox = self._inbox, None
                await leave(session, release(session, old))
            suggested = _suggestion(connection)
            inbox = _Inbox(
                f"{suggested or 'response'}/{os.urandom(16).hex()}", self, self._publisher
            )
            try:
                await grant(session, inbox, {inbox.filters[0]: Options(qos=1)})
            except BaseException:
                unused = release(session, inbox)
                if unused and session.error is None:
                    await leave(session, unused)
                raise
            self._inbox = inbox
            self._suggested = suggested
            return inbox

    def _fits(self, connection: Connection) -> bool:
        return _suggestion(connection) == self._suggested

    def take(self, message: Message) -> None:
        """A response came."""
        answer = self._waiting.pop(message.correlation_data or b"", None)
        if answer is None:
            self.late += 1
        else:
            answer.give(message)

    def end(self, error: MqttError | None) -> None:
        """No response will come any more."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.fail(error or ConnectionLostError("The client is closed."))


def _suggestion(connection: Connection) -> str | None:
    """The broker's response information, where it is what topics may begin with (§4.10.1)."""
    told = connection.connack.properties.get("response_information")
    if told is None or topic_name_problem(told) is not None:
        return None
    return told.removesuffix("/")
