"""The engine as a node uses it: what is asked of it, and whether it is there."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from random import uniform

import trio

from trio_mqtt.cluster.engine.addresses import EngineAddress, parse_engine_url
from trio_mqtt.cluster.engine.attached import Attached, attached
from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineFencedError,
    EngineGoneError,
    EngineRefusedError,
    EngineUnableError,
    Reply,
    Script,
    Value,
)
from trio_mqtt.cluster.engine.readers import Entries
from trio_mqtt.cluster.keys import Keys
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.errors import EngineError
from trio_mqtt.nurseries import tasks_beside

# Seconds until the next attempt after the engine went: twice as long each time, up to the second.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
# At least so many of them in a lease: who comes back to the engine late is taken for dead.
LOOKS = 6

# The events of what is logged while an engine is waited for at the start.
AWAITED, REACHED = "engine_awaited", "engine_reached"

logger = logging.getLogger("trio_mqtt.cluster")


class Engine:
    """The engine that a cluster shares. Many tasks use it at a time.

    What all of them ask in one turn of the loop leaves as one pipeline. While the engine is gone,
    everything raises EngineGoneError at once; `wait_returned` waits for it. It is gone as a whole:
    where one of its masters is, too few replicas follow, or it takes no writes, promises cannot be
    kept.
    """

    def __init__(self, settings: Cluster, address: EngineAddress) -> None:
        self.settings = settings
        self.keys = Keys(settings.name)
        self.shown = address.shown
        self._address = address
        self._attached: Attached | None = None
        self.is_held_back = False
        """Whether it is gone for all but who asks `first`."""
        self._changed = trio.Event()
        self.why_gone: EngineGoneError = EngineGoneError("The engine has not been reached yet.")
        self.returns = 0
        """How many times the engine has been reached: other than before, and what was read of its
        streams may have been lost with it."""
        self.promise = ""
        """What becomes of what was written where the engine crashes, in a sentence."""
        self.deadline_ms = 0
        """The end of this node's lease by the engine's clock, which fenced scripts compare with the
        time; 0 while the node has none. The membership renews it."""

    @property
    def is_gone(self) -> bool:
        """Whether the engine cannot be asked anything now."""
        return self._attached is None or self.is_held_back

    async def wait_gone(self) -> EngineGoneError:
        """Wait until the engine is gone; why it is."""
        await trio.lowlevel.checkpoint()
        while not self.is_gone:
            await self._changed.wait()
        return self.why_gone

    async def wait_returned(self) -> None:
        """Wait until the engine is there."""
        await trio.lowlevel.checkpoint()
        while self.is_gone:
            await self._changed.wait()

    async def wait_reached(self) -> None:
        """Wait until the engine is there, though it may be held back."""
        await trio.lowlevel.checkpoint()
        while self._attached is None:
            await self._changed.wait()

    def hold_back(self, *, is_held_back: bool = True) -> None:
        """Be gone for all, but who asks `first`: while it is gone, this node's lease has ended, and
        what it says is refused until it has another.
        """
        if is_held_back is not self.is_held_back:
            self.is_held_back = is_held_back
            self._tell_changed()

    async def wait_other_reason(self, known: Container[str]) -> str | None:
        """Wait until it is gone for a reason that is not known; None once it is there."""
        await trio.lowlevel.checkpoint()
        while self.is_gone:
            if self._attached is None and (why := str(self.why_gone)) not in known:
                return why
            await self._changed.wait()
        return None

    async def call(self, name: str | bytes, *arguments: Value) -> Reply:
        """What one command answers. The first argument is the key that it is about, as bytes.

        Raises EngineGoneError and EngineRefusedError.
        """
        (reply,) = await self.all((Call(name, *arguments),))
        if isinstance(reply, EngineRefusedError):
            raise reply
        return reply

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Value) -> Reply:
        """What a script returns.

        Raises EngineGoneError and EngineRefusedError; of the second, EngineFencedError where the
        script is fenced, and this node's lease has ended.
        """
        (reply,) = await self.all((self.scripted(script, keys, *arguments),))
        if isinstance(reply, EngineRefusedError):
            raise reply
        return reply

    async def first(self, script: Script, keys: Sequence[bytes], *arguments: Value) -> Reply:
        """What `run` returns, though the engine is held back."""
        if self._attached is None:
            await trio.lowlevel.checkpoint()
            raise EngineGoneError(str(self.why_gone))
        (reply,) = await self._attached.ask((self.scripted(script, keys, *arguments),))
        if isinstance(reply, EngineRefusedError):
            raise reply
        return reply

    def scripted(self, script: Script, keys: Sequence[bytes], *arguments: Value) -> Call:
        """The call that runs a script under this node's lease, for `all`.

        Raises EngineFencedError where the script is fenced, and this node has no lease.
        """
        if script.fenced and not self.deadline_ms:
            raise EngineFencedError("This node has no lease.")
        return Call.of_script(script, keys, *arguments, lease_end=self.deadline_ms)

    async def all(self, calls: Sequence[Call]) -> list[Reply]:
        """What several calls answer, in their order, errors of the engine among them.

        Those for one master are done in their order, with others' between them. Raises
        EngineGoneError, and then perhaps some of them are done.
        """
        there = await self._there()
        if not calls:
            return []
        return await there.ask(calls)

    async def read(self, key: bytes, after: bytes, *, count: int, block: float) -> Entries:
        """The entries of a stream after that of an identifier, at most `count`: waits for one for
        `block` seconds, on a connection of its own, and returns none where none came.

        Raises EngineGoneError and EngineRefusedError.
        """
        there = await self._there()
        return await there.read(key, after, count=count, block=block)

    async def _there(self) -> Attached:
        """All connections; raises EngineGoneError, but to who is cancelled, to whom it matters
        not."""
        if self._attached is None or self.is_held_back:
            await trio.lowlevel.checkpoint()
            raise EngineGoneError(str(self.why_gone))
        return self._attached

    def _set(self, there: Attached | None) -> None:
        self._attached = there
        self._tell_changed()

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _lose(self, why: EngineGoneError) -> None:
        self.why_gone = why
        if self._attached is not None:
            self._set(None)

    async def keep(
        self, patience: float, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Reach the engine again and again, until cancelled; started once it was reached.

        Raises EngineError where it is not reached within so many seconds at first.
        """
        attempts = 0
        began, awaited = trio.current_time(), ""
        while True:
            try:
                async with attached(self.settings, self._address, self._lose) as there:
                    reached = trio.current_time()
                    self.returns += 1
                    self.promise = there.promise
                    self._set(there)
                    if self.returns == 1:
                        if awaited:
                            self._tell_reached(trio.current_time() - began)
                        task_status.started()
                    try:
                        await there.wait_lost()
                    finally:
                        if self._attached is there:
                            self._set(None)
                    lasted = trio.current_time() > reached + LONGEST_PAUSE
                    if lasted or not isinstance(self.why_gone, EngineUnableError):
                        attempts = 0
            except EngineError as error:
                if not self.returns:
                    if not isinstance(error, EngineGoneError):
                        raise  # it is there, and will be no other by itself
                    if trio.current_time() - began >= patience:
                        raise
                    if str(error) != awaited:
                        awaited = str(error)
                        _tell_awaited(awaited)
                self.why_gone = EngineGoneError(str(error))
                self._set(None)
            attempts += 1
            longest = min(LONGEST_PAUSE, self.settings.lease / LOOKS)
            pause = min(FIRST_PAUSE * 2 ** min(attempts, 16), longest)
            # Not all nodes at once.
            pause = uniform(pause / 2, pause)  # noqa: S311
            if not self.returns:
                pause = min(pause, max(began + patience - trio.current_time(), 0))
            await trio.sleep(pause)

    def _tell_reached(self, seconds: float) -> None:
        logger.warning(
            "The engine at %s is there, after %.1f s.",
            self.shown,
            seconds,
            extra={"event": REACHED},
        )


def _tell_awaited(why: str) -> None:
    logger.warning("%s This broker waits for it.", why, extra={"event": AWAITED})


@asynccontextmanager
async def open_engine(settings: Cluster, *, patience: float = 0.0) -> AsyncIterator[Engine]:
    """Reach a cluster's engine, and keep it until the end of the context.

    One that cannot be reached is waited for so many seconds. Raises EngineError if it cannot be
    reached or used, InvalidUrlError and ConfigurationError for settings that cannot be.
    """
    engine = Engine(settings, parse_engine_url(settings.url))
    async with tasks_beside() as nursery:
        await nursery.start(engine.keep, patience)
        yield engine
