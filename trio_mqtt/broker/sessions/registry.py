"""Who has which session: CONNECT, takeover, expiry, wills, and the subscriptions of each."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.connections.offers import unoffered_message
from trio_mqtt.broker.events.kinds import WillPublished
from trio_mqtt.broker.routing.batch import Batch, size_of
from trio_mqtt.broker.routing.filter_paths import FilterPaths, wildcard_paths
from trio_mqtt.broker.sessions.room import SessionRoom, holder_of
from trio_mqtt.broker.sessions.session import NEVER, Session
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.protocol import packets
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect, Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.topics import topic_name_problem

if TYPE_CHECKING:
    from trio_mqtt.broker.broker import Broker
    from trio_mqtt.broker.connections.connection import Connection
    from trio_mqtt.broker.routing.shared import SharedGroup
    from trio_mqtt.broker.sessions.outlet import Outlet

logger = logging.getLogger("trio_mqtt.broker")


def redirection(moved: bool) -> ReasonCode:
    """The reason code that sends a client to another server, for good or for now (§4.11)."""
    return ReasonCode.SERVER_MOVED if moved else ReasonCode.USE_ANOTHER_SERVER


# Bytes of one level in the tree of filters beside its name, and of a subscription.
_LEVEL = 400
_SUBSCRIPTION = 1_500


def _bytes_of(topic_filter: str) -> int:
    """The bytes that a subscription occupies, near enough for a bound."""
    return _SUBSCRIPTION + len(topic_filter.encode()) + _LEVEL * (topic_filter.count("/") + 1)


class Sessions:
    """All sessions of a broker, by client identifier."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sessions: dict[str, Session] = {}
        self._paths = FilterPaths()
        self._room = SessionRoom(
            broker.limits, makes_room=broker.options.oldest_absent_session_ends
        )

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        """The sessions that there are now."""
        return list(self._sessions.values())

    def outlet_of(self, client_id: str) -> Outlet | None:
        """The way to a client, if it is connected."""
        session = self._sessions.get(client_id)
        return None if session is None else session.outlet

    # -- CONNECT --------------------------------------------------------------------------------

    async def accept(self, connection: Connection, connect: Connect) -> ConnAck:
        """Give a connection its session (MQTT 5.0 §3.1.4); the answer to its CONNECT.

        Waits until a connection that has the session has let go of it.
        """
        refusal = self._refusal(connect)
        if refusal is not None:
            return refusal
        broker = self._broker
        limits = broker.limits
        properties: Properties = {}
        client_id = connect.client_id
        if not client_id:
            client_id = f"auto-{uuid.uuid4().hex}"
            properties["assigned_client_identifier"] = client_id
        session = self._sessions.get(client_id)
        identity = connection.identity
        user = None if identity is None else identity.proved_username
        if session is not None and session.owner not in (None, user):
            return ConnAck(
                reason_code=ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
                properties={"reason_string": "this client identifier is another user's"},
            )
        holder = holder_of(user, connection.stream.peer)
        if session is None:
            problem = self._make_room(holder)
            if problem is not None:
                return ConnAck(
                    reason_code=ReasonCode.QUOTA_EXCEEDED, properties={"reason_string": problem}
                )
        if session is not None and (connect.clean_start or session.expiry_interval == 0):
            # A session that ends with its connection ends when another takes its place.
            self._discard(session)
            session = None
        present = session is not None
        if session is None:
            session = self._sessions[client_id] = Session(client_id)
            broker.statistics.sessions += 1
        session.owner = user
        if session.holder != holder:
            self._room.enter(session, holder)
        self._room.present(session)
        connection.client_id = client_id
        connection.session = session
        await session.attach(connection.outlet)
        connection.admit(session)
        session.cancel_timer()
        session.will = connect.will
        session.expiry_interval = self._expiry_interval(connect, properties)
        session.expires_at = None
        session.sender.connected(
            min(connection.protocol.peer_receive_maximum, limits.maximum_in_flight)
        )
        if connect.protocol_version == ProtocolVersion.V5:
            self._tell_limits(connect, client_id, properties)
        return ConnAck(present, ReasonCode.SUCCESS, properties)

    def _refusal(self, connect: Connect) -> ConnAck | None:
        options = self._broker.options
        if options.server_reference is not None:
            return ConnAck(
                reason_code=redirection(options.server_moved),
                properties={
                    "server_reference": options.server_reference,
                    "reason_string": "this broker's clients are served by another",
                },
            )
        limits = self._broker.limits
        version = connect.protocol_version
        client_id = connect.client_id
        problem = None
        code = ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        if version == ProtocolVersion.V31 and not 1 <= len(client_id) <= 23:
            problem = "a client identifier of MQTT 3.1 has 1 to 23 characters"
        elif not client_id and not connect.clean_start and version != ProtocolVersion.V5:
            problem = "a session that is to be kept needs a client identifier"
        elif len(client_id) > limits.maximum_client_identifier:
            problem = (
                f"the client identifier has more than {limits.maximum_client_identifier} characters"
            )
        elif connect.will is not None:
            refused = unoffered_message(connect.will, options)
            if refused is not None:
                code, problem = refused
        if problem is None:
            return None
        return ConnAck(reason_code=code, properties={"reason_string": problem})

    def _make_room(self, holder: str) -> str | None:
        """Make room for a new session; why that cannot be, if it cannot."""
        going, problem = self._room.find(holder)
        for session in going:
            logger.info("The session of %r ends: others need its room", session.client_id)
            self._expire(session)
        return problem

    def _expiry_interval(self, connect: Connect, properties: Properties) -> int:
        """How long the session is kept (§3.1.2.11.2), told where it is not what was asked for."""
        limit = self._broker.limits.maximum_session_expiry
        if connect.protocol_version != ProtocolVersion.V5:
            return 0 if connect.clean_start else limit
        asked = connect.properties.get("session_expiry_interval", 0)
        if asked > limit:
            properties["session_expiry_interval"] = limit
        return min(asked, limit)

    def _tell_limits(self, connect: Connect, client_id: str, properties: Properties) -> None:
        """The server's limits in CONNACK (§3.2.2.3), where they are not what MQTT 5 supposes."""
        limits = self._broker.limits
        properties["receive_maximum"] = limits.receive_maximum
        properties["maximum_packet_size"] = limits.maximum_packet_size
        if limits.topic_alias_maximum:
            properties["topic_alias_maximum"] = limits.topic_alias_maximum
        options = self._broker.options
        if options.maximum_qos < 2:
            properties["maximum_qos"] = options.maximum_qos
        if not options.retain_available:
            properties["retain_available"] = 0
        if not options.wildcard_subscription_available:
            properties["wildcard_subscription_available"] = 0
        if not options.subscription_identifier_available:
            properties["subscription_identifier_available"] = 0
        if not options.shared_subscription_available:
            properties["shared_subscription_available"] = 0
        prefix = options.response_topic_prefix
        if prefix is not None and connect.properties.get("request_response_information") == 1:
            start = prefix + client_id
            if topic_name_problem(start) is None:
                properties["response_information"] = start
        keep_alive = connect.keep_alive
        if keep_alive == 0 or keep_alive > limits.maximum_keep_alive:
            properties["server_keep_alive"] = limits.maximum_keep_alive

    # -- the end of a connection and of a session -----------------------------------------------

    def release(self, outlet: Outlet, session: Session) -> None:
        """A connection's tasks have ended: its will is due, its session begins to expire."""
        if not session.detach(outlet):
            if session.outlet is None and not session.is_claimed:
                self._room.absent(session)  # it was to take over, and has gone before
            return
        will = session.will
        expiry = session.expiry_interval
        ended = self._sessions.get(session.client_id) is not session
        delay = 0 if will is None else will.properties.get("will_delay_interval", 0)
        if will is not None and (ended or expiry == 0 or delay == 0):
            self.publish_will(session)
        if ended:
            return
        if expiry and not session.is_claimed and not self._broker.closing:
            self._share_what_is_left(session)
        if expiry < NEVER:
            session.expires_at = trio.current_time() + expiry
        if expiry and not session.is_claimed:
            self._room.absent(session)
        if expiry == 0:
            self._discard(session)
        elif session.will is not None and delay < expiry:
            session.set_timer(
                self._broker.timers.after(delay, lambda: self._will_due(session, expiry - delay))
            )
        elif expiry < NEVER:
            session.set_timer(self._broker.timers.after(expiry, lambda: self._expire(session)))

    def _will_due(self, session: Session, expiry: float) -> None:
        """The will delay interval has passed without the client coming back (§3.1.3.2.2)."""
        self.publish_will(session)
        if session.expiry_interval < NEVER:
            session.set_timer(self._broker.timers.after(expiry, lambda: self._expire(session)))

    def publish_will(self, session: Session) -> None:
        """Publish the session's will, if it has one, once."""
        will = session.will
        session.will = None
        if will is None:
            return
        properties = will.properties
        if "will_delay_interval" in properties:
            properties = properties.copy()
            del properties["will_delay_interval"]
        message = Publish(will.topic, will.payload, will.qos, will.retain, properties=properties)
        self._broker.statistics.messages_without_packet += 1
        if session.permissions is not None and not session.permissions.may_publish(will.topic):
            self._broker.count_refused(session, [message], "will")
            return
        now = trio.current_time()
        batch = Batch([message], sender=session, received_at=now)
        self._broker.route(batch, [message] * will.retain)
        if WillPublished in self._broker.event_streams.wanted:
            self._broker.event_streams.tell(WillPublished(session.client_id, will.topic))

    def _expire(self, session: Session) -> None:
        """The session was not taken up again in time (§3.1.2.11.2)."""
        self._broker.statistics.sessions_expired += 1
        self._discard(session)

    def _discard(self, session: Session) -> None:
        """The session ends: nothing of it is left but a connection that is being ended."""
        del self._sessions[session.client_id]
        self._room.leave(session)
        self._broker.statistics.sessions -= 1
        session.cancel_timer()
        for subscription in session.subscriptions.values():
            if subscription.shared_filter:
                self._broker.router.remove(subscription)
        self._share_what_is_left(session, ended=True)
        for topic_filter in list(session.subscriptions):
            self.unsubscribe(session, topic_filter)
        if session.outlet is None:
            self.publish_will(session)
        session.disown()

    def _share_what_is_left(self, session: Session, *, ended: bool = False) -> None:
        """Give what a member of shared subscriptions leaves behind to the others (§4.8.2).

        While it may come back, only to those that are connected, and only if none of them could be
        made to drop anything. What was sent at QoS 2 is given to nobody else.
        """
        sent = [
            (packet_id, message, shared_filter, at)
            for packet_id, qos, (message, _, (_, shared_filter), at) in session.sender.to_resend()
            if shared_filter and qos == 1
        ]
        count = session.queued_messages + len(sent)
        size = session.queued_bytes + sum(size_of(message) for _, message, _, _ in sent)
        if not count:
            return
        router = self._broker.router
        willing: dict[SharedGroup, bool] = {}

        def takes_over(group: SharedGroup) -> bool:
            if group not in willing:
                willing[group] = ended or group.has_room_for(count, size)
            return willing[group]

        for packet_id, message, shared_filter, at in sent:
            group = router.group(shared_filter)
            if group is not None and takes_over(group):
                session.sender.give_up(packet_id)
                # Without its frame: who published it, and in which version, is not known any more.
                again = Publish(
                    message.topic,
                    message.payload,
                    message.qos,
                    message.retain,
                    properties=message.properties,
                )
                group.deliver(Batch([again], received_at=at))
        for subscription in session.subscriptions.values():
            if not subscription.shared_filter:
                continue
            group = router.group(subscription.shared_filter)
            if group is not None and takes_over(group):
                for _, batch in subscription.withdraw():
                    group.deliver(batch)

    def restore(
        self, client_id: str, expires_at: float | None, owner: str | None = None
    ) -> Session:
        """A session that has outlived an earlier broker; None if it never expires."""
        broker = self._broker
        session = self._sessions[client_id] = Session(client_id)
        session.owner = owner
        broker.statistics.sessions += 1
        # Where its client was is not known any more.
        self._room.enter(session, holder_of(owner, "elsewhere"))
        self._room.absent(session)
        session.expiry_interval = NEVER
        if expires_at is not None:
            left = max(0.0, expires_at - trio.current_time())
            session.expiry_interval = max(1, int(left))
            session.expires_at = expires_at
            session.set_timer(broker.timers.after(left, lambda: self._expire(session)))
        return session

    # -- subscriptions --------------------------------------------------------------------------

    def subscribe(
        self, session: Session, options: packets.Subscription, identifier: int | None
    ) -> tuple[Subscription, bool]:
        """Add a subscription, or give it new options (§3.8.4); and whether it is new."""
        broker = self._broker
        subscription = session.subscriptions.get(options.topic_filter)
        new = subscription is None
        if subscription is None:
            subscription = Subscription(
                session,
                options.topic_filter,
                broker.limits,
                broker.statistics,
                broker.event_streams,
            )
            session.subscriptions[options.topic_filter] = subscription
            paths = wildcard_paths(options.topic_filter)
            session.paths.add(paths)
            self._paths.add(paths)
            session.filter_bytes += _bytes_of(options.topic_filter)
            broker.statistics.subscriptions += 1
            broker.statistics.shared_subscriptions += bool(subscription.shared_filter)
        subscription.set_options(options, identifier)
        subscription.resting = False
        broker.router.add(subscription)
        return subscription, new

    def no_room_for(self, session: Session, topic_filter: str) -> str | None:
        """Why there is no room for another filter of a session, in words; None if there is."""
        if topic_filter in session.subscriptions:
            return None
        limits = self._broker.limits
        if len(session.subscriptions) >= limits.maximum_subscriptions:
            return f"a client may have {limits.maximum_subscriptions} subscriptions"
        if session.filter_bytes + _bytes_of(topic_filter) > limits.maximum_subscription_bytes:
            return "the topic filters of this client are too long in all"
        paths = wildcard_paths(topic_filter)
        if session.paths.more_with(paths) > limits.maximum_wildcard_paths_per_session:
            return "this client has wildcards in too many different places of its filters"
        if self._paths.more_with(paths) > limits.maximum_wildcard_paths:
            return "this broker has wildcards in too many different places of its filters"
        return None

    def check_subscriptions(self, session: Session) -> None:
        """Let each subscription rest, or go on, as the session's client may subscribe to it now.

        One that rests gets no message. What waits in it is checked when it would be delivered;
        what it shares with others is theirs.
        """
        permissions = session.permissions
        router = self._broker.router
        for subscription in session.subscriptions.values():
            allowed = permissions is None or permissions.may_subscribe(subscription.topic_filter)
            if allowed is not subscription.resting:
                continue
            subscription.resting = not allowed
            if allowed:
                router.add(subscription)
                continue
            if permissions is not None:
                permissions.tell_refused("subscribe", subscription.topic_filter)
            router.remove(subscription)
            for _, batch in subscription.withdraw():
                if subscription.shared_filter:
                    router.share(subscription.shared_filter, batch)
                else:
                    self._broker.statistics.deliveries_refused += batch.count

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """End a subscription; whether there was one (§3.10.4).

        What waits in it and matches another subscription of the session waits there from now on;
        what it shares with others waits for them.
        """
        subscription = session.subscriptions.pop(topic_filter, None)
        if subscription is None:
            return False
        paths = wildcard_paths(topic_filter)
        session.paths.discard(paths)
        self._paths.discard(paths)
        session.filter_bytes -= _bytes_of(topic_filter)
        self._broker.statistics.subscriptions -= 1
        self._broker.statistics.shared_subscriptions -= bool(subscription.shared_filter)
        router = self._broker.router
        router.remove(subscription)
        for _, batch in subscription.close():
            if subscription.shared_filter:
                router.share(subscription.shared_filter, batch)
            elif not batch.retained:
                router.pass_on(batch, session)
        return True
