"""One broker after the other: started, stopped, and killed, where Trio runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio

from trio_mqtt.broker.broker import Broker, follow
from trio_mqtt.storage.rows import Storage
from trio_mqtt.testing.recording import Recording
from trio_mqtt.testing.storages import Disk, MortalStorage

Opening = Callable[[Storage | None], AbstractAsyncContextManager[Broker]]


class BrokerHost:
    """Has brokers run in tasks of a nursery, one at a time.

    `opening` opens one on a storage; `sever` cuts all connections of the one that runs, without a
    word to clients. What a broker raises while it runs ends the nursery.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        opening: Opening,
        sever: Callable[[], None],
        *,
        storage: Storage | None = None,
        recording: Recording | None = None,
    ) -> None:
        self.recording = recording
        self.disk = Disk()
        self._nursery = nursery
        self._opening = opening
        self._sever = sever
        self._storage = storage
        self._broker: Broker | None = None
        self.latest: Broker | None = None  # that runs, or the last that ran
        self._mortal: MortalStorage | None = None
        self._end = trio.Event()
        self._ended = trio.Event()
        self._failure: Exception | None = None
        self._changing = trio.Lock()  # whoever starts a broker or ends it

    @property
    def broker(self) -> Broker:
        """The broker that runs. Raises RuntimeError while none does."""
        if self._broker is None:
            raise RuntimeError("The broker is stopped: start it first.")
        return self._broker

    @property
    def is_running(self) -> bool:
        """Whether a broker runs."""
        return self._broker is not None

    async def start(self) -> None:
        """Start a broker; nothing where one runs."""
        async with self._changing:
            if self._end.is_set():
                await self._over()  # who had it end was cancelled, and did not wait
            if self._broker is None:
                self._end, self._ended = trio.Event(), trio.Event()
                await self._nursery.start(self._run, name="the broker of a test")

    async def stop(self) -> None:
        """End the broker in order. Raises StoreError where it could not keep what was left."""
        self._end.set()  # first of all: whoever waits for it may be cancelled
        async with self._changing:
            self._end.set()  # of one that was started meanwhile
            await self._over()

    async def _over(self) -> None:
        if self._broker is not None:
            await self._ended.wait()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def kill(self) -> None:
        """End the broker as if its process was killed."""
        if self._broker is not None:
            if self._mortal is not None:
                self._mortal.die()
            self._sever()
            if self.recording is not None:
                self.recording.note("The broker was killed")
        await self.stop()

    async def restart(self) -> None:
        """End the broker in order, and start it anew."""
        await self.stop()
        await self.start()

    def fill_disk(self) -> None:
        """From now on the storage keeps nothing. Raises RuntimeError where there is none."""
        if self._storage is None:
            raise RuntimeError("This broker keeps nothing on a disk: give it a storage.")
        self.disk.is_full = True

    def free_disk(self) -> None:
        """From now on the storage keeps again what it is given."""
        self.disk.is_full = False

    async def end(self) -> None:
        """The test is over."""
        self.disk.is_full = False
        await self.stop()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        self._mortal = None if self._storage is None else MortalStorage(self._storage, self.disk)
        has_started = is_ending = False
        try:
            async with self._opening(self._mortal) as broker:
                has_started = True
                self._broker = self.latest = broker
                if self.recording is not None:
                    self.recording.note("The broker was started")
                    follow(broker, self.recording)
                task_status.started()
                try:
                    await self._end.wait()
                finally:
                    is_ending = True
        except Exception as error:
            # That is told to whoever has it end: what it could not keep.
            if not is_ending:
                raise
            self._failure = error
        finally:
            self._broker = self._mortal = None
            self._ended.set()
            if self.recording is not None and has_started:
                self.recording.gone()
                self.recording.note("The broker ended")
