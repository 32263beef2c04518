"""`tmqtt replay`: publish recorded messages again."""

from __future__ import annotations

import math
import os
import signal
import stat
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import trio

import trio_mqtt
from tmqtt.connecting.opening import open_connection
from tmqtt.connecting.settings import ConnectionOptions
from tmqtt.messages.records import MAX_LINE, Record, RecordError, read_record
from tmqtt.terminal.figures import counted, span
from tmqtt.terminal.sentences import CommandError
from tmqtt.terminal.streams import standard_input
from tmqtt.terminal.terminal import Terminal

_IN_FLIGHT = 100  # messages of QoS 1 and 2 that wait for their acknowledgement
_LINES = 500  # lines that are read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """What to replay; `speed` is a factor, infinite for as fast as it goes."""

    path: str
    speed: float
    loops: int
    prefix: str


async def replay(options: ReplayOptions, connection: ConnectionOptions, terminal: Terminal) -> None:
    """Publish the messages of a recording.

    Raises CommandError for a file that cannot be read or that is no recording, with the line, and
    at the end RequestRefusedError, if the broker refused any of the messages.
    """
    terminal.output.stay_empty()
    with _opened(options.path) as file:
        may_repeat = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if options.loops > 1 and not may_repeat:
            raise CommandError("Only a file can be replayed several times: stdin is read once.")
        if may_repeat:
            async for _ in _records(file, options, None):
                pass  # what is wrong is raised now, not when half of it has been sent
        async with open_connection(
            connection, terminal, reconnect=True, patient=terminal.is_watched
        ) as client:
            player = _Player(options, terminal)
            try:
                for _ in range(options.loops):
                    if may_repeat:
                        file.seek(0)
                    await player.play(client, _records(file, options, terminal))
            finally:
                if terminal.signal == signal.SIGINT or terminal.messages.is_terminal:
                    terminal.say(player.sentence())
    if player.refusal is not None:
        raise player.refusal


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        try:
            file = standard_input().buffer
        except OSError as error:
            raise CommandError(f"Standard input cannot be read: {error.strerror}.") from None
        yield file
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 # closed below: the error is of opening alone
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CommandError(f"The file {path!r} cannot be read: {reason}.") from None
    with file:
        yield file


async def _records(
    file: BinaryIO, options: ReplayOptions, terminal: Terminal | None
) -> AsyncGenerator[Record, None]:
    """The records of a file, whose last line may be unfinished: a recording that was cut off.

    That is told to `terminal`, unless it is None.
    """
    number = 0
    while True:
        # A thread, for standard input may be slow; who cancels does not wait for it.
        lines = await trio.to_thread.run_sync(_read, file, abandon_on_cancel=True)
        if not lines:
            return
        for line in lines:
            number += 1
            try:
                record = read_record(line)
                if options.prefix:
                    record = _prefixed(record, options.prefix)
            except RecordError as error:
                if not line.endswith(b"\n") and len(line) < MAX_LINE:
                    if terminal is not None:
                        terminal.warn(f"Line {number} of {options.path} is cut off, and left out.")
                    return
                raise CommandError(f"Line {number} of {options.path} {error}.") from None
            yield record


def _read(file: BinaryIO) -> list[bytes]:
    """Some lines: what there is of a pipe, at least one."""
    first = file.readline(MAX_LINE)
    if not first:
        return []
    lines = [first]
    size = len(first)
    # Standard input is read line by line, lest a message waits for those after it.
    while file.seekable() and len(lines) < _LINES and size < 1_000_000:
        line = file.readline(MAX_LINE)
        if not line:
            break
        lines.append(line)
        size += len(line)
    return lines


def _prefixed(record: Record, prefix: str) -> Record:
    topic = prefix + record.topic
    problem = trio_mqtt.topic_name_problem(topic)
    if problem is not None:
        raise RecordError(f"becomes the topic {topic!r}, which {problem}")
    return Record(
        record.moment, topic, record.payload, record.qos, record.retain, record.properties
    )


class _Player:
    """Publishes records when they are due, in their order."""

    def __init__(self, options: ReplayOptions, terminal: Terminal) -> None:
        self._speed = options.speed
        self._terminal = terminal
        self._began = trio.current_time()
        self._sent = 0
        self._refused = 0
        self.refusal: trio_mqtt.RequestRefusedError | None = None  # the last one
        self._failure: trio_mqtt.MqttError | None = None

    def sentence(self) -> str:
        """What was done."""
        seconds = trio.current_time() - self._began
        refused = f", {self._refused:,} of them refused" if self._refused else ""
        return f"{counted(self._sent, 'message')} replayed in {span(seconds)}{refused}."

    async def play(self, client: trio_mqtt.Client, records: AsyncGenerator[Record, None]) -> None:
        """Publish all records, and wait until all are acknowledged."""
        start = trio.current_time()
        first: int | None = None
        limit = trio.Semaphore(_IN_FLIGHT)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery, aclosing(records):
            try:
                async for record in records:
                    if self._failure is not None:
                        break
                    if first is None:
                        first = record.moment
                    if math.isfinite(self._speed):
                        after = (record.moment - first) / 1_000_000 / self._speed
                        await trio.sleep_until(start + after)
                    if record.qos == 0:
                        await self._publish(client, record)
                        continue
                    await limit.acquire()
                    # Begun before the next one: that keeps their order.
                    await nursery.start(self._deliver, client, record, limit)
            except (trio_mqtt.MqttError, CommandError) as error:
                failure = error  # raised outside of the nursery, which would wrap it
                nursery.cancel_scope.cancel()
        if failure is None:
            failure = self._failure
        if failure is not None:
            raise failure

    async def _deliver(
        self,
        client: trio_mqtt.Client,
        record: Record,
        limit: trio.Semaphore,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        task_status.started()
        try:
            await self._publish(client, record)
        except trio_mqtt.MqttError as error:
            self._failure = self._failure or error
        finally:
            limit.release()

    async def _publish(self, client: trio_mqtt.Client, record: Record) -> None:
        properties = record.properties
        if "subscription_identifier" in properties:  # was the subscriber's
            properties = {**properties}
            del properties["subscription_identifier"]
        try:
            await client.publish(
                record.topic,
                record.payload,
                qos=record.qos,
                retain=record.retain,
                properties=properties or None,
            )
        except trio_mqtt.RequestRefusedError as error:
            self._refused += 1
            self.refusal = error
            self._terminal.warn(str(error))
        self._sent += 1
