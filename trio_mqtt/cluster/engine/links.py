"""One connection for many tasks: what is asked in a turn of the loop leaves as one pipeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import trio
from coredis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    RedisError,
    UnblockedError,
)

from trio_mqtt.cluster.engine.calls import (
    Call,
    EngineGoneError,
    EngineUnableError,
    as_sentence,
    too_few_replicas,
    wait_call,
)
from trio_mqtt.cluster.engine.connection import Connection

# A pipeline's commands and bytes at most: what one connection asks for, another waits for.
PIPELINE_CALLS = 1_000
PIPELINE_BYTES = 1024 * 1024
# Bytes on their way, beyond which the next pipeline waits for answers.
UNDER_WAY_BYTES = 8 * PIPELINE_BYTES

# Refusals that say nothing of what was asked, but that this engine can do no such thing now.
_UNABLE = ("BUSY ", "MASTERDOWN ", "MISCONF ", "NOREPLICAS ", "OOM ")
_UNABLE_KINDS = (BusyLoadingError, ClusterDownError, ReadOnlyError, UnblockedError)

# After a wait in which this process may have stood still: what has come meanwhile is read first.
_LOOK_AGAIN = 0.02


class Group:
    """Calls of one task that leave together, and their answers: bytes, numbers, errors of coredis
    that are the engine's own.
    """

    __slots__ = ("answered", "calls", "error", "given_up", "replies", "size")

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = calls
        self.replies: list[Any] = []
        self.error: EngineGoneError | None = None
        self.answered = trio.Event()
        self.given_up = False
        self.size = sum([call.size for call in calls])

    async def wait(self) -> list[Any]:
        """The answers; raises EngineGoneError.

        Where this is cancelled before it has left, nothing of it is asked any more.
        """
        try:
            await self.answered.wait()
        except trio.Cancelled:
            self.given_up = True
            raise
        if self.error is not None:
            # Each who waits raises one of its own: a traceback grows with each that is raised.
            raise EngineGoneError(str(self.error)) from self.error.__cause__
        return self.replies

    def fail(self, error: EngineGoneError) -> None:
        """There will be no answers."""
        self.error = error
        self.answered.set()


class _Pipeline:
    """What leaves at once, and what is answered of it."""

    __slots__ = ("answers", "calls", "groups", "loads", "sent", "size")

    def __init__(
        self, groups: list[Group], loads: list[Call], tail: Sequence[Call], size: int
    ) -> None:
        self.groups = groups
        self.loads = len(loads)  # scripts before all else, whose answers nobody waits for
        self.calls = [*loads, *[call for group in groups for call in group.calls], *tail]
        self.size = size
        self.sent = trio.current_time()
        self.answers: list[Any] = []


class Link:
    """A connection that many tasks use at a time. It lives as long as `live` runs."""

    __slots__ = (
        "_connection",
        "_loaded",
        "_on_end",
        "_over",
        "_queue",
        "_replicas",
        "_sender",
        "_timeout",
        "_under_way",
        "_under_way_bytes",
        "ended",
        "where",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float,
        replicas: int = 0,
        on_end: Callable[[EngineGoneError], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._replicas = replicas
        self._on_end = on_end
        self.where = connection.where
        self.ended: EngineGoneError | None = None
        self._over = trio.Event()
        self._queue: deque[Group] = deque()
        self._under_way: deque[_Pipeline] = deque()
        self._under_way_bytes = 0
        self._sender: trio.lowlevel.Task | None = None
        # Scripts that this connection's engine has, as it was told.
        self._loaded: set[bytes] = set()

    def ask(self, group: Group) -> None:
        """Have a group leave with all else that is asked in this turn."""
        if self.ended is not None:
            group.fail(self.ended)
            return
        self._queue.append(group)
        self._wake()

    def forget_scripts(self) -> None:
        """The engine has lost its scripts: they go with the next calls again."""
        self._loaded.clear()

    async def live(self) -> None:
        """Keep the connection's tasks, until it ends or this is cancelled."""
        try:
            with self._connection:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send)
                    nursery.start_soon(self._receive)
                    nursery.start_soon(self._watch)
                    await self._over.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._end(EngineGoneError(f"{self.where} is lost: the connection has ended."))

    def _end(self, error: EngineGoneError) -> None:
        """Everything that waits fails, and so does what is asked from now on."""
        if self.ended is not None:
            return
        self.ended = error
        self._over.set()
        while self._under_way:
            for group in self._under_way.popleft().groups:
                group.fail(error)
        while self._queue:
            self._queue.popleft().fail(error)
        self._on_end(error)

    def _wake(self) -> None:
        if self._sender is not None:
            trio.lowlevel.reschedule(self._sender)
            self._sender = None

    def _forget_sender(self, _: object) -> trio.lowlevel.Abort:
        self._sender = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _send(self) -> None:
        while True:
            if not self._queue or self._under_way_bytes > UNDER_WAY_BYTES:
                self._sender = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._forget_sender)
                continue
            pipeline = self._next()
            self._under_way.append(pipeline)
            self._under_way_bytes += pipeline.size
            try:
                await self._connection.send(pipeline.calls)
            except EngineGoneError as error:
                self._end(error)

    def _next(self) -> _Pipeline:
        """What leaves next: all that waits, as far as one pipeline takes it."""
        loads: list[Call] = []
        groups: list[Group] = []
        queue = self._queue
        count = size = 0
        while queue:
            group = queue[0]
            count += len(group.calls)
            size += group.size
            if groups and (count > PIPELINE_CALLS or size > PIPELINE_BYTES):
                size -= group.size
                break
            queue.popleft()
            groups.append(group)
            if group.given_up:
                group.calls = ()
            for call in group.calls:
                script = call.script
                if script is not None and script.digest not in self._loaded:
                    self._loaded.add(script.digest)
                    loads.append(Call(b"SCRIPT", b"LOAD", script.source))
        tail: tuple[Call, ...] = ()
        if self._replicas:
            # Of all that this connection has written, so that nobody has to say who needs it.
            tail = (wait_call(self._replicas, self._timeout),)
        return _Pipeline(groups, loads, tail, size)

    async def _receive(self) -> None:
        try:
            while True:
                answers = await self._connection.receive()
                place = 0
                while place < len(answers) and self._under_way:
                    pipeline = self._under_way[0]
                    missing = len(pipeline.calls) - len(pipeline.answers)
                    pipeline.answers += answers[place : place + missing]
                    place += missing
                    if len(pipeline.answers) == len(pipeline.calls):
                        self._under_way.popleft()
                        self._under_way_bytes -= pipeline.size
                        self._hand_out(pipeline)
                if self._queue:
                    self._wake()
        except EngineGoneError as error:
            self._end(error)

    def _hand_out(self, pipeline: _Pipeline) -> None:
        answers = pipeline.answers
        gone = ""
        if self._replicas and (
            too_few := too_few_replicas(self.where, answers[-1], self._replicas)
        ):
            gone = f"{too_few}: what is asked is done, but not safe."
        place = pipeline.loads
        for group in pipeline.groups:
            end = place + len(group.calls)
            group.replies = answers[place:end]
            place = end
            for reply in group.replies:
                if isinstance(reply, RedisError) and _says_nothing_of_the_call(reply):
                    gone = gone or f"{self.where} can do nothing now: {as_sentence(reply)}"
            if gone:
                group.fail(EngineUnableError(gone))
            else:
                group.answered.set()
        if gone:
            self._end(EngineUnableError(gone))

    async def _watch(self) -> None:
        """End the connection where an answer does not come in time."""
        while True:
            oldest = self._under_way[0] if self._under_way else None
            due = (trio.current_time() if oldest is None else oldest.sent) + self._timeout
            await trio.sleep_until(due)
            await trio.sleep(_LOOK_AGAIN)
            if oldest is not None and self._under_way and self._under_way[0] is oldest:
                self._end(
                    EngineGoneError(
                        f"{self.where} does not answer: nothing came within {self._timeout:g} s."
                    )
                )


def _says_nothing_of_the_call(error: RedisError) -> bool:
    return isinstance(error, _UNABLE_KINDS) or str(error).startswith(_UNABLE)
