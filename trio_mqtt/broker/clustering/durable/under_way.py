"""What was in flight to a session's client when another node had the session (MQTT 5.0 §4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.tracker import shared_filter_of
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.kept_rows import decoded
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.cluster.positions import Place
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_mqtt.broker.clustering.durable.handing import EntryPart
    from trio_mqtt.broker.clustering.inline import Inline
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker, Under
    from trio_mqtt.broker.clustering.travelling import Travel
    from trio_mqtt.broker.sessions.delivery_state import InFlight
    from trio_mqtt.cluster.logs import Logs


class UnderWay:
    """Puts it where it was: its client knows the packet identifiers."""

    def __init__(
        self,
        logs: Logs,
        journal: ClusterJournal,
        unpack: Callable[[bytes | memoryview], list[EntryPart]],
        travel: Travel,
    ) -> None:
        self._logs = logs
        self._journal = journal
        self._unpack = unpack
        self._travel = travel

    async def restore(
        self, tracker: Tracker, under_way: Sequence[Under], inline: Sequence[Inline]
    ) -> None:
        """Have a session send again what was in flight. Raises EngineGoneError."""
        sender = tracker.session.sender
        for each in inline:
            self._restore_inline(tracker, each)
        for one in under_way:
            number = self._journal.numbers(1)
            identifiers = decoded(one.identifiers).get("subscription_identifier", ())
            origin = tuple(identifiers), shared_filter_of(one.topic_filter)
            if one.is_released:
                item: InFlight = (Publish(""), False, origin, trio.current_time(), number)
                tracker.know(number, one)
                sender.restore_released(one.packet_id, item)
                continue
            found = await self._message(one)
            if found is None:
                continue  # its log had to let go of it
            message, received_at = found
            tracker.know(number, one)
            sender.restore(
                one.packet_id, one.qos, (message, one.retain, origin, received_at, number)
            )
        sender.all_restored()

    def _restore_inline(self, tracker: Tracker, one: Inline) -> None:
        """Have a message that is in no log wait, or be in flight, as it was."""
        session = tracker.session
        number = self._journal.numbers(1)
        identifiers = tuple(decoded(one.identifiers).get("subscription_identifier", ()))
        origin = identifiers, shared_filter_of(one.topic_filter)
        tracker.keep(number, one)
        if one.is_released:
            now = trio.current_time()
            released: InFlight = (Publish(""), False, origin, now, number)
            session.sender.restore_released(one.packet_id, released)
            return
        subscription = session.subscriptions.get(one.topic_filter)
        try:
            batch = self._travel.unpack(one.data, trio.current_time())
        except EntryError:
            batch = None
        if batch is None or (subscription is None and not one.packet_id):
            self._journal.delivered(session.number, (number,))
            return
        if one.packet_id:
            item = batch.messages[0], one.retain, origin, batch.received_at, number
            session.sender.restore(one.packet_id, one.qos, item)
            return
        batch.number = number
        if subscription is not None:
            target = Target(
                subscription,
                one.qos,
                one.retain,
                identifiers,
                False,
                subscription.shared_filter,
                session.mount_point,
            )
            subscription.restore(target, batch)

    async def _message(self, one: Under) -> tuple[Publish, float] | None:
        place = Place(one.entry, 0)
        entries = await self._logs.read(one.topic_filter, place, one.entry, count=1)
        if not entries:
            return None
        at = one.message
        try:
            for part in self._unpack(entries[0].data):
                if at < part.batch.count:
                    return part.batch.messages[at], part.batch.received_at
                at -= part.batch.count
        except EntryError:
            return None
        return None
