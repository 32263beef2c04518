"""A client that keeps its session over connections and broker's lives, and records everything.

It does for QoS 1 and 2 what the standard asks of a client, and nothing is hidden: what it sends,
repeats, receives and answers goes into the history, with packet identifiers and DUP.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec

import trio

from tests.durability.history import (
    EARLY,
    LONG,
    Acknowledged,
    Answered,
    Completed,
    Connected,
    Connecting,
    Ended,
    Event,
    History,
    Publishing,
    Received,
    Released,
    Resent,
    Subscribed,
    Subscribing,
    Unsubscribed,
    Unsubscribing,
    Violated,
    WillOf,
    number_in,
    payload_of,
)
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.client_connection import ClientConnection
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
    Will,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.states import State

P = ParamSpec("P")
V5 = ProtocolVersion.V5
WINDOW = 16  # messages that are sent and not acknowledged
IDENTIFIERS = 64  # few, so that each is used again and again
CONNECT_SECONDS = 15.0
TAKEN_OVER_SECONDS = 10.0
# What a broker has to close a connection in, after DISCONNECT.
GOODBYE_SECONDS = 1.0
# What a node that was cut off has to learn in that it was missed, before it counts as one that
# serves on: until then, it cannot know.
LEARNS_SECONDS = 4.0
_ASK_AGAIN = 0.2
# What a node may answer that cannot promise anything now, or is about to leave.
UNAVAILABLE = (
    ReasonCode.SERVER_UNAVAILABLE,
    ReasonCode.SERVER_BUSY,
    ReasonCode.USE_ANOTHER_SERVER,
    ReasonCode.SERVER_MOVED,
)


class Recorder:
    """The history of all clients and the broker, and numbers for messages."""

    def __init__(self) -> None:
        self.history: History = []
        self._numbers = 0

    def note(self, kind: Callable[Concatenate[float, P], Event], *a: P.args, **b: P.kwargs) -> None:
        self.history.append(kind(time.monotonic(), *a, **b))

    def number(self) -> int:
        self._numbers += 1
        return self._numbers


@dataclass(slots=True, eq=False)
class _Link:
    """One connection. Whoever writes holds the lock from the record to the last byte."""

    stream: trio.abc.Stream
    protocol: ClientConnection
    node: str = ""  # of several brokers, where it leads to
    lock: trio.Lock = field(default_factory=trio.Lock)
    answered: trio.Event = field(default_factory=trio.Event)
    reading: trio.CancelScope = field(default_factory=trio.CancelScope)
    says_goodbye: bool = False
    is_taken_over: bool = False  # it stays open until the next one is accepted


@dataclass(slots=True)
class _Outgoing:
    packet: Publish
    number: int
    is_released: bool = False


class Client:
    """A client and its session; the session stays when connections end."""

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        receive_maximum: int = 65_535,
        version: ProtocolVersion = V5,
        expiry: float = LONG,
    ) -> None:
        self.name = name
        self.version = version
        self.expiry = expiry  # seconds that its session outlives a connection
        self.is_holding = False  # answers to messages wait until this ends
        self.subscriptions: dict[str, int] = {}
        self.retained: dict[str, int | None] = {}  # what came with RETAIN
        self.seen: set[int] = set()
        self.was_cut: Callable[[str], float] = lambda _node: -math.inf
        """When a node was last cut off from what it shares with others."""
        self._recorder = recorder
        self._receive_maximum = receive_maximum
        self._outgoing: dict[int, _Outgoing] = {}
        self._requests: dict[int, str] = {}
        self._held: list[PubAck | PubRec] = []
        self._last_id = 0
        # Until when the session is there for sure, of the last connection that was accepted.
        self._lasts_until = math.inf
        self._link: _Link | None = None
        self._changed = trio.Event()

    @property
    def is_connected(self) -> bool:
        return self._link is not None and self._link.answered.is_set()

    @property
    def is_idle(self) -> bool:
        """Nothing is waiting for an answer."""
        return self.is_connected and not (self._outgoing or self._requests or self._held)

    async def connect(
        self,
        nursery: trio.Nursery,
        port: int,
        *,
        node: str = "",
        clean_start: bool = False,
        will: WillOf | None = None,
    ) -> bool:
        """Connect, or take the session over; whether the broker has accepted it.

        `node` is the one of several brokers that is at this port: then it may be unavailable, and
        where it has taken the session over, the older connection has to be at its end.
        """
        older = self._link
        if older is not None:
            older.is_taken_over = True
            self._forget(older)
        accepted = False
        try:
            with trio.move_on_after(CONNECT_SECONDS) as patience:
                clean_start = clean_start or not self.expiry
                accepted = await self._connect(nursery, port, node, clean_start, will)
        except OSError:
            pass  # the broker has ended
        finally:
            if older is not None and accepted and node:
                nursery.start_soon(self._see_end_of, older)
            elif older is not None:
                await trio.aclose_forcefully(older.stream)
        if patience.cancelled_caught:
            self._note_violation("CONNECT got no answer")
        return accepted

    async def _connect(
        self, nursery: trio.Nursery, port: int, node: str, clean_start: bool, will: WillOf | None
    ) -> bool:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        link = self._link = _Link(stream, ClientConnection(self.version), node)
        self.is_holding = False
        if clean_start:
            self._outgoing.clear()
        # MQTT 3 has one flag for both: what begins clean ends with its connection.
        expiry = 0.0 if self.version != V5 and clean_start else self.expiry
        self._recorder.note(
            Connecting,
            self.name,
            clean_start=clean_start,
            expiry=expiry,
            will=will,
            is_v5=self.version == V5,
            node=node,
        )
        nursery.start_soon(self._read, link)
        properties: Properties = NO_PROPERTIES
        if self.version == V5:
            properties = {
                "receive_maximum": self._receive_maximum,
                "session_expiry_interval": int(expiry),
            }
        await self._send(
            link,
            Connect(
                self.name,
                clean_start,
                0,
                self.version,
                None if will is None else _packet(will),
                properties=properties,
            ),
        )
        await link.answered.wait()
        if self._link is not link:
            return False
        # All that was not acknowledged is repeated first, in the order in which it was sent.
        for packet_id, outgoing in list(self._outgoing.items()):
            if outgoing.is_released:
                await self._send(link, PubRel(packet_id))
            else:
                outgoing.packet.dup = True
                await self._send(link, outgoing.packet, outgoing.number)
        return True

    async def publish(
        self,
        topic: str,
        qos: int,
        *,
        retain: bool = False,
        is_removal: bool = False,
        expiry: int | None = None,
    ) -> int | None:
        """Send a message as soon as the window has room; its number."""
        while self.is_connected and self._link is not None:
            if len(self._outgoing) < min(WINDOW, self._link.protocol.peer_receive_maximum):
                break
            await self._changed.wait()
        link = self._link
        if link is None or not self.is_connected:
            return None
        number = self._recorder.number()
        # An empty payload has no place for a number.
        properties: Properties = NO_PROPERTIES
        if is_removal:
            properties = {"user_property": [("number", str(number))]}
        elif expiry is not None:
            properties = {"message_expiry_interval": expiry}
        payload = b"" if is_removal else payload_of(number)
        packet_id = self._free_id()
        packet = Publish(topic, payload, qos, retain, False, packet_id, properties)
        self._outgoing[packet_id] = _Outgoing(packet, number)
        self._recorder.note(
            Publishing, self.name, number, topic, qos, packet_id, retain, is_removal, expiry
        )
        await self._send(link, packet)
        return number

    async def sees(self, number: int) -> bool:
        """Wait until a message has come; False if the connection ends before."""
        while self.is_connected and number not in self.seen:
            await self._changed.wait()
        return number in self.seen

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe and wait for the answer."""
        link = self._link
        if link is None or not self.is_connected:
            return
        self.subscriptions[topic_filter] = qos
        packet_id = self._free_id()
        self._requests[packet_id] = topic_filter
        self._recorder.note(Subscribing, self.name, topic_filter, qos)
        # A session that lasts has retained messages as they come, never as they are.
        handling = 2 if self.expiry and self.version == V5 else 0
        subscription = Subscription(topic_filter, qos, retain_handling=handling)
        await self._send(link, Subscribe(packet_id, [subscription]))
        await self._answer_to(link, packet_id)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe and wait for the answer."""
        link = self._link
        if link is None or not self.is_connected:
            return
        self.subscriptions.pop(topic_filter, None)
        packet_id = self._free_id()
        self._requests[packet_id] = topic_filter
        self._recorder.note(Unsubscribing, self.name, topic_filter)
        await self._send(link, Unsubscribe(packet_id, [topic_filter]))
        await self._answer_to(link, packet_id)

    async def leave(self, *, say_goodbye: bool) -> None:
        """End the connection."""
        link = self._link
        if link is None:
            return
        if say_goodbye and self.is_connected:
            # Before it leaves: the broker may close before this task goes on.
            link.says_goodbye = True
            await self._send(link, Disconnect())
            # Closed with something unread, it would end by a reset, and DISCONNECT be lost.
            with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                while self._link is link:
                    await self._changed.wait()
        self._forget(link)
        await trio.aclose_forcefully(link.stream)

    async def answer_held(self) -> None:
        """Hold answers no longer. They keep their order (§4.6): later ones wait behind them."""
        while self._held and self._link is not None:
            await self._answer(self._link, self._held.pop(0))
        self.is_holding = False

    def broker_is_gone(self, node: str = "") -> None:
        """The connection, if there is one, has ended with the broker; of several, with the node."""
        if self._link is not None and node in ("", self._link.node):
            self._forget(self._link)

    async def _see_end_of(self, older: _Link) -> None:
        """See that who had the session before serves it no more (§3.1.4): two never own it."""
        try:
            with trio.move_on_after(TAKEN_OVER_SECONDS) as patience, suppress(OSError):
                await older.stream.send_all(older.protocol.send(PingReq()))
                while data := await older.stream.receive_some(65_536):
                    if PingResp() not in older.protocol.receive(bytes(data)):
                        continue
                    now = trio.current_time()
                    if self.was_cut(older.node) < now - LEARNS_SECONDS:
                        self._note_violation(f"{older.node} serves on whom another has taken over")
                        return
                    await trio.sleep(_ASK_AGAIN)
                    patience.deadline = trio.current_time() + TAKEN_OVER_SECONDS
                    await older.stream.send_all(older.protocol.send(PingReq()))
            if patience.cancelled_caught:
                self._note_violation(f"{older.node} keeps a connection that was taken over")
        except (trio.BrokenResourceError, trio.ClosedResourceError, LocalProtocolError):
            pass  # it is at its end
        finally:
            await trio.aclose_forcefully(older.stream)

    async def _answer_to(self, link: _Link, packet_id: int) -> None:
        while self._link is link and packet_id in self._requests:
            await self._changed.wait()

    def _forget(self, link: _Link) -> None:
        if self._link is not link:
            return
        if link.answered.is_set():
            self._lasts_until = time.monotonic() + self.expiry - EARLY
        self._link = None
        self._requests.clear()
        self._held.clear()
        self.is_holding = False
        self._recorder.note(Ended, self.name, link.says_goodbye)
        link.reading.cancel()
        link.answered.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _note_violation(self, what: str) -> None:
        self._recorder.note(Violated, self.name, what)

    def _free_id(self) -> int:
        while True:
            self._last_id = self._last_id % IDENTIFIERS + 1
            if self._last_id not in self._outgoing and self._last_id not in self._requests:
                return self._last_id

    async def _send(self, link: _Link, packet: Packet, resent: int | None = None) -> None:
        """Send a packet, if the connection is still the one; what fails ends it."""
        async with link.lock:
            if self._link is not link or link.protocol.state is State.DISCONNECTED:
                return  # its end has come, and is handled in its turn
            if resent is not None:
                self._recorder.note(Resent, self.name, resent)
            try:
                await link.stream.send_all(link.protocol.send(packet))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._forget(link)
            except LocalProtocolError as error:
                self._note_violation(f"{type(packet).__name__} cannot be sent: {error}")
                self._forget(link)

    async def _read(self, link: _Link) -> None:
        try:
            with link.reading:
                await self._read_all(link)
        finally:
            self._forget(link)
            if not link.is_taken_over:
                await trio.aclose_forcefully(link.stream)

    async def _read_all(self, link: _Link) -> None:
        while True:
            try:
                data = await link.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            if link.says_goodbye:
                continue  # it crosses DISCONNECT, and is for nobody any more
            for packet in link.protocol.receive(bytes(data)):
                await self._handle(link, packet)
            if link.protocol.violation is not None:
                self._note_violation(str(link.protocol.violation))
                return

    async def _handle(self, link: _Link, packet: Packet) -> None:
        if self._link is not link:
            return
        match packet:
            case Publish():
                await self._handle_publish(link, packet)
            case PubRel():
                self._recorder.note(Released, self.name, packet.packet_id)
                await self._answer(link, PubComp(packet.packet_id))
            case PubAck() | PubRec() | PubComp():
                await self._handle_answer(link, packet)
            case SubAck() | UnsubAck():
                self._handle_request_answer(packet)
            case ConnAck():
                self._handle_connack(link, packet)
            case Disconnect():
                self._forget(link)
            case _:
                pass
        self._wake()

    def _handle_connack(self, link: _Link, packet: ConnAck) -> None:
        if packet.reason_code.is_failure:
            if not link.node or packet.reason_code not in UNAVAILABLE:
                self._note_violation(f"CONNECT was refused: {packet.reason_code.name}")
            self._forget(link)
            return
        self._recorder.note(Connected, self.name, packet.session_present)
        if not packet.session_present:
            # §4.1: without a session there, there is none here.
            self._outgoing.clear()
            self.subscriptions.clear()
        elif time.monotonic() > self._lasts_until:
            # It may be another, which has begun by an answer that never came.
            self.subscriptions.clear()
        link.answered.set()

    async def _handle_publish(self, link: _Link, packet: Publish) -> None:
        number = number_in(packet.payload)
        if not packet.payload:
            pairs = dict(packet.properties.get("user_property", []))
            number = int(pairs["number"]) if "number" in pairs else None
        self._recorder.note(
            Received, self.name, number, packet.topic, packet.qos, packet.packet_id, packet.dup,
            packet.retain, packet.properties.get("message_expiry_interval"),
        )  # fmt: skip
        if packet.retain:
            self.retained[packet.topic] = number
        elif number is not None:
            self.seen.add(number)
        if packet.qos == 0:
            return
        answer = PubAck(packet.packet_id) if packet.qos == 1 else PubRec(packet.packet_id)
        if self.is_holding:
            self._held.append(answer)
        else:
            await self._answer(link, answer)

    async def _answer(self, link: _Link, packet: PubAck | PubRec | PubComp) -> None:
        if not isinstance(packet, PubRec):
            # Before it leaves: the broker may send the next before this task goes on.
            link.protocol.acknowledged()
        self._recorder.note(Answered, self.name, packet.packet_id, type(packet).__name__)
        await self._send(link, packet)

    async def _handle_answer(self, link: _Link, packet: PubAck | PubRec | PubComp) -> None:
        outgoing = self._outgoing.get(packet.packet_id)
        expected = (PubAck,) if outgoing and outgoing.packet.qos == 1 else (PubRec, PubComp)
        if outgoing is None or not isinstance(packet, expected):
            self._note_violation(f"{type(packet).__name__} {packet.packet_id} answers nothing")
            return
        number = outgoing.number
        if isinstance(packet, PubComp):
            if not outgoing.is_released:
                self._note_violation(f"PUBCOMP {packet.packet_id} comes before PUBREL")
            self._recorder.note(Completed, self.name, number)
            del self._outgoing[packet.packet_id]
            return
        accepted = not packet.reason_code.is_failure
        self._recorder.note(Acknowledged, self.name, number, accepted)
        if isinstance(packet, PubAck) or not accepted:
            del self._outgoing[packet.packet_id]
        else:
            outgoing.is_released = True
            await self._send(link, PubRel(packet.packet_id))

    def _handle_request_answer(self, packet: SubAck | UnsubAck) -> None:
        topic_filter = self._requests.pop(packet.packet_id, None)
        if topic_filter is None:
            self._note_violation(f"{type(packet).__name__} {packet.packet_id} answers nothing")
        elif isinstance(packet, SubAck):
            granted = not packet.reason_codes[0].is_failure
            self._recorder.note(Subscribed, self.name, topic_filter, granted)
            if not granted:
                self.subscriptions.pop(topic_filter, None)
        elif not any(code.is_failure for code in packet.reason_codes):
            self._recorder.note(Unsubscribed, self.name, topic_filter)


def _packet(will: WillOf) -> Will:
    return Will(
        will.topic,
        payload_of(will.number),
        will.qos,
        will.retain,
        properties={"will_delay_interval": will.delay},
    )
