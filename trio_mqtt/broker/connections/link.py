"""The lower half of a connection: stream, protocol and outlet, who the client is, and the end."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

import trio

from trio_mqtt.broker.connections.connack import allowed
from trio_mqtt.broker.connections.observation import Observation
from trio_mqtt.broker.events.kinds import KeepAliveExpired, Throttled
from trio_mqtt.broker.pace import pace_of
from trio_mqtt.broker.sessions.delivery_state import session_key
from trio_mqtt.broker.sessions.outlet import Outlet
from trio_mqtt.broker.turns import PACKETS_AT_ONCE, Turn
from trio_mqtt.errors import LocalProtocolError, RemoteProtocolError
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType, ProtocolVersion
from trio_mqtt.protocol.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubRec,
    SubAck,
    UnsubAck,
)
from trio_mqtt.protocol.properties import NO_PROPERTIES, Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.server_connection import ServerConnection
from trio_mqtt.protocol.states import State

if TYPE_CHECKING:
    from trio_mqtt.broker.access.identity import Identity
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.holding_off import HeldOff
    from trio_mqtt.broker.pace import Pace
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription
    from trio_mqtt.broker.settings import Settings
    from trio_mqtt.broker.timers import Timer
    from trio_mqtt.transport.listeners.streams import ByteStream

logger = logging.getLogger("trio_mqtt.connections")

# What answers a packet of the client, and may say why it refuses.
Answer = PubAck | PubRec | SubAck | UnsubAck

# The violations that are about how much a client sends.
_BEYOND = frozenset(
    {
        ReasonCode.PACKET_TOO_LARGE,
        ReasonCode.QUOTA_EXCEEDED,
        ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
        ReasonCode.TOPIC_ALIAS_INVALID,
    }
)

COUNTED = 4_096  # bytes of an unfinished packet, from which on it counts


class Starter(Protocol):
    """What starts the deliveries of a client's subscriptions."""

    def start(self, subscription: Subscription) -> None:
        """Serve a subscription from now on."""


class Service:
    """How an accepted client is served: since when, and how often it is to be heard of (seconds).

    In one object, for Python gives a dictionary of its own to what has more attributes than `Link`.
    """

    __slots__ = ("deliveries", "keep_alive", "since")

    def __init__(self, since: float, keep_alive: int) -> None:
        self.since = since
        self.keep_alive = keep_alive
        self.deliveries: Starter | None = None

    @property
    def longest_silence(self) -> float:
        """Seconds after which the client must have been heard of again."""
        return self.keep_alive * 1.5


