"""What every client under test can do, whatever it is written in."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, TypeVar

from anyio.from_thread import BlockingPortal

_TO_END = 20.0  # seconds for a foreign program to end by itself
DEADLINE = 120.0  # seconds for anything that must happen: generous, for it is only ever a failure
SESSION_EXPIRY = 300  # seconds, for sessions that are to be resumed

Version = Literal["3.1.1", "5"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a broker, or the cable to it, listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Connecting:
    """Where and as whom a client connects. Sessions that are not clean are kept."""

    server: Server
    version: Version
    client_id: str
    clean: bool = True
    will: Message | None = None


class Peer(Protocol):
    """A connected client. Each call waits for what the broker answers, DEADLINE at most."""

    @property
    def session_present(self) -> bool | None:
        """What CONNACK said; None for clients that do not tell."""

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe; the filter must be granted."""

    def publish(self, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        """Publish messages in order; at QoS 1 and 2 until all are acknowledged."""

    def receive(self) -> Message:
        """The next message."""


class AsyncPeer(Protocol):
    """The same for clients that live in an event loop."""

    @property
    def session_present(self) -> bool | None: ...
    async def subscribe(self, topic_filter: str, qos: int) -> None: ...
    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None: ...
    async def receive(self) -> Message: ...


# Opens a client; leaving the context says goodbye, and does nothing if the connection is lost.
OpenPeer = Callable[[Connecting], AbstractContextManager[Peer]]


class Connect(Protocol):
    """The fixture that the behaviours use: connects the client under test to its broker."""

    def __call__(
        self,
        client_id: str | None = None,
        *,
        at: Server | None = None,
        clean: bool = True,
        will: Message | None = None,
    ) -> AbstractContextManager[Peer]: ...


class PortalPeer:
    """An `AsyncPeer` whose event loop runs in another thread."""

    def __init__(self, portal: BlockingPortal, peer: AsyncPeer) -> None:
        self._portal = portal
        self._peer = peer

    @property
    def session_present(self) -> bool | None:
        return self._peer.session_present

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        return self._portal.start_task_soon(function).result(DEADLINE)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self._call(partial(self._peer.subscribe, topic_filter, qos))

    def publish(self, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        for payload in payloads:
            self._call(partial(self._peer.publish, topic, payload, qos, retain))

    def receive(self) -> Message:
        return self._call(self._peer.receive)


def through_portal(
    portal: BlockingPortal, opening: Callable[[Connecting], AbstractAsyncContextManager[AsyncPeer]]
) -> OpenPeer:
    """Open clients in the event loop of `portal`."""

    @contextmanager
    def open_peer(connecting: Connecting) -> Iterator[Peer]:
        with portal.wrap_async_context_manager(opening(connecting)) as peer:
            yield PortalPeer(portal, peer)

    return open_peer


class LineProcess:
    """A program whose output is read line by line as it comes, until it is ended."""

    def __init__(
        self, command: Sequence[str], on_line: Callable[[str], None], *, stdin: bool = False
    ) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._on_line(line.removesuffix("\n"))

    def write_json(self, what: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Ask the program to end (SIGTERM), and make it end.

        Mosquitto's clients disconnect right where the signal comes: where they hold a lock there,
        they wait for it for ever.
        """
        self.process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_TO_END)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()


def get(source: queue.Queue[T], awaited: str) -> T:
    """The next item, or a sentence that says what did not come."""
    try:
        return source.get(timeout=DEADLINE)
    except queue.Empty:
        raise TimeoutError(f"{awaited} did not come within {DEADLINE:g} s") from None
