"""What the stream of changes says, done in its order; and all that it led to, read at the start."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import trio

from trio_mqtt.broker.turns import Turn
from trio_mqtt.cluster.changes import INTERESTS, RETAINED, decode_interests
from trio_mqtt.cluster.engine.calls import EngineGoneError, EngineRefusedError, number_of
from trio_mqtt.cluster.entries import EntryError, decode_entry
from trio_mqtt.cluster.items import APPLIED, encode_numbered
from trio_mqtt.errors import StoreError

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.catching_up import CatchingUp
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.other_node import OtherNode
    from trio_mqtt.broker.clustering.others import Others
    from trio_mqtt.broker.clustering.retained_everywhere import RetainedEverywhere
    from trio_mqtt.cluster.changes import Changes
    from trio_mqtt.cluster.engine.engine import Engine

logger = logging.getLogger("trio_mqtt.cluster")

Handler: TypeAlias = Callable[[memoryview], None]

_AT_ONCE = 256  # changes of one read; others have their turn between two of them
_BLOCK = 5.0  # seconds that one read waits


class Following:
    """Follows the changes. `handlers` have what is done with items, by their kind, at once."""

    def __init__(
        self,
        engine: Engine,
        changes: Changes,
        others: Others,
        journal: ClusterJournal,
        retained: RetainedEverywhere,
        catching_up: CatchingUp,
        give_up: Callable[[EngineRefusedError], None],
    ) -> None:
        self._engine = engine
        self._changes = changes
        self._others = others
        self._journal = journal
        self._retained = retained
        self._catching_up = catching_up
        self._give_up = give_up
        self._node = ""
        self.handlers: dict[int, Handler] = {
            INTERESTS: self._on_interests,
            RETAINED: retained.on_change,
        }
        # Who waits to hear that this node knows of something.
        self._askers: set[str] = set()
        self._answers: dict[str, int] = {}
        self._has_answers = trio.Event()
        # What else is read anew, where changes were missed and at the start.
        self.loaders: list[Callable[[], Awaitable[None]]] = []
        self._reading = trio.CancelScope()
        self._is_fresh = False  # all was read anew, and nothing has changed since
        # Set once all is read anew; None where it need not be.
        self._loading: trio.Event | None = None
        # Is told that the engine has lost changes: this node's own may be among them.
        self.lost_some: Callable[[], None] = lambda: None
        self.damaged = 0

    async def load(self, node: str) -> None:
        """Be this node, read what the others want, and go on from there: `run` does that."""
        self._node = node
        self._loading = loading = trio.Event()
        self._reading.cancel()
        await loading.wait()

    async def run(self) -> None:
        """Do what changes, until cancelled."""
        while not self._node:
            with trio.CancelScope() as self._reading:
                await trio.sleep_forever()
        while True:
            loading = self._loading
            try:
                if loading is not None:
                    await self._load(loading)
                with trio.CancelScope() as self._reading:
                    await self._read_on()
            except EngineGoneError:
                await self._engine.wait_returned()
                await self._see_whether_it_goes_on()
            except EngineRefusedError as error:
                await self._begin_anew(error, loading)

    async def _begin_anew(self, error: EngineRefusedError, loading: trio.Event | None) -> None:
        """Nothing is known of what changes from now on, until this process is another node."""
        if self._loading is not None and self._loading is not loading:
            return  # it is, by now
        self._loading = None
        self._give_up(error)
        with trio.CancelScope() as self._reading:
            await trio.sleep_forever()

    async def _see_whether_it_goes_on(self) -> None:
        with suppress(EngineGoneError):
            try:
                goes_on = await self._changes.goes_on()
            except EngineRefusedError:
                return  # it is asked again, and what it answers then is told
            if not goes_on:
                logger.warning(
                    "The engine has lost changes of the cluster: this node reads all anew, and"
                    " tells all of its own as another."
                )
                if self._loading is None:
                    self._loading = trio.Event()
                self.lost_some()

    async def _load(self, loading: trio.Event) -> None:
        nodes = await self._changes.find_end()
        self._others.are_alive(nodes)
        for load in self.loaders:
            await load()
        nodes |= {other.node for other in self._others.all()}
        for node in sorted(nodes - {self._node}):
            other = self._others.known(node)
            if other is not None:
                await self._load_interests(other)
                self._askers.add(node)
        await self._retained.load(self._node)
        self._catching_up.begin_anew()
        self._is_fresh = True
        loading.set()
        if self._loading is loading:
            self._loading = None
        self._answer()

    async def _load_interests(self, other: OtherNode) -> None:
        """Know what another node wants, and nothing else. Raises EngineGoneError."""
        known: set[str] = set()
        async for fields in self._changes.fields(self._engine.keys.of_node(other.node, "interest")):
            interests = {
                name.decode(errors="replace"): number_of(value, "how many want a filter")
                for name, value in fields
            }
            known.update(interests)
            self._others.want(other, interests)
            await trio.lowlevel.checkpoint()
        turn = Turn()
        for _ in self._others.want_no_more(other, known):
            if turn.is_over:
                await turn.give_way()

    async def _read_on(self) -> None:
        while self._loading is None:
            entries = await self._changes.read(count=_AT_ONCE, block=_BLOCK)
            if entries is None:
                if self._is_fresh:
                    raise EngineRefusedError("the changes do not go on where their number is")
                logger.warning("This node missed changes of the cluster, and reads all anew.")
                self._loading = trio.Event()
                return
            self._is_fresh = self._is_fresh and not entries
            # What has been read is done, whoever wants all to be read anew.
            with trio.CancelScope(shield=True):
                for entry in entries:
                    self._take(entry)
                    await trio.lowlevel.checkpoint()
                self._catching_up.look()
                self._answer()

    def _take(self, entry: bytes) -> None:
        try:
            for kind, data in decode_entry(entry):
                handler = self.handlers.get(kind)
                if handler is not None:
                    handler(data)
        except EntryError as error:
            self.damaged += 1
            if self.damaged == 1:
                logger.warning("A change of the cluster is none, and left out: %s", error)

    def _on_interests(self, data: memoryview) -> None:
        node, interests = decode_interests(data)
        if node == self._node:
            return
        other = self._others.known(node)
        if other is not None:
            self._others.want(other, interests)
            self._askers.add(node)

    @property
    def number(self) -> int:
        """Of the change that is being done, or was last."""
        return self._changes.number

    def asks(self, node: str) -> None:
        """A node is to hear how far this one is."""
        if node != self._node:
            self._askers.add(node)

    def _answer(self) -> None:
        """Have those who wait for it told how far this node is."""
        if self._askers:
            askers, self._askers = self._askers, set()
            for node in askers:
                self._answers[node] = self._changes.number
            self._has_answers.set()

    async def run_answers(self) -> None:
        """Tell them, until cancelled, once what was routed without what they want is kept.

        Beside following: where this node must join again before anything is kept, it has to read
        all anew before that.
        """
        while True:
            if not self._answers:
                self._has_answers = trio.Event()
                await self._has_answers.wait()
            answers, self._answers = self._answers, {}
            with suppress(StoreError):
                await self._journal.until_kept()
            for node, number in answers.items():
                other = self._others.get(node)
                if other is not None and self._node:
                    other.tell(APPLIED, encode_numbered(self._node, number))
