"""Questions to a program's hooks about what one client publishes, subscribes to and receives."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_mqtt.broker.access.protocols import (
    AccessControl,
    AccessHooks,
    AccessRefused,
    ClientInfo,
    Publication,
    SubscriptionRequest,
)
from trio_mqtt.broker.turns import Turn
from trio_mqtt.protocol.packets import Publish, Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_filter_problem, topic_name_problem

if TYPE_CHECKING:
    from trio_mqtt.broker.access.refusals import RefusalLog, RefusedAction
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics

logger = logging.getLogger("trio_mqtt.broker")

A = TypeVar("A", Publication, SubscriptionRequest)

UNDECIDED = AccessRefused(ReasonCode.UNSPECIFIED_ERROR, "the broker could not decide about it")
_ALLOWING = AccessHooks()  # once there are none any more
_HEADER = 16  # bytes of a PUBLISH beside its topic and payload, at most


class HookQuestions:
    """Asks the hooks about one client, each within its time."""

    def __init__(
        self,
        in_force: Callable[[], AccessControl | None],
        client: ClientInfo,
        limits: Limits,
        refusals: RefusalLog,
        statistics: Statistics,
    ) -> None:
        self._in_force = in_force
        self._client = client
        self._limits = limits
        self._refusals = refusals
        self._statistics = statistics

    @property
    def _hooks(self) -> AccessControl:
        """Those that are in force now."""
        return self._in_force() or _ALLOWING

    async def publish(self, message: Publish | Will) -> Publish | AccessRefused | None:
        """What is published in place of a message; None if it is the same."""
        offered = Publication(
            message.topic, message.payload, message.qos, message.retain, message.properties
        )
        decided = await self._ask(self._hooks.authorize_publish, offered, self._message_problem)
        if decided is offered or isinstance(decided, AccessRefused):
            return decided if isinstance(decided, AccessRefused) else None
        return _packet(decided, message.packet_id if isinstance(message, Publish) else 0)

    async def deliver(self, messages: Sequence[Publish]) -> Sequence[Publish]:
        """What is sent of messages that wait for the client."""
        sent: list[Publish] = []
        turn = Turn()
        for message in messages:
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
                self.tell_refused("receive", message.topic, decided)
        return sent

    async def subscribe(self, request: SubscriptionRequest) -> SubscriptionRequest | AccessRefused:
        """What is subscribed to in place of what the client asks for."""
        decided = await self._ask(self._hooks.authorize_subscribe, request, _subscription_problem)
        if isinstance(decided, AccessRefused):
            self.tell_refused("subscribe", request.topic_filter, decided)
        return decided

    def tell_refused(self, action: RefusedAction, topic: str, decided: AccessRefused) -> None:
        """Say in the log that a hook has refused something."""
        reason = decided.reason or decided.reason_code.sentence
        self._refusals.record(self._client, action, topic, rule=f"the program's hook: {reason}")

    async def _ask(
        self,
        hook: Callable[[ClientInfo, A], Awaitable[A | AccessRefused]],
        offered: A,
        problem_of: Callable[[object], str | None],
    ) -> A | AccessRefused:
        """Call a hook within its time; what it decided, if that can be done."""
        timeout = self._limits.hook_timeout
        decided: A | AccessRefused = UNDECIDED
        name = getattr(hook, "__name__", "hook")
        with trio.move_on_after(timeout) as scope:
            try:
                decided = await hook(self._client, offered)
            except Exception:
                logger.exception("%s failed for %r", name, self._client.client_id)
                return UNDECIDED
        if scope.cancelled_caught:
            self._statistics.hooks_timed_out += 1
            logger.warning("%s took more than %g s for %r", name, timeout, self._client.client_id)
            return UNDECIDED
        if decided is offered or isinstance(decided, AccessRefused):
            return decided
        problem = problem_of(decided)
        if problem is not None:
            logger.error("%s returned for %r what %s", name, self._client.client_id, problem)
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
