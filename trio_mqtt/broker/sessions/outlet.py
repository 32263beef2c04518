"""What leaves for one client: at once what the socket takes, the rest by a task that waits."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.transport.listeners.streams import ByteStream

logger = logging.getLogger("trio_mqtt.broker")

_AT_ONCE = 64 * 1024  # the bytes that must leave within the write timeout


class Writer:
    """Writes to a stream without waiting; `congested` says when to prepare nothing more.

    `on_lost` is called with the reason when the client can no longer be written to.
    """

    __slots__ = (
        "_all_written",
        "_broken",
        "_give_up_at",
        "_limits",
        "_nursery",
        "_on_lost",
        "_pending",
        "_pending_bytes",
        "_send_nowait",
        "_sending",
        "_statistics",
        "_stream",
        "_writing",
        "_written",
        "congested",
    )

    def __init__(
        self,
        stream: ByteStream,
        limits: Limits,
        statistics: Statistics,
        on_lost: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._send_nowait = stream.send_nowait
        self._limits = limits
        self._statistics = statistics
        self._on_lost = on_lost
        self._nursery: trio.Nursery | None = None
        # What the socket did not take yet.
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        # Whether the client takes less than is written: prepare nothing more for it.
        self.congested = False
        self._writing = False
        # A packet was cut off, or the stream is: nothing may follow.
        self._broken = False
        self._written = trio.lowlevel.ParkingLot()
        self._all_written = trio.lowlevel.ParkingLot()
        self._sending: trio.CancelScope | None = None
        self._give_up_at = math.inf

    def use(self, stream: ByteStream) -> None:
        """Write to `stream` from now on; nothing was written yet."""
        self._stream = stream
        self._send_nowait = stream.send_nowait

    def start(self, nursery: trio.Nursery | None) -> None:
        """From now on, what the socket does not take is sent by a task in `nursery`.

        It is to outlive the connection's other tasks: `finish` waits for it.
        """
        self._nursery = nursery

    def write(self, data: bytes) -> None:
        """Send at once what the socket takes; the rest follows by the writer task."""
        if self._broken:
            return
        self._statistics.bytes_sent += len(data)
        if not self._pending and not self._writing:
            try:
                sent = self._send_nowait(data)
            except trio.BrokenResourceError:
                self._broken = True
                self._on_lost("the connection was lost")
                return
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
            if self._nursery is not None:
                self._writing = True
                self._nursery.start_soon(self._write_pending)
        self._pending.append(data)
        self._pending_bytes += len(data)
        self.congested = self._pending_bytes > self._limits.write_buffer

    async def _write_pending(self) -> None:
        complete = False
        try:
            with trio.CancelScope() as sending:
                self._sending = sending
                while self._pending:
                    data = memoryview(b"".join(self._pending))
                    self._pending.clear()
                    for start in range(0, len(data), _AT_ONCE):
                        piece = bytes(data[start : start + _AT_ONCE])
                        sending.deadline = min(
                            trio.current_time() + self._limits.write_timeout, self._give_up_at
                        )
                        await self._stream.send_all(piece)
                        self._pending_bytes -= len(piece)
                        self.congested = self._pending_bytes > self._limits.write_buffer
                        if not self.congested:
                            self._written.unpark_all()
                complete = True
            if not complete:
                self._on_lost("it stopped reading")
        except trio.BrokenResourceError:
            self._on_lost("the connection was lost")
        except Exception:
            logger.exception("Writing to %s failed", self._stream.peer)
            self._on_lost("internal error")
        finally:
            # A packet that was cut off is the last: nothing may follow it.
            self._broken = self._broken or not complete
            self._writing = False
            self._all_written.unpark_all()

    async def wait_until_written(self) -> None:
        """Wait until the client has taken most of what is written."""
        while self.congested:
            await self._written.park()

    async def wait_for_progress(self) -> None:
        """Wait, if the writer is congested, until the client has taken something of it."""
        if self.congested:
            await self._written.park()

    async def finish(self) -> None:
        """Send what is left, as far as the client takes it in time; then close the stream."""
        if self._writing:
            self._give_up_at = trio.current_time() + self._limits.goodbye_timeout
            if self._sending is not None:
                self._sending.deadline = min(self._sending.deadline, self._give_up_at)
            with trio.CancelScope(shield=True):
                while self._writing:
                    await self._all_written.park()
        self._broken = True
        self._pending.clear()  # closing may take its time
        await self._stream.aclose()
