"""One connection with the engine: what is asked in a turn of the loop leaves as one pipeline."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import trio
from coredis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    UnblockedError,
)

from trio_mqtt.cluster.engine.addresses import Place
from trio_mqtt.cluster.engine.calls import Call, EngineGoneError
from trio_mqtt.cluster.engine.connecting import connect
from trio_mqtt.nurseries import tasks_beside

if TYPE_CHECKING:
    from coredis.commands.request import CommandRequest
    from coredis.connection import BaseConnection
    from coredis.connection._request import RequestBatch

# A pipeline's commands and bytes at most: what one connection asks for, another waits for.
PIPELINE_CALLS = 1_000
PIPELINE_BYTES = 1024 * 1024
# Bytes on their way, beyond which the next pipeline waits for answers.
UNDER_WAY_BYTES = 8 * PIPELINE_BYTES

# Refusals that say nothing of what was asked, but that this engine can do no such thing now.
_UNABLE = ("BUSY ", "MASTERDOWN ", "MISCONF ", "NOREPLICAS ", "OOM ")
_UNABLE_KINDS = (ClusterDownError, ReadOnlyError, UnblockedError)


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
        self.error = error
        self.answered.set()


class _Pipeline(NamedTuple):
    """What was sent at once, and is to be answered."""

    batch: RequestBatch
    loads: int  # scripts before all else, whose answers nobody waits for
    groups: list[Group]
    size: int


class Link:
    """A connection that many tasks use at a time. It lives as long as `live` runs."""

    __slots__ = (
        "_connection",
        "_loaded",
        "_on_end",
        "_queue",
        "_replicas",
        "_sender",
        "_settler",
        "_timeout",
        "_under_way",
        "_under_way_bytes",
        "ended",
        "place",
        "where",
    )

    def __init__(
        self,
        connection: BaseConnection,
        place: Place,
        *,
        timeout: float,
        replicas: int = 0,
        on_end: Callable[[EngineGoneError], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._replicas = replicas
        self._on_end = on_end
        self.place = place
        self.where = f"The engine at {place}"
        self.ended: EngineGoneError | None = None
        self._queue: deque[Group] = deque()
        self._under_way: deque[_Pipeline] = deque()
        self._under_way_bytes = 0
        self._sender: trio.lowlevel.Task | None = None
        self._settler: trio.lowlevel.Task | None = None
        # Scripts that this connection's engine has, as it was told.
        self._loaded: set[bytes] = set()

    def ask(self, group: Group) -> None:
        """Have a group leave with all else that is asked in this turn."""
        if self.ended is not None:
            group.fail(self.ended)
            return
        self._queue.append(group)
        if self._sender is not None:
            trio.lowlevel.reschedule(self._sender)
            self._sender = None

    def forget_scripts(self) -> None:
        """The engine has lost its scripts: they go with the next calls again."""
        self._loaded.clear()

    def end(self, why: str, cause: BaseException | None = None) -> None:
        """Everything that waits fails, and so does what is asked from now on."""
        if self.ended is not None:
            return
        self.ended = EngineGoneError(why)
        self.ended.__cause__ = cause
        self._connection.invalidate()
        while self._under_way:
            for group in self._under_way.popleft().groups:
                group.fail(self.ended)
        while self._queue:
            self._queue.popleft().fail(self.ended)
        self._on_end(self.ended)

    async def _send(self) -> None:
        """Send what is asked, until cancelled: one of the two tasks of a link."""
        while True:
            if not self._queue or self._under_way_bytes > UNDER_WAY_BYTES:
                self._sender = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._forget_sender)
                continue
            self._send_pipeline()
            if self._queue:
                # The rest in the next turn: others have something to do as well.
                await trio.lowlevel.checkpoint()

    def _send_pipeline(self) -> None:
        loads: list[Call] = []
        calls: list[Call] = []
        groups: list[Group] = []
        size = 0
        queue = self._queue
        while queue:
            group = queue[0]
            if calls and (
                len(calls) + len(group.calls) > PIPELINE_CALLS or size + group.size > PIPELINE_BYTES
            ):
                break
            queue.popleft()
            if group.given_up:
                continue
            for call in group.calls:
                script = call.script
                if script is not None and script.digest not in self._loaded:
                    self._loaded.add(script.digest)
                    loads.append(Call(b"SCRIPT LOAD", script.source))
            calls += group.calls
            size += group.size
            groups.append(group)
        if not groups:
            return
        commands = loads + calls
        if self._replicas:
            # Of all that this connection has written, so that nobody has to say who needs it.
            commands.append(Call(b"WAIT", self._replicas, int(self._timeout * 800)))
        try:
            batch = self._connection.create_request_batch(
                cast("Sequence[CommandRequest[Any]]", commands), timeout=self._timeout
            )
        except RedisError as error:
            # It is over already, and whoever watches over it has not said so yet.
            for group in groups:
                group.fail(EngineGoneError(f"The connection with {self.where} has ended: {error}."))
            return
        self._under_way.append(_Pipeline(batch, len(loads), groups, size))
        self._under_way_bytes += size
        if self._settler is not None:
            trio.lowlevel.reschedule(self._settler)
            self._settler = None

    async def _settle(self) -> None:
        """Hand out what is answered, until cancelled: the other one."""
        while True:
            if not self._under_way:
                self._settler = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._forget_settler)
                continue
            replies = await self._under_way[0].batch
            if self.ended is not None:
                return
            pipeline = self._under_way.popleft()
            self._under_way_bytes -= pipeline.size
            self._hand_out(pipeline, replies)
            if self._sender is not None and self._queue:
                trio.lowlevel.reschedule(self._sender)
                self._sender = None

    def _hand_out(self, pipeline: _Pipeline, replies: list[Any]) -> None:
        place = pipeline.loads
        gone = self._too_few_replicas(replies[-1]) if self._replicas else ""
        cause: Exception | None = None
        for group in pipeline.groups:
            end = place + len(group.calls)
            group.replies = replies[place:end]
            place = end
            for reply in group.replies:
                if isinstance(reply, Exception) and _says_nothing_of_the_call(reply):
                    gone, cause = gone or self._why_gone(reply), cause or reply
                    break
            if gone:
                group.fail(EngineGoneError(gone))
            else:
                group.answered.set()
        if gone:
            self.end(gone, cause)

    def _too_few_replicas(self, reached: object) -> str:
        if not isinstance(reached, int) or reached >= self._replicas:
            return ""
        return (
            f"{self.where} has {reached} replicas that have what was written, and"
            f" {self._replicas} must: what is asked is done, but not safe."
        )

    def _why_gone(self, error: Exception) -> str:
        """A sentence for people."""
        if isinstance(error, TimeoutError):
            return f"{self.where} does not answer: nothing came within {self._timeout:g} s."
        if isinstance(error, ResponseError | BusyLoadingError):
            return f"{self.where} can do nothing now: {str(error).rstrip('.')}."
        return f"The connection with {self.where} was lost."

    def _forget_sender(self, _: object) -> trio.lowlevel.Abort:
        self._sender = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _forget_settler(self, _: object) -> trio.lowlevel.Abort:
        self._settler = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def live(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and keep the two tasks until the connection ends or this is cancelled.

        Raises EngineGoneError if no connection comes about, and EngineRefusedError if the engine
        does not let this node in.
        """
        try:
            async with tasks_beside() as nursery:
                over = await connect(nursery, self._connection, self.where, self._timeout)
                nursery.start_soon(self._send)
                nursery.start_soon(self._settle)
                task_status.started()
                await over.wait()
        finally:
            self.end(f"The connection with {self.where} was lost.")


def _says_nothing_of_the_call(error: Exception) -> bool:
    if isinstance(error, ResponseError):
        return isinstance(error, _UNABLE_KINDS) or str(error).startswith(_UNABLE)
    return True
