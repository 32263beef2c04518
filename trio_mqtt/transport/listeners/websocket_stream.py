"""The broker's end of a WebSocket, once the opening handshake is done."""

from __future__ import annotations

from contextlib import suppress

import trio

from trio_mqtt.transport.listeners.coded_stream import CodedStream
from trio_mqtt.transport.listeners.streams import CLOSE_TIMEOUT, ByteStream
from trio_mqtt.transport.listeners.websocket_frames import CLOSE, NORMAL, PONG, FrameReader, frame

_WITHOUT_CODE = 1005  # how a goodbye without a code reads
_LONGEST_REASON = 123  # bytes, with which a goodbye fills its frame
_LAST_WORD = 0.1  # seconds in which a peer that broke the rules may read which


class WebSocketStream(CodedStream):
    """MQTT in the binary frames of a WebSocket, which need not align with packets (§6).

    The stream beneath is TCP or TLS, and has done the opening handshake.
    """

    def __init__(self, beneath: ByteStream) -> None:
        super().__init__(beneath, beneath.origin)
        self._receive = beneath.receive_nowait
        self._frames = FrameReader()
        self._ended = False  # the client has said goodbye
        self._closed = False  # the broker has

    def receive_nowait(self, size: int = 0) -> bytes | None:
        early, self._early = self._early, None
        data = self._receive() if early is None else early
        frames = self._frames
        if frames.close_code is not None or frames.error is not None:
            return self.decoded(b"")  # what came before it has been read
        return self.decoded(data) if data else data

    def decoded(self, data: bytes) -> bytes | None:
        """What the frames hold that are in `data`; none means that the peer has ended.

        Raises trio.BrokenResourceError for what a WebSocket may not send; the peer is told.
        """
        frames = self._frames
        payload = frames.feed(data)
        if frames.pings:
            # Of those that come while nothing can be sent, only some are answered (§5.5.3).
            for ping in frames.pings:
                if not self._unsent and not self._closed:
                    self._say(frame(ping, PONG))
            frames.pings.clear()
        code, error = frames.close_code, frames.error
        if payload:
            if code is not None or error is not None:
                self._early = b""  # the next reading finds it, when what came before is answered
            return payload
        if code is not None:
            self._ended = True
            self._close(NORMAL if code == _WITHOUT_CODE else code)
        if error is not None:
            self._close(error.code, str(error))
            raise trio.BrokenResourceError(f"WebSocket: {error}")
        return b"" if self._ended else None

    def _close(self, code: int, reason: str = "") -> None:
        if self._closed or self._unsent:
            return
        self._closed = True
        with suppress(trio.BrokenResourceError):
            self._say(frame(code.to_bytes(2) + reason.encode()[:_LONGEST_REASON], CLOSE))

    def _encode(self, data: bytes) -> bytes:
        return frame(data)

    async def aclose(self) -> None:
        self._close(NORMAL)
        if self._closed and not self._ended:
            # Closing before the answer has come may take away what is still on its way.
            timeout = _LAST_WORD if self._frames.error is not None else CLOSE_TIMEOUT
            with (
                suppress(trio.BrokenResourceError),
                trio.CancelScope(shield=True, deadline=trio.current_time() + timeout),
            ):
                await self._until_closed()
        await self._beneath.aclose()

    async def _until_closed(self) -> None:
        while not self._ended:
            await self._wait()
            data = self._receive()
            if data == b"":
                return
            if data and self._frames.error is None:
                self._frames.feed(data)
                self._frames.pings.clear()
                self._ended = self._frames.close_code is not None
