"""Publishing many messages for the price of few waits."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from trio_mqtt.client.arguments import Payload, check_topic, payload_bytes
from trio_mqtt.client.session.delivery import Delivery
from trio_mqtt.client.session.outgoing import Outgoing
from trio_mqtt.client.session.session import Session
from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.properties import Properties

Pairs = Iterable[tuple[str, Payload]]


class _Batch:
    """The messages of QoS 1 and 2 of one call that are under way."""

    __slots__ = ("_done", "error", "open", "url", "waiting")

    def __init__(self, url: str) -> None:
        self.url = url
        self.open = 0
        self.error: MqttError | None = None  # the first
        self.waiting: Delivery | None = None  # the message that was begun last
        self._done: anyio.Event | None = None

    def on_end(self, item: Delivery) -> None:
        self.open -= 1
        if self.error is None:
            if item.error is not None:
                self.error = item.error
            elif item.reason.is_failure:
                self.error = item.refusal(self.url)
            if self.error is not None and self.waiting is not None and self.waiting.leave_queue():
                self.open -= 1
        if self._done is not None and not self.open:
            self._done.set()

    async def all_done(self) -> None:
        if self.open:
            self._done = anyio.Event()
            await self._done.wait()


async def publish_batch(
    session: Session, url: str, messages: Pairs, qos: int, retain: bool, properties: Properties
) -> int:
    """Publish all `messages` at the broker of that address; returns how many."""
    session.begin_to_wait()
    try:
        if qos:
            return await _acknowledged(
                session.outgoing, _Batch(url), messages, qos, retain, properties
            )
        return await _unacknowledged(session.outgoing, messages, retain, properties)
    finally:
        session.end_to_wait()


async def _unacknowledged(
    outgoing: Outgoing, messages: Pairs, retain: bool, properties: Properties
) -> int:
    count = 0
    for topic, payload in messages:
        if not isinstance(payload, bytes):
            payload = payload_bytes(payload)
        if type(topic) is not str:
            check_topic(topic)
        connection = outgoing.connection
        if connection is None or connection.full or outgoing.waiting_unacknowledged:
            item = outgoing.publish(topic, payload, 0, retain, properties)
            await item.wait()
            if item.error is not None:
                raise item.error
            count += 1
            continue
        head, after = connection.message_head(topic, len(payload), 0, retain, properties)
        connection.gather_message(head + after, payload)
        connection.flush_soon()
        count += 1
    return count


async def _acknowledged(
    outgoing: Outgoing,
    batch: _Batch,
    messages: Pairs,
    qos: int,
    retain: bool,
    properties: Properties,
) -> int:
    count = 0
    try:
        for topic, payload in messages:
            if not isinstance(payload, bytes):
                payload = payload_bytes(payload)
            if type(topic) is not str:
                check_topic(topic)
            if batch.error is not None:
                break
            item = outgoing.publish(topic, payload, qos, retain, properties, batch.on_end)
            batch.open += 1
            if item.waits:
                batch.waiting = item
                await item.turn()
            count += 1
        await batch.all_done()
    except BaseException:
        outgoing.abandon(batch.on_end)
        raise
    if batch.error is not None:
        raise batch.error
    return count
