"""Sessions: what is on its way to a client, and ending one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.operations.finding import session_of, time_of_day
from trio_mqtt.broker.operations.forms.messages import Done
from trio_mqtt.broker.operations.forms.sessions import QueuedView, QueuePage, QueueQuery
from trio_mqtt.broker.operations.keeping import changes_of, until_kept
from trio_mqtt.broker.sessions.delivery_state import in_flight_of
from trio_mqtt.broker.turns import ShortTurn

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.operations.forms.clients import ClientName
    from trio_mqtt.protocol.packets import Publish

_SHOWN = 256  # bytes of a payload

ENDED = "somebody has ended it"


class SessionsSeen:
    """The sessions of one broker."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def end_session(self, asked: ClientName) -> Done:
        await trio.lowlevel.checkpoint()
        before = changes_of(self._core)
        self._core.sessions.end(session_of(self._core, asked), ENDED)
        await until_kept(self._core, before)
        return Done(client_id=asked.client_id)

    async def queue(self, asked: QueueQuery) -> QueuePage:
        await trio.lowlevel.checkpoint()
        session = session_of(self._core, asked)
        in_flight = list(session.sender.in_flight.items())
        found: list[QueuedView] = []
        end = asked.offset + asked.limit
        for packet_id, (qos, item) in in_flight[asked.offset : end]:
            message, retain, (_, shared), received_at, _ = in_flight_of(packet_id, item)
            text = None if shared is None else shared.text
            found.append(_view(message, qos, received_at, text, packet_id, retain=retain))
        # What waits now; it may be sent meanwhile.
        waiting = [
            (subscription.topic_filter.text, subscription.target.qos, batch)
            for subscription in list(session.subscriptions.values())
            for batch in subscription.waiting()
        ]
        waiting.sort(key=lambda one: one[2].received_at)
        at, turn = len(in_flight), ShortTurn()
        for topic_filter, qos, batch in waiting:
            first, at = at, at + batch.count
            if at > asked.offset and first < end:
                some = islice(batch.messages, max(0, asked.offset - first), end - first)
                for message in some:
                    granted = min(qos, message.qos)
                    found.append(_view(message, granted, batch.received_at, topic_filter))
            if turn.is_over:
                await turn.give_way()
        return QueuePage(items=tuple(found), total=at)


def _view(
    message: Publish,
    qos: int,
    received_at: float,
    topic_filter: str | None,
    packet_id: int | None = None,
    *,
    retain: bool | None = None,
) -> QueuedView:
    return QueuedView(
        topic=message.topic,
        size=message.payload_size,
        payload=message.payload[:_SHOWN],
        qos=qos,
        retain=message.retain if retain is None else retain,
        received_at=time_of_day(received_at),
        state="waiting" if packet_id is None else "in flight",
        topic_filter=topic_filter,
        packet_id=packet_id,
    )
