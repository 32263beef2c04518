"""A program's hooks in the way of what one client sends.

It is held until its hook has decided, in order; so the client that asks for much waits, and nobody
else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.protocols import SubscriptionRequest
from trio_mqtt.broker.connections.offers import RefusedPublish
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import Packet, Publish, PublishRun, Subscribe
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.access.hook_questions import HookQuestions
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.connections.packets import PacketHandler
    from trio_mqtt.broker.connections.publishing import Publishing
    from trio_mqtt.broker.connections.requests import Requests
    from trio_mqtt.broker.sessions.session import Session

HELD = 0.01  # seconds that what was decided may wait for what comes after it


class HookGate:
    """Lets through what the hooks allow, to whatever does it."""

    def __init__(
        self,
        link: Link,
        questions: HookQuestions,
        packets: PacketHandler,
        publishing: Publishing,
        requests: Requests,
    ) -> None:
        access = link.access
        self._link = link
        self._questions = questions
        self._packets = packets
        self._publishing = publishing
        self._requests = requests
        self._asks_publish = access.asks_publish
        self._asks_subscribe = access.asks_subscribe

    async def process(self, packets: Sequence[Packet | RefusedPublish], session: Session) -> None:
        """Do what the packets ask for, as far as the hooks allow it."""
        link = self._link
        ready: list[Packet | RefusedPublish] = []
        began = trio.current_time()
        turn = link.turn
        turn.begin()
        for packet in _one_by_one(packets):
            if isinstance(packet, Publish) and self._asks_publish:
                if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
                    # A PUBREL among them frees an identifier: then this is another message.
                    await self._process(ready, session)
                    if self._is_over():
                        return
                decided = await self._publish(packet, session)
                if isinstance(decided, Publish) and decided is not packet:
                    await self._process(ready, session)
                    if not self._is_over():
                        self._publishing.publish_instead(packet, decided, session)
                else:
                    ready.append(decided)
            elif isinstance(packet, Subscribe) and self._asks_subscribe:
                await self._process(ready, session)
                answers = []
                for one in packet.subscriptions:
                    request = SubscriptionRequest(one.topic_filter, one.qos)
                    answers.append(await self._questions.subscribe(request))
                    if turn.is_over:
                        await turn.give_way()
                if not self._is_over():
                    link.core.statistics.packets_received += 1
                    for _ in self._requests.subscribe(packet, session, answers):
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
        return self._link.outlet.ended

    async def _process(self, ready: list[Packet | RefusedPublish], session: Session) -> None:
        """Do what was decided."""
        packets = ready.copy()
        ready.clear()
        done = 0
        while done < len(packets) and not self._is_over():
            done = self._packets.process(packets, session, done)
            if done < len(packets):
                await self._link.turn.give_way()

    async def _publish(self, packet: Publish, session: Session) -> Publish | RefusedPublish:
        """What goes on in place of a packet: itself, another message, or a refusal."""
        if packet.qos == 2 and packet.packet_id in session.receiver.accepted:
            return packet  # it was decided about when it came first
        decided = await self._questions.publish(packet)
        if decided is None:
            return packet
        if isinstance(decided, Publish):
            return decided
        self._questions.tell_refused("publish", packet.topic, decided)
        code = decided.reason_code
        if code not in ALLOWED[PacketType.PUBACK]:
            code = ReasonCode.NOT_AUTHORIZED
        return RefusedPublish.of(packet, code, decided.reason, by_access=True)


def _one_by_one(packets: Sequence[Packet | RefusedPublish]) -> Iterator[Packet | RefusedPublish]:
    """The packets, with runs of messages taken apart."""
    for packet in packets:
        if isinstance(packet, PublishRun):
            yield from packet.messages
        else:
            yield packet
