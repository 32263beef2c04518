"""Plays a case against a broker's ports, and gathers what comes back."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from tests.beside.answers import Answerer
from tests.fuzz.cases import Case, Script, Step
from tests.fuzz.expectations import violation_of
from tests.fuzz.websocket import Deframer, frame, upgrade

QUIET = 0.12  # seconds without a byte after which a client that may stay has seen enough
# Seconds in which the broker must close where it must, and in which a connection must come about.
# Its own deadlines are a few seconds; the rest is for machines that are busy.
CLOSE_SECONDS = 30.0
CASE_SECONDS = 120.0
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes; who has read so much has seen enough
_DRIBBLE_PAUSE = 0.002
# Under TLS, who reads may be writing: to write then, too, is as if it had ended.
_ENDED = (
    trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError, ssl.SSLError
)  # fmt: skip
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Played:
    """What one client has seen."""

    script: Script
    received: bytes = b""
    # The broker has closed, orderly or not, before the client did.
    closed: bool = False
    # Orderly: nothing of what the broker has sent is lost.
    orderly: bool = False
    # The end was waited for in vain.
    stays: bool = False
    # All that the script sends was taken by the machine.
    sent_all: bool = True
    # In their order, answers among them, without WebSocket's framing.
    written: bytes = b""
    problems: list[str] = field(default_factory=list)


async def play(case: Case, ports: Mapping[str, int]) -> list[Played]:
    """All clients of the case at once, each to its end."""
    played = [Played(script) for script in case.scripts]
    with trio.move_on_after(CASE_SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            for one in played:
                nursery.start_soon(_Client(one, ports).run)
    if scope.cancelled_caught:
        played[0].problems.append(f"the case takes more than {CASE_SECONDS:g} s")
    return played


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_TLS = tls_context()
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class _Client:
    """One client: a reader, and a script that is played beside it."""

    def __init__(self, played: Played, ports: Mapping[str, int]) -> None:
        self._played = played
        self._script = played.script
        self._port = ports[played.script.port]
        self._is_websocket = "websocket" in played.script.speaks
        self._deframer: Deframer | None = None
        self._answerer = Answerer()
        self._answering = False
        self._chunks: list[bytes] = []
        self._written = bytearray()
        self._read = 0
        self._changed = trio.Event()
        self._sending = trio.Lock()
        self._stream: Stream
        self._socket: trio.SocketStream

    async def run(self) -> None:
        script, played = self._script, self._played
        if self._is_websocket or any(step[0] == "raw" for step in script.steps):
            self._deframer = Deframer()
        try:
            with trio.fail_after(CLOSE_SECONDS):
                self._socket = await trio.open_tcp_stream("127.0.0.1", self._port)
        except (OSError, trio.TooSlowError) as error:
            played.problems.append(f"the broker does not accept connections: {error!r}")
            return
        self._stream = self._socket
        if "tls" in script.speaks or "secure" in script.speaks:
            self._stream = trio.SSLStream(
                self._socket, _TLS, server_hostname="localhost", https_compatible=True
            )
        try:
            await self._shake_hands()
            async with trio.open_nursery() as nursery:
                if script.reads:
                    nursery.start_soon(self._keep_reading)
                await self._play()
                if not script.reads and script.end != "reset":
                    nursery.start_soon(self._keep_reading)
                await self._end()
                nursery.cancel_scope.cancel()
        finally:
            played.received = b"".join(self._chunks)
            played.written = bytes(self._written)
            if self._deframer is not None and self._deframer.problem is not None:
                played.problems.append(self._deframer.problem)
            await self._close()

    async def _shake_hands(self) -> None:
        """Of TLS; what does not come about shows with the first step."""
        if isinstance(self._stream, trio.SSLStream):
            with trio.move_on_after(CLOSE_SECONDS), suppress(*_ENDED):
                await self._stream.do_handshake()

    async def _play(self) -> None:
        try:
            if self._is_websocket:
                await self._stream.send_all(upgrade())
                await self._some(CLOSE_SECONDS)
            for step in self._script.steps:
                if self._played.closed:
                    self._played.sent_all = False
                    return
                with trio.move_on_after(CLOSE_SECONDS) as scope:
                    await self._step(step)
                if scope.cancelled_caught:  # the broker reads no more: it may, for a while
                    self._played.sent_all = False
                    return
        except _ENDED:
            self._played.sent_all = False

    async def _step(self, step: Step) -> None:
        match step:
            case ("send", data):
                await self._send(bytes.fromhex(data))
            case ("raw", data):
                await self._stream.send_all(bytes.fromhex(data))
            case ("repeat", data, count):
                await self._send(bytes.fromhex(data) * count)
            case ("dribble", data, size):
                raw = bytes.fromhex(data)
                for at in range(0, len(raw), size):
                    await self._send(raw[at : at + size])
                    await trio.sleep(_DRIBBLE_PAUSE)
            case ("pause", seconds):
                await trio.sleep(seconds)
            case ("answer", seconds):
                self._answering = True
                await trio.sleep(seconds)
                self._answering = False
            case _:
                raise ValueError(f"no step is {step!r}")

    async def _send(self, data: bytes) -> None:
        if data:
            async with self._sending:
                self._written += data
                await self._stream.send_all(frame(data) if self._is_websocket else data)

    async def _end(self) -> None:
        played, end = self._played, self._script.end
        if end == "shutdown":
            try:
                async with self._sending:
                    await self._socket.send_eof()
            except (OSError, *_ENDED):
                return
        if end == "shutdown" or (end == "wait" and self._must_close()):
            # From the last byte on: with TLS there may be thousands of small reads before the end.
            while not played.closed and self._read < LARGEST_ANSWER:
                before = self._read
                with trio.move_on_after(CLOSE_SECONDS):
                    while self._read == before and not played.closed:
                        await self._some(CLOSE_SECONDS)
                if self._read == before and not played.closed:
                    played.stays = True
                    return
        elif end == "wait":
            while not played.closed and self._read < LARGEST_ANSWER:
                before = self._read
                await self._some(QUIET)
                if self._read == before:
                    return

    def _must_close(self) -> bool:
        """Whether the broker has to end the connection after what it was sent."""
        return self._script.must_be_refused or violation_of(bytes(self._written)) is not None

    async def _some(self, seconds: float) -> None:
        """Wait until something has come, or the end."""
        if self._played.closed or not self._script.reads:
            await trio.sleep(min(seconds, QUIET))
            return
        with trio.move_on_after(seconds):
            await self._changed.wait()

    async def _keep_reading(self) -> None:
        played = self._played
        while self._read < LARGEST_ANSWER:
            try:
                data = await self._stream.receive_some(65_536)
            except _ENDED:
                data = b""
            else:
                played.orderly = not data
            if not data:
                played.closed = True
            else:
                self._read += len(data)
                carried = data if self._deframer is None else self._deframer.feed(bytes(data))
                self._chunks.append(bytes(carried))
                await self._answer(bytes(carried))
            self._changed.set()
            self._changed = trio.Event()
            if not data:
                return

    async def _answer(self, data: bytes) -> None:
        answer = self._answerer.feed(data)
        if answer and self._answering:
            try:
                with trio.move_on_after(QUIET):
                    await self._send(answer)
            except _ENDED:
                return

    async def _close(self) -> None:
        if self._script.end == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.socket.close()
        await trio.lowlevel.checkpoint()
