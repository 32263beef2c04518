"""Has the engine know how far sessions are: soon after that has changed, and at little cost."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import trio

from trio_mqtt.cluster.engine.calls import (
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    as_sentence,
)
from trio_mqtt.cluster.floors import FloorStore
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.durable.floors import Floors
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.cluster.engine.engine import Engine
    from trio_mqtt.cluster.logs import Logs

logger = logging.getLogger("trio_mqtt.cluster")

_MOVED = 0.1  # seconds that a cursor moves before it is written
_LOOKS = 0.5  # and until those are looked at again of which some were behind
_DONE = 5.0  # seconds between two times that logs are told what nobody needs any more
# Sessions that are looked at each time, and those of them that are written by themselves: where
# there are more, those that have waited longest are next.
_AT_ONCE = 20_000
OWN_AT_ONCE = 250
_A_TURN = 1_000  # sessions after which others have their turn
_REFUSED = 1.0  # seconds until what was refused is tried again
_TELLS_AGAIN = 60.0  # seconds until that is told again


class CursorWriting:
    """What sessions have moved since, as the floors of this node, and of some by themselves."""

    def __init__(self, engine: Engine, logs: Logs, journal: ClusterJournal, floors: Floors) -> None:
        self._engine = engine
        self._logs = logs
        self._journal = journal
        self._floors = floors
        self.store = FloorStore(engine)
        # Logs of which floors are to be told, and of which some are behind.
        self._untold: dict[str, None] = {}
        self._behind: dict[str, None] = {}
        self._tells_at = -math.inf

    async def run(self) -> None:
        """Write what has moved, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_done)
            while True:
                with trio.move_on_after(_LOOKS if self._untold or self._behind else math.inf):
                    await self._journal.moved.wait()
                await trio.sleep(_MOVED)
                try:
                    await self._write()
                except EngineGoneError:
                    await self._engine.wait_returned()
                except EngineFencedError:
                    await trio.sleep(_MOVED)  # this is no node, or about to be another
                except EngineRefusedError as error:
                    now = trio.current_time()
                    if now >= self._tells_at:
                        self._tells_at = now + _TELLS_AGAIN
                        why = as_sentence(error)
                        logger.error("How far sessions are cannot be written: %s", why)  # noqa: TRY400
                    await trio.sleep(_REFUSED)
                except StoreError:
                    await trio.sleep_forever()  # the broker ends

    async def _write(self) -> None:
        await self._look_at_sessions()
        texts = list(dict.fromkeys((*self._untold, *self._behind, *self._floors.take_left())))
        self._behind.clear()
        for text in texts:
            self._untold[text] = None
            lagging, are_alike = await self._floors.look(text)
            for tracker in lagging:
                self._journal.write_cursors(tracker)
            if not are_alike:
                self._behind[text] = None
        node = self._floors.node
        told, gone = self._floors.to_tell(texts)
        if told or gone:
            # What floors are beyond is written, whatever it was.
            await self._journal.until_kept()
            if node != self._floors.node:
                return
            await self.store.tell(node, told, gone)
            self._floors.are_told(node, told, gone)
        for text in texts:
            self._untold.pop(text, None)

    async def _look_at_sessions(self) -> None:
        """See which floors may have moved; who rests on none is written, or comes to rest."""
        left = OWN_AT_ONCE
        journal = self._journal
        for count, number in enumerate(journal.moved.take(_AT_ONCE), 1):
            tracker = journal.trackers.get(number)
            if tracker is None:
                continue  # it has gone since
            cursors = tracker.cursors
            for cursor in cursors.look():
                self._untold[cursor.topic_filter] = None
            own = cursors.on_their_own()
            if own and left:
                left -= 1
                for cursor in own:
                    self._floors.rest(tracker, cursor)
                journal.write_cursors(tracker)
            elif own:
                journal.moved.add(number)  # its turn comes
            if not count % _A_TURN:
                await trio.lowlevel.checkpoint()

    async def _tell_done(self) -> None:
        while True:
            await trio.sleep(_DONE)
            await self._floors.tell_done()
            done = self._journal.done.take()
            if done:
                try:
                    await self._logs.done(done)
                except EngineGoneError:
                    await self._engine.wait_returned()
                except EngineFencedError:
                    pass  # logs have more than they need, until cursors move on
