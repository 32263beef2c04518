"""The thread in which a broker of a test runs, with what it logs there."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import trio

from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.server import open_broker
from trio_mqtt.nurseries import tasks_beside
from trio_mqtt.storage.rows import Storage
from trio_mqtt.testing.hosting import BrokerHost
from trio_mqtt.testing.listening import Listening
from trio_mqtt.testing.network.proxy import BrokerNetwork
from trio_mqtt.testing.portal import Portal
from trio_mqtt.testing.recording import Recording
from trio_mqtt.testing.watching import Watching

T = TypeVar("T")
_LINES = 200  # that the library has logged, the latest


class BrokerThread:
    """It runs brokers on a Trio of its own, one after the other, until the test is over."""

    def __init__(
        self, listening: Listening, storage: Storage | None, options: dict[str, Any]
    ) -> None:
        self.host: BrokerHost
        self.watching: Watching
        self.portal: Portal
        self._listening = listening
        self._storage = storage
        self._options = options
        self._thread = threading.Thread(target=self._run, name="mqtt broker")
        self._ready = threading.Event()
        self._url: str | None = None
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._recording: Recording | None = None
        self._log = _ThreadLog()
        self._network: BrokerNetwork | None = None

    def start(self) -> None:
        """Start it, and wait until its broker listens."""
        self._thread.start()
        self._ready.wait()

    def url(self) -> str:
        """Where its broker listens. Raises what kept it from that."""
        if self._url is None:
            self._thread.join()
            error, self._error = self._error, None
            raise error or AssertionError("the broker ended without an error")
        return self._url

    @property
    def log(self) -> list[str]:
        """What has happened, in lines."""
        lines = [] if self._recording is None else list(self._recording.lines)
        return [f"{at:7.3f} s  {line}" for at, line in lines] + list(self._log.lines)

    def look(self, work: Callable[[BrokerHost, Watching], T]) -> T:
        """Have something looked at in the thread; at once, for a function that is called there."""
        if threading.current_thread() is self._thread:
            return work(self.host, self.watching)

        async def do() -> T:
            return work(self.host, self.watching)

        return self.portal.call(do)

    def network(self, broker: str) -> BrokerNetwork:
        """The network before its broker, which begins with the first who asks for it."""
        if self._network is None:
            self._network = self._call(
                lambda: BrokerNetwork(broker, self.portal.nursery, self._call)
            )
        return self._network

    def _call(self, work: Callable[[], T]) -> T:
        return self.look(lambda _host, _watching: work())

    def end(self) -> None:
        """End its broker, and the thread.

        Raises what the broker raised, and AssertionError where it met a defect of its own.
        """
        if self._token is not None:
            with suppress(trio.RunFinishedError):  # by an error, which is raised below
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._log.defect is not None:
            raise AssertionError(
                "The broker met a defect of its own while the test ran. Its log:\n"
                + "\n".join(self.log)
            ) from self._log.defect

    def _run(self) -> None:
        self._log.begin()
        try:
            trio.run(self._serve)
        except BaseException as error:
            self._error = _said(error)
        finally:
            self._listening.close()
            if self._network is not None:
                self._network.close()
            self._log.end()
            self._ready.set()

    async def _serve(self) -> None:
        self._recording = Recording()
        async with tasks_beside() as nursery:
            self.host = BrokerHost(
                nursery,
                self._open,
                self._listening.sever,
                storage=self._storage,
                recording=self._recording,
            )
            await self.host.start()
            self.watching = Watching(self.host)
            self.portal = Portal(nursery)
            self._token = trio.lowlevel.current_trio_token()
            self._url = self._listening.url(self.host.broker.url)
            self._ready.set()
            try:
                with self._scope:
                    await trio.sleep_forever()
                await self.host.end()
            finally:
                self.portal.end()

    @asynccontextmanager
    async def _open(self, storage: Storage | None) -> AsyncIterator[Broker]:
        listen = self._listening.open()
        async with open_broker(listen, storage=storage, **self._options) as broker:
            yield broker


def _said(error: BaseException) -> BaseException:
    """What was raised, without the groups in which it came alone."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        [error] = error.exceptions
    return error


class _ThreadLog(logging.Handler):
    """What the library logs in one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.defect: BaseException | None = None
        self._thread = 0
        self._logger = logging.getLogger("trio_mqtt")

    def begin(self) -> None:
        """From now on, of this thread."""
        self._thread = threading.get_ident()
        self._logger.addHandler(self)

    def end(self) -> None:
        """There is nothing more to come."""
        self._logger.removeHandler(self)
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        self.lines.append(f"{record.levelname}  {record.getMessage()}")
        # What a program's own hooks raise is the program's to test.
        if record.exc_info is not None and not record.name.startswith("trio_mqtt.access"):
            self.defect = self.defect or record.exc_info[1]
