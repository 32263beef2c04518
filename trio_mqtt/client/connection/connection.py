"""One connection to a broker: what is written and read on it, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import ByteStream, TaskGroup

from trio_mqtt.client.authentication import ClientAuthentication
from trio_mqtt.client.connection.first_packets import (
    against_the_rules,
    broken,
    closed,
    disconnect_for,
    told_to_leave,
)
from trio_mqtt.client.connection.keep_alive import keep_alive
from trio_mqtt.client.connection.reauthentication import Reauthentication
from trio_mqtt.client.connection.topic_aliases import Savings, TopicAliases
from trio_mqtt.client.packets import PacketWatch
from trio_mqtt.errors import (
    ConnectionLostError,
    MqttError,
    RemoteProtocolError,
)
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packets import Auth, ConnAck, Disconnect, Packet
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.states import State

READ_SIZE = 262_144  # bytes
# What may wait to be written before those who publish wait: in bytes, and in packets, so that
# a task that publishes without end lets others run.
MAX_UNWRITTEN_BYTES = 65_536
MAX_UNWRITTEN_PACKETS = 256
_COPIED_PAYLOAD = 1_024  # bytes up to which joining is cheaper than carrying two pieces
# A connection that ends in order has so many seconds to write what is left and see it end.
CLOSE_TIMEOUT = 2.0


class PacketHandler(Protocol):
    """What a connection hands its packets to (the session)."""

    def on_packets(self, connection: Connection, packets: list[Packet]) -> None:
        """Take a batch; raises RemoteProtocolError where it breaks the rules."""

    def on_room(self, connection: Connection) -> None:
        """Something has been written, so that there may be room for more."""

    def must_pause(self) -> bool:
        """Whether no more should be read until `Connection.resume`."""

    def detach(self, error: MqttError) -> None:
        """The connection has ended, or is being closed; called once, at once."""


class Connection:
    """A connection that the broker has accepted.

    Packets to send are gathered (`write`) and leave in one piece when the writer gets its turn, or
    at once by `flush`. The writer is the only one that waits for the socket.
    """

    def __init__(
        self,
        url: str,
        stream: ByteStream,
        protocol: ClientConnection,
        connack: ConnAck,
        early: list[Packet],
        keep_alive: int,
    ) -> None:
        self.url = url
        self.protocol = protocol
        self.connack = connack
        # What precedes the payload of the message that is sent next.
        self.message_head = protocol.message_head
        self.keep_alive = connack.properties.get("server_keep_alive", keep_alive)
        self.lost: MqttError | None = None
        self.closing = False
        self._stream = stream
        self.early = early  # packets that came with CONNACK
        ends = [told_to_leave(url, one) for one in early if isinstance(one, Disconnect)]
        self.over_at_once = ends[0] if ends else None  # why, where DISCONNECT came with CONNACK
        self._send_now: Callable[[bytes], int] | None = getattr(stream, "send_now", None)
        self._unwritten: list[bytes] = []
        self._left = 0  # bytes at their head that are the rest of what the socket did not take
        self.watch: PacketWatch | None = None  # shows packets to who follows them
        self._unwritten_size = 0
        self._writing = False
        self._waking = False  # the writer is about to look
        self._to_write = anyio.Event()
        self._room: anyio.Event | None = None
        self._resumed: anyio.Event | None = None
        self._read_ended = anyio.Event()
        self.has_sent = self.has_received = True  # since the keep alive last looked
        self._scope: anyio.CancelScope | None = None
        self._handler: PacketHandler | None = None
        self.reauthentication: Reauthentication | None = None
        self._tasks: TaskGroup | None = None

    def use_topic_aliases(self, most: int, savings: Savings) -> None:
        """Send topics that recur by aliases, as many as the broker allows, and `most` of them."""
        maximum = min(most, self.protocol.peer_topic_alias_maximum)
        if maximum:
            self.message_head = TopicAliases(self.protocol, maximum, savings).message_head

    def show_packets(self, watch: PacketWatch) -> None:
        """Show what is sent and received from now on."""
        if self.over_at_once is not None:
            watch.show(self.early, sent=False)
        elif self.watch is None:
            watch.begin(self.protocol.version)
            self.watch = watch

    # Writing.

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._unwritten

    @property
    def full(self) -> bool:
        """Whether to wait for `room` before writing more messages."""
        return (
            self._unwritten_size >= MAX_UNWRITTEN_BYTES
            or len(self._unwritten) >= MAX_UNWRITTEN_PACKETS
        )

    def write(self, data: bytes) -> None:
        """Have bytes sent at the writer's next turn."""
        self.gather(data)
        self.flush_soon()

    def send(self, packet: Packet) -> None:
        """Have a packet sent at the writer's next turn. Raises LocalProtocolError."""
        self.write(self.protocol.send(packet))

    def gather_message(self, head: bytes, payload: bytes) -> None:
        """`gather` a message whose payload, if it is large, is not to be copied for that."""
        if len(payload) > _COPIED_PAYLOAD:
            self._unwritten += (head, payload)
        else:
            self._unwritten.append(head + payload)
        self._unwritten_size += len(head) + len(payload)

    def gather(self, data: bytes) -> None:
        """Have bytes sent by the next `flush`, which the caller promises."""
        self._unwritten.append(data)
        self._unwritten_size += len(data)

    def reply(self, packet: Packet) -> None:
        """`gather` an answer, unless the batch that is being handled ends the connection."""
        if self.protocol.state is State.CONNECTED:
            self.gather(self.protocol.send(packet))

    def acknowledge(self, packet_id: int) -> None:
        """`reply` with the PUBACK of a message that came."""
        if self.protocol.state is State.CONNECTED:
            self.gather(self.protocol.acknowledge(packet_id))

    def flush_soon(self) -> None:
        """Have what is gathered sent at the writer's next turn."""
        if not self._waking:
            self._waking = True
            self._to_write.set()

    def flush(self) -> None:
        """Send what is gathered, as far as the socket takes it without waiting."""
        if not self._unwritten:
            return
        if self._writing or self._send_now is None:
            self.flush_soon()
            return
        data = b"".join(self._unwritten)
        if self.watch is not None:
            self.watch.sent(data[self._left :])
        try:
            sent = self._send_now(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            sent = 0  # the writer will meet the same error and end the connection
        self._unwritten.clear()
        self._unwritten_size = self._left = len(data) - sent
        self.has_sent = True
        if sent < len(data):
            self._unwritten.append(data[sent:])
            self.flush_soon()
        else:
            self._wake_writers()

    async def room(self) -> None:
        """Wait until something has been written, or the connection has ended."""
        if self.lost is None:
            if self._room is None:
                self._room = anyio.Event()
            await self._room.wait()

    # Reading.

    @property
    def paused(self) -> bool:
        """Whether this end does not read, as what it has read waits to be taken."""
        return self._resumed is not None

    def resume(self) -> None:
        """Look again whether to go on reading."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    # Its life.

    async def run(self, handler: PacketHandler) -> MqttError | None:
        """Serve the connection until it ends; return why, None where this end closed it."""
        self._handler = handler
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                self._tasks = tasks
                if self.reauthentication is not None:
                    tasks.start_soon(self.reauthentication.run)
                tasks.start_soon(self._guard, self._write)
                tasks.start_soon(self._guard, keep_alive, self, self.keep_alive)
                await self._guard(self._read, handler)
                tasks.cancel_scope.cancel()
        finally:
            self.lose(ConnectionLostError(f"The connection to {self.url} is closed."))
            self._tasks = None
            if self.reauthentication is not None:
                self.reauthentication.ended()
            self._read_ended.set()
            self._wake_writers()
            await anyio.aclose_forcefully(self._stream)
        return None if self.closing else self.lost

    async def close(self, packet: Disconnect) -> None:
        """End the connection in order: DISCONNECT is the last packet, then the broker closes.

        The caller bounds the time; `run` returns soon after. Who comes while it is closed already
        waits for that. Raises LocalProtocolError, before anything is done, for a packet that cannot
        be sent.
        """
        if self.closing:
            await self._read_ended.wait()
            return
        data = self.protocol.send(packet)
        self.closing = True
        self.resume()
        self.write(data)
        self._detach(ConnectionLostError(f"The connection to {self.url} is closed."))
        await self._unwritten_all_written()
        try:
            await self._stream.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, NotImplementedError):
            return
        # Closing a socket that holds unread bytes resets the connection, and a reset may overtake
        # what was sent last. So wait until the broker has read it and closed its end.
        await self._read_ended.wait()

    def reauthenticate(
        self, authentication: ClientAuthentication, timeout: float
    ) -> Reauthentication:
        """Begin to authenticate again (§4.12.1); `reauthentication` is that until it is over."""
        running = self.reauthentication = Reauthentication(self, authentication, timeout)
        if self._tasks is not None:
            self._tasks.start_soon(running.run)
        self.resume()  # the broker's answer lies behind what nobody takes
        return running

    def authenticated_again(self) -> None:
        """Whoever authenticates again has ended."""
        self.reauthentication = None

    def on_auth(self, packet: Auth) -> None:
        """AUTH came, which the protocol allows only while this end authenticates again."""
        if self.reauthentication is not None:
            self.reauthentication.on_auth(packet)

    async def discard(self) -> None:
        """Close a connection that `run` does not serve."""
        await anyio.aclose_forcefully(self._stream)

    def give_up(self, error: MqttError) -> None:
        """End the connection for a reason that lies with this end, and say that (§4.12.1)."""
        if self.closing:
            return
        if self.lost is None:
            self._send_disconnect(ReasonCode.UNSPECIFIED_ERROR)
        self.lose(error)

    def lose(self, error: MqttError) -> None:
        """The connection is of no use any more: end it, for this reason."""
        if self.lost is None:
            self.lost = error
            self._detach(error)
        if self._scope is not None:
            self._scope.cancel()

    def _detach(self, error: MqttError) -> None:
        """Nothing more is to be asked of this connection: what comes is for the next one."""
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.detach(error)

    async def _guard(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run one of the tasks; whatever ends a connection ends all of them."""
        try:
            await task(*args)
        except anyio.EndOfStream:
            if not self.closing:
                self.lose(closed(self.url))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            cause = error.__cause__
            if isinstance(cause, MqttError):
                self.lose(ConnectionLostError(str(cause)))
                return
            self.lose(broken(self.url, cause))
        except MqttError as error:
            self.lose(error)

    async def _read(self, handler: PacketHandler) -> None:
        packets = self.early
        protocol = self.protocol
        receive = self._stream.receive
        while True:
            try:
                if packets:
                    if self.watch is not None:
                        self.watch.show(packets, sent=False)
                    handler.on_packets(self, packets)
                    self.flush()
                violation = protocol.violation
                if violation is not None:
                    raise violation
            except RemoteProtocolError as error:
                self._answer_violation(error)
                raise against_the_rules(self.url, error) from error
            while handler.must_pause() and not self.closing and self.reauthentication is None:
                self._resumed = anyio.Event()
                await self._resumed.wait()
            data = await receive(READ_SIZE)
            self.has_received = True
            # After this end's DISCONNECT nothing counts, but it is read: see `close`.
            packets = [] if self.closing else protocol.receive(data)

    def on_disconnect(self, packet: Disconnect) -> None:
        """DISCONNECT came: raise what it says."""
        raise told_to_leave(self.url, packet)

    def _answer_violation(self, error: RemoteProtocolError) -> None:
        """Tell the broker what it did, where the version has a word for it (§4.13).

        In MQTT 3, DISCONNECT would say that all is well, and the will be forgotten.
        """
        if self.protocol.version != 5:
            self.flush()
            return
        self._send_disconnect(disconnect_for(error).reason_code)

    def _send_disconnect(self, code: ReasonCode) -> None:
        try:
            self.gather(self.protocol.send(Disconnect(code)))
        except MqttError:
            return
        self.flush()

    async def _write(self) -> None:
        while True:
            if not self._unwritten:
                self._to_write = anyio.Event()
                self._waking = False
                await self._to_write.wait()
                if not self._unwritten:
                    continue
            data = b"".join(self._unwritten)
            self._unwritten.clear()
            if self.watch is not None:
                self.watch.sent(data[self._left :])
            self._unwritten_size = self._left = 0
            self._writing = True
            await self._stream.send(data)
            self._writing = False
            self.has_sent = True
            self._wake_writers()

    async def _unwritten_all_written(self) -> None:
        while self.lost is None and (self._unwritten or self._writing):
            await self.room()

    def _wake_writers(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
        # Nothing comes after DISCONNECT, whatever room there is: what waits is for the next one.
        if self._handler is not None and self.protocol.state is State.CONNECTED:
            self._handler.on_room(self)
