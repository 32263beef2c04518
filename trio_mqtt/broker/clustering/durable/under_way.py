"""What was in flight to a session's client when another node had the session (MQTT 5.0 §4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.clustering.tracker import shared_filter_of
from trio_mqtt.broker.sessions.kept_rows import decoded
from trio_mqtt.cluster.cursors import Place
from trio_mqtt.cluster.entries import EntryError
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_mqtt.broker.clustering.durable.handing import EntryPart
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker, Under
    from trio_mqtt.broker.sessions.delivery_state import InFlight
    from trio_mqtt.cluster.logs import Logs


class UnderWay:
    """Puts it where it was: its client knows the packet identifiers."""

    def __init__(
        self,
        logs: Logs,
        journal: ClusterJournal,
        unpack: Callable[[bytes | memoryview], list[EntryPart]],
    ) -> None:
        self._logs = logs
        self._journal = journal
        self._unpack = unpack

    async def restore(self, tracker: Tracker, under_way: Sequence[Under]) -> None:
        """Have a session send again what was in flight. Raises EngineGoneError."""
        sender = tracker.session.sender
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