class Link:
    """What a client's connection is, for all that serve it; they end it, and know nothing above.

    `core` is what it shares with all others, `settings` what holds where it came in.
    """

    __deletable__ = ("outlet",)  # what mypyc asks to be told

    def __init__(self, core: Core, settings: Settings, stream: ByteStream) -> None:
        self.core = core
        self.settings = settings
        # Bounds hold as they are now; what the client is offered, as it was when it came.
        self.limits = limits = settings.limits
        self.options = settings.options
        self.mount_point = settings.mount_point
        # How fast its client may send; None where that is not bounded.
        self.pace = pace_of(limits.maximum_message_rate_in, limits.maximum_byte_rate_in)
        is_paced = limits.maximum_message_rate_in < PACKETS_AT_ONCE
        self.stream = stream
        self.protocol = ServerConnection(
            maximum_packet_size=limits.maximum_connect_size,
            # What comes in one read with CONNECT is held anyway.
            maximum_packet_size_later=limits.maximum_packet_size,
            receive_maximum=limits.receive_maximum,
            topic_alias_maximum=limits.topic_alias_maximum,
            maximum_user_properties=limits.maximum_user_properties,
            # Where few packets a second may come, few are taken at once.
            runs=not is_paced,
            packets_at_once=(
                max(1, int(limits.maximum_message_rate_in)) if is_paced else PACKETS_AT_ONCE
            ),
            maximum_filters=limits.maximum_filters_at_once,
            maximum_request_size=limits.maximum_request_size,
        )
        self.outlet = Outlet(stream, limits, core.statistics, self)
        self.session: Session | None = None
        self.client_id: str | None = None
        # Whom CONNECT names, or whom an authentication method has found the client to be.
        self.username: str | None = None
        self.identity: Identity | None = None  # who the client is, once that is known
        # Whether the client wants reasons in words (§3.1.2.11.7).
        self.problem_information = True
        self.reason = ""  # why it has ended; empty if the client said goodbye
        self.is_accepted = False  # its client got a session
        self.by_access = False  # it did not, for who it is or what it wanted
        self.turn = Turn()
        # The nursery of its tasks, while they run, and the one that reads.
        self.nursery: trio.Nursery | None = None
        self.reader: trio.lowlevel.Task | None = None
        self.last_received = trio.current_time()
        self.service: Service | None = None  # once its client is accepted
        # Whether the client is not read from, as it does not read.
        self.held_back = False
        # The address that it counts for, where that is bounded; and why its client is not served.
        self.source: str | None = None
        self.turned_away: HeldOff | None = None
        # When CONNECT must have come, then when the client must have been heard of again.
        self._deadline: Timer | None = None
        self._expiry: Timer | None = None  # of the client's token
        self.counts_unfinished = False  # part of a packet has come that the broker counts

    @property
    def access(self) -> AccessInForce:
        """By what its client was let in, and is held to."""
        return self.settings.access

    # -- what the client is sent ----------------------------------------------------------------

    def encoded(self, packet: Packet) -> bytes:
        """The bytes of an answer.

        A client that says goodbye in the same read gets its answers too: the protocol is a read
        ahead then, and would refuse them. Raises LocalProtocolError as the protocol does.
        """
        if self.outlet.ended or self.protocol.state is not State.DISCONNECTED:
            return self.protocol.send(packet)
        data = encode(packet, self.protocol.version)
        return data if len(data) <= self.protocol.peer_maximum_packet_size else b""

    def explained(self, packet: Answer, reason: str) -> bytes:
        """The bytes of an answer that refuses, with the reason in words.

        They are left out where the client wants none (§3.1.2.11.7) or takes no packet so large.
        Raises LocalProtocolError as the protocol does.
        """
        if reason and self.outlet.is_v5 and self.problem_information:
            try:
                data = self.encoded(replace(packet, properties={"reason_string": reason}))
            except LocalProtocolError:
                data = b""
            if data:
                return data
        return self.encoded(packet)

    # -- who looks at it ------------------------------------------------------------------------

    @property
    def observation(self) -> Observation | None:
        """What is seen of it, while somebody looks."""
        observer = self.outlet.observer
        return observer if isinstance(observer, Observation) else None

    def observe(self) -> Observation:
        """Have what it carries looked at, from now on if nobody does yet."""
        observation = self.observation
        if observation is None:
            version = self.protocol.version or ProtocolVersion.V5
            observation = self.outlet.observer = Observation(version, trio.current_time())
        return observation

    def trace(self, connect: Connect) -> None:
        """Its client has said CONNECT: whoever traces that client hears of it from here on."""
        followers = self.core.traced.get(session_key(connect.client_id, self.mount_point))
        if followers:
            observation = self.observe()
            observation.followers = followers
            observation.received([connect], 0)

    def meter(self, seconds: float) -> Observation:
        """Have it counted what it carries, for so long from now on."""
        observation = self.observe()
        observation.metered_until = trio.current_time() + seconds
        if observation.timer is None:
            observation.timer = self.core.timers.after(seconds, self._look_whether_metered)
        return observation

    def _look_whether_metered(self) -> None:
        observation = self.observation
        if observation is None:
            return
        left = observation.metered_until - trio.current_time()
        if left > 0:
            observation.timer = self.core.timers.after(left, self._look_whether_metered)
        else:
            observation.timer = None
            self.look_whether_observed()

    def look_whether_observed(self) -> None:
        """Somebody looks no more: nothing is counted that nobody asks for."""
        observation = self.observation
        if observation is not None and not observation.followers and observation.timer is None:
            self.outlet.observer = None

    # -- what the client must have said by when -------------------------------------------------

    def expect_connect(self) -> float:
        """End the connection where CONNECT is not answered in time; by when on Trio's clock."""
        timeout = self.limits.connect_timeout
        # A timer instead of a cancel scope: most connections never come near it.
        self._deadline = self.core.timers.after(timeout, self._did_not_connect)
        return self.last_received + timeout

    def _did_not_connect(self) -> None:
        self.core.statistics.connects_timed_out += 1
        self.lost("it did not connect in time")

    def expect_packets(self, keep_alive: int) -> None:
        """End it when the client is silent for one and a half times its keep alive (§3.1.2.10)."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.last_received = trio.current_time()
        self.service = service = Service(self.last_received, keep_alive)
        self.look_whether_observed()  # a trace may have ended before its client was accepted
        if keep_alive:
            self._deadline = self.core.timers.after(service.longest_silence, self._check_keep_alive)

    def _check_keep_alive(self) -> None:
        if self.service is None:
            raise AssertionError("its timer outlives the connection")
        timeout = self.service.longest_silence
        left = self.last_received + timeout - trio.current_time()
        if self.held_back:
            left = timeout  # what it says is not read now; that it reads is for the outlet to see
        if left > 0:
            self._deadline = self.core.timers.after(left, self._check_keep_alive)
        else:
            if KeepAliveExpired in self.core.event_streams.wanted and self.session is not None:
                self.core.event_streams.tell(KeepAliveExpired(self.session.client_id))
            self.core.statistics.keep_alives_expired += 1
            self.end(ReasonCode.KEEP_ALIVE_TIMEOUT, f"nothing came for {timeout:g} s")

    def expect_expiry(self, seconds: float) -> None:
        """End it when the client's token is no longer valid."""
        self._expiry = self.core.timers.after(
            seconds, lambda: self.end(ReasonCode.NOT_AUTHORIZED, "its token has expired")
        )

    def count_unfinished(self) -> bool:
        """Have the broker know how much has come of a packet that is not whole yet.

        False if there is no room for it: then the connection has ended.
        """
        held = self.protocol.unfinished
        if held > COUNTED or self.counts_unfinished:
            self.counts_unfinished = held > COUNTED
            self.core.memory.receiving(self, held if self.counts_unfinished else 0)
        return not self.outlet.ended

    def give_up_unfinished(self) -> None:
        """The broker has no room for what has come of a packet: let go of it, and end."""
        self.counts_unfinished = False
        self.core.statistics.packets_given_up += 1
        self.protocol.forget_unfinished()
        self.end(ReasonCode.QUOTA_EXCEEDED, "too many packets are unfinished at this broker")

    async def keep_pace(self, pace: Pace) -> None:
        """Wait where the client has sent more than its rate allows. What it says then waits too."""
        if not pace.is_in_debt:
            return
        self.core.statistics.reads_paused += 1
        if pace.may_tell():
            self.throttled(self.client_id or "", "in")
        self.held_back = True
        await pace.paid()
        self.held_back = False
        self.last_received = trio.current_time()

    def throttled(self, client_id: str, direction: Literal["in", "out"]) -> None:
        """Its client sends, or is sent, more than its rate."""
        if Throttled in self.core.event_streams.wanted:
            self.core.event_streams.tell(Throttled(client_id, direction))

    # -- the end --------------------------------------------------------------------------------

    def end(
        self,
        reason_code: ReasonCode,
        reason: str = "",
        properties: Properties = NO_PROPERTIES,
    ) -> None:
        """End the connection, telling an MQTT 5 client why, with `properties` where they fit."""
        if self.outlet.ended:
            return
        state = self.protocol.state
        if self.outlet.is_v5 and state is State.CONNECTED:
            code = allowed(reason_code, PacketType.DISCONNECT)
            self._say(Disconnect(code, properties), reason)
        elif self.outlet.is_v5 and state is State.CONNECTING:
            self._say(ConnAck(reason_code=allowed(reason_code, PacketType.CONNACK)), reason)
        self.lost(reason or reason_code.sentence)

    def _say(self, packet: Disconnect | ConnAck, reason: str) -> None:
        """Send a last packet, with the reason in words where the client takes them (§4.13)."""
        properties = packet.properties
        attempts: list[Properties] = [properties, {}]
        if reason and self.problem_information:
            with_words = properties.copy()
            with_words["reason_string"] = reason
            attempts.insert(0, with_words)
        for attempt in attempts:
            # The client may accept nothing so large: the code alone is four bytes.
            packet.properties = attempt
            try:
                self.outlet.write(self.protocol.send(packet))
            except LocalProtocolError:
                continue
            self.core.statistics.count_sent(type(packet).__name__.upper(), packet.reason_code)
            return
        logger.debug("%s accepts no packet that says why it is ended", self.stream.peer)

    def violated(self, error: RemoteProtocolError) -> None:
        """The client has broken a rule: end the connection, telling it so."""
        self.count_violation(error)
        self.end(error.reason_code, str(error))

    def count_violation(self, error: RemoteProtocolError) -> None:
        """Count it where it was for a bound."""
        self.core.statistics.packets_refused += error.reason_code in _BEYOND

    def no_longer_allowed(self, reason: str) -> None:
        """The client was let in, and is no longer: by its method, or as its password is another."""
        if self.identity is not None:
            self.access.refusals.record(self.identity.client, "stay connected", rule=reason)
        self.end(ReasonCode.NOT_AUTHORIZED, reason)

    def lost(self, reason: str) -> None:
        """The connection is over, for a reason that the client is not told or knows."""
        if not self.outlet.ended:
            self.outlet.ended = True
            self.reason = reason
        # The reader looks for itself; anybody else has to interrupt it.
        task = trio.lowlevel.current_task() if trio.lowlevel.in_trio_task() else None
        if self.nursery is not None and task is not self.reader:
            self.nursery.cancel_scope.cancel()

    def failed(self) -> None:
        """A defect of the broker, met by one client: the others go on."""
        logger.exception("The connection from %s failed", self.stream.peer)
        self.lost("internal error")

    def stop(self) -> None:
        """Its tasks have ended: nothing is expected or received any more."""
        self.nursery = None
        self.lost("it is no longer served")
        for timer in (self._deadline, self._expiry):
            if timer is not None:
                timer.cancel()
        self._deadline = self._expiry = None
        self.protocol.forget_unfinished()
        self.count_unfinished()

    def let_go(self) -> None:
        """All has ended: what refers back to this goes, so that it is freed at once."""
        self.reader = self.service = None
        if self.observation is not None:
            self.observation.end()
        del self.outlet
