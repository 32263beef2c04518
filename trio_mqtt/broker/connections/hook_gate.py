"""A program's hooks in the way of one client's messages and subscriptions.

What the client sends is held until its hook has decided, in order; so the client that asks for much
waits, and nobody else does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_mqtt.broker.access.protocols import (
    AccessControl,
    AccessRefused,
    ClientInfo,
    Publication,
    SubscriptionRequest,
)
from trio_mqtt.broker.connections.offers import RefusedPublish
from trio_mqtt.broker.turns import Turn
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import Packet, Publish, PublishRun, Subscribe, Will
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem, topic_name_problem

if TYPE_CHECKING:
    from trio_mqtt.broker.access.refusals import RefusedAction
    from trio_mqtt.broker.connections.connection import Connection
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.sessions.session import Session

logger = logging.getLogger("trio_mqtt.broker")

A = TypeVar("A", Publication, SubscriptionRequest)

UNDECIDED = AccessRefused(ReasonCode.UNSPECIFIED_ERROR, "the broker could not decide about it")
HELD = 0.01  # seconds that what was decided may wait for what comes after it
_HEADER = 16  # bytes of a PUBLISH beside its topic and payload, at most


class Gate:
    """Asks the hooks for one connection."""

    def __init__(self, connection: Connection, hooks: AccessControl, client: ClientInfo) -> None:
        access = connection.broker.access
        self._connection = connection
        self._hooks = hooks
        self._client = client
        self._limits = connection.broker.limits
        self.asks_publish = access.asks_publish
        self.asks_subscribe = access.asks_subscribe
        self.asks_delivery = access.asks_delivery

    async def process(self, packets: Sequence[Packet | RefusedPublish], session: Session) -> None:
        """Do what the packets ask for, as far as the hooks allow it."""
        connection = self._connection
        ready: list[Packet | RefusedPublish] = []
        began = trio.current_time()
        turn = connection.turn
        turn.begin()
        for packet in _one_by_one(packets):
            if isinstance(packet, Publish) and self.asks_publish:
                if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
                    # A PUBREL among them frees an identifier: then this is another message.
                    await self._process(ready, session)
                    if self._is_over():
                        return
                decided = await self._publish(packet, session)
                if isinstance(decided, Publish) and decided is not packet:
                    await self._process(ready, session)
                    if not self._is_over():
                        connection.publish_instead(packet, decided, session)
                else:
                    ready.append(decided)
            elif isinstance(packet, Subscribe) and self.asks_subscribe:
                await self._process(ready, session)
                answers = []
                for one in packet.subscriptions:
                    request = SubscriptionRequest(one.topic_filter, one.qos)
                    answers.append(await self._subscribe(request))
                    if turn.is_over:
                        await turn.give_way()
                if not self._is_over():
                    connection.broker.statistics.packets_received += 1
                    for _ in connection.requests.subscribe(packet, session, answers):
                        if turn.is_over:
                            await turn.give_way()
                        if self._is_over():
                            return
            else:
                ready.append(packet)
            if turn.is_over:
                await turn.give_way()
            if trio.current_time() - began > HELD:
                await self._process(ready, session)
                began = trio.current_time()
            if self._is_over():
                return
        await self._process(ready, session)

    def _is_over(self) -> bool:
        """Whether the connection has ended, as it may at any turn."""
        return self._connection.outlet.ended

    async def _process(self, ready: list[Packet | RefusedPublish], session: Session) -> None:
        """Do what was decided."""
        packets = ready.copy()
        ready.clear()
        done = 0
        while done < len(packets) and not self._is_over():
            done = self._connection.process(packets, session, done)
            if done < len(packets):
                await self._connection.turn.give_way()

    async def _publish(self, packet: Publish, session: Session) -> Publish | RefusedPublish:
        """What goes on in place of a packet: itself, another message, or a refusal."""
        if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
            return packet  # it was decided about when it came first
        decided = await self.publish(packet)
        if decided is None:
            return packet
        if isinstance(decided, Publish):
            return decided
        self._tell_refused("publish", packet.topic, decided)
        code = decided.reason_code
        if code not in ALLOWED[PacketType.PUBACK]:
            code = ReasonCode.NOT_AUTHORIZED
        return RefusedPublish.of(packet, code, decided.reason)

    async def publish(self, message: Publish | Will) -> Publish | AccessRefused | None:
        """What is published in place of a message; None if it is the same."""
        offered = Publication(
            message.topic, message.payload, message.qos, message.retain, message.properties
        )
        decided = await self._ask(self._hooks.authorize_publish, offered, self._message_problem)
        if decided is offered or isinstance(decided, AccessRefused):
            return decided if isinstance(decided, AccessRefused) else None
        return _packet(decided, message.packet_id if isinstance(message, Publish) else 0)

    async def deliver(self, batch: Batch, start: int) -> Sequence[Publish]:
        """What is sent of the messages of a batch from `start` on."""
        sent: list[Publish] = []
        turn = Turn()
        for message in batch.messages[start:]:
            if turn.is_over:
                await turn.give_way()  # a hook may decide without waiting for anything
            offered = Publication(
                message.topic, message.payload, message.qos, message.retain, message.properties
            )
            decided = await self._ask(
                self._hooks.authorize_delivery, offered, self._message_problem
            )
            if decided is offered:
                sent.append(message)
            elif isinstance(decided, Publication):
                sent.append(_packet(decided, 0))
            else:
                self._tell_refused("receive", message.topic, decided)
        return sent

    async def _subscribe(self, request: SubscriptionRequest) -> SubscriptionRequest | AccessRefused:
        decided = await self._ask(self._hooks.authorize_subscribe, request, _subscription_problem)
        if isinstance(decided, AccessRefused):
            self._tell_refused("subscribe", request.topic_filter, decided)
        return decided

    def _tell_refused(self, action: RefusedAction, topic: str, decided: AccessRefused) -> None:
        reason = decided.reason or decided.reason_code.sentence
        refusals = self._connection.broker.access.refusals
        refusals.record(self._client, action, topic, rule=f"the program's hook: {reason}")

    async def _ask(
        self,
        hook: Callable[[ClientInfo, A], Awaitable[A | AccessRefused]],
        offered: A,
        problem_of: Callable[[object], str | None],
    ) -> A | AccessRefused:
        """Call a hook within its time; what it decided, if that can be done."""
        connection = self._connection
        timeout = self._limits.hook_timeout
        decided: A | AccessRefused = UNDECIDED
        name = getattr(hook, "__name__", "hook")
        with trio.move_on_after(timeout) as scope:
            try:
                decided = await hook(self._client, offered)
            except Exception:
                logger.exception("%s failed for %r", name, connection.client_id)
                return UNDECIDED
        if scope.cancelled_caught:
            logger.warning("%s took more than %g s for %r", name, timeout, connection.client_id)
            return UNDECIDED
        if decided is offered or isinstance(decided, AccessRefused):
            return decided
        problem = problem_of(decided)
        if problem is not None:
            logger.error("%s returned for %r what %s", name, connection.client_id, problem)
            return UNDECIDED
        return decided

    def _message_problem(self, message: object) -> str | None:
        """Why what a hook returned cannot be published."""
        if not isinstance(message, Publication) or not isinstance(message.payload, bytes):
            return "is no Publication of bytes"
        if message.qos not in (0, 1, 2):
            return f"has QoS {message.qos}"
        problem = topic_name_problem(message.topic)
        if problem is None:
            size = len(message.topic.encode()) + len(message.payload) + _HEADER
            if size > self._limits.maximum_packet_size:
                problem = "is larger than the maximum packet size"
        return problem


def _subscription_problem(request: object) -> str | None:
    """Why what a hook returned cannot be subscribed to."""
    if not isinstance(request, SubscriptionRequest):
        return "is no SubscriptionRequest"
    if request.qos not in (0, 1, 2):
        return f"has QoS {request.qos}"
    return topic_filter_problem(request.topic_filter)


def _packet(message: Publication, packet_id: int) -> Publish:
    return Publish(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        packet_id=packet_id,
        properties=message.properties,
    )


def _one_by_one(packets: Sequence[Packet | RefusedPublish]) -> Iterator[Packet | RefusedPublish]:
    """The packets, with runs of messages taken apart."""
    for packet in packets:
        if isinstance(packet, PublishRun):
            yield from packet.messages
        else:
            yield packet
