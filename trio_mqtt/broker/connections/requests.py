"""What a client asks for besides publishing and acknowledging: subscriptions, PING, goodbye."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.protocols import AccessRefused, SubscriptionRequest
from trio_mqtt.broker.connections.offers import STORAGE_FAILS, RefusedPublish
from trio_mqtt.broker.connections.packet_kinds import kind_of
from trio_mqtt.broker.events.kinds import (
    MessageRefused,
    Pinged,
    Subscribed,
    SubscriptionRefused,
    Unsubscribed,
)
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import (
    Auth,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    PubAck,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
    UnsubAck,
    Unsubscribe,
)
from trio_mqtt.protocol.reason_codes import ALLOWED, ReasonCode
from trio_mqtt.protocol.topics import has_wildcard, parse_shared

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.auth_exchange import Authentication
    from trio_mqtt.broker.connections.deliveries import Deliveries
    from trio_mqtt.broker.connections.link import Answer, Link
    from trio_mqtt.broker.options import BrokerOptions
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription as ActiveSubscription

# A subscription that was granted, and whether it is new.
Granted = tuple["ActiveSubscription", bool]


class Requests:
    """Answers the requests of one connection: at once, or in steps where there is much to do."""

    __slots__ = ("_authentication", "_deliveries", "_is_bridge", "_link")

    def __init__(
        self,
        link: Link,
        deliveries: Deliveries,
        authentication: Authentication | None,
        *,
        is_bridge: bool = False,
    ) -> None:
        """`authentication` is that of the method which CONNECT named, if it named one.

        `is_bridge` says that CONNECT was that of a bridge of MQTT 3.
        """
        self._link = link
        self._deliveries = deliveries
        self._authentication = authentication
        self._is_bridge = is_bridge

    def handle(self, packet: Packet | RefusedPublish, session: Session) -> Iterator[None] | None:
        """Do what `packet` asks for and answer it; what is returned are the steps left to do so."""
        if not isinstance(packet, (Subscribe, RefusedPublish)):
            self._link.core.statistics.kinds_received[kind_of(packet)] += 1
        if isinstance(packet, Subscribe):
            return self.subscribe(packet, session)
        if isinstance(packet, Unsubscribe):
            return self._unsubscribe(packet, session)
        if isinstance(packet, PingReq):
            self._answer(PingResp())
            event_streams = self._link.core.event_streams
            if Pinged in event_streams.wanted:
                event_streams.tell(Pinged(session.client_id))
        elif isinstance(packet, Disconnect):
            self._disconnect(packet, session)
        elif isinstance(packet, Auth):
            self._on_auth(packet)
        elif isinstance(packet, RefusedPublish):
            self.refuse(packet, session)
        return None

    def refuse(self, message: RefusedPublish, session: Session) -> None:
        """Answer a message that goes nowhere (§3.4.2.1, §3.5.2.1)."""
        packet_id = message.packet_id
        if message.qos == 0:
            self._count_refused(message, session)
            return
        self._link.protocol.acknowledged()
        if message.qos == 2 and packet_id in session.receiver.accepted:
            self._answer(PubRec(packet_id))  # a repetition of one that was taken
            return
        self._count_refused(message, session)
        answer = PubAck if message.qos == 1 else PubRec
        self._answer(answer(packet_id, message.reason_code), message.reason)

    def _count_refused(self, message: RefusedPublish, session: Session) -> None:
        core = self._link.core
        core.statistics.messages_received += 1
        core.statistics.payload_bytes_received += message.payload_size
        core.statistics.messages_dropped += 1
        if MessageRefused in core.event_streams.wanted:
            reason = message.reason or message.reason_code.sentence
            core.event_streams.tell(
                MessageRefused(session.client_id, message.topic, reason, message.by_access)
            )

    def _answer(self, packet: Answer | PingResp, reason: str = "") -> None:
        link = self._link
        try:
            if isinstance(packet, PingResp):
                data = link.encoded(packet)
            else:
                data = link.explained(packet, reason)
        except LocalProtocolError:
            link.end(
                ReasonCode.PACKET_TOO_LARGE,
                f"it accepts no {type(packet).__name__.upper()} as large as it asked for",
            )
            return
        link.core.statistics.count_sent(*kind_of(packet))
        link.outlet.write(data)

    def _hold(self, session: Session) -> None:
        """What is answered next promises what is kept with the session: it waits for that."""
        if session.journal is not None:
            self._link.outlet.hold(session.journal)

    def _on_auth(self, packet: Auth) -> None:
        """The client authenticates again, which the protocol allows only after a method."""
        if self._authentication is not None and self._link.nursery is not None:
            self._authentication.on_auth(packet, self._link.nursery)

    def subscribe(
        self,
        packet: Subscribe,
        session: Session,
        decided: Sequence[SubscriptionRequest | AccessRefused] = (),
    ) -> Iterator[None]:
        """SUBSCRIBE: one reason code for each filter, then its retained messages (§3.8.4).

        `decided` is what the program's hooks make of each. Each step is one filter.
        """
        self._link.core.statistics.kinds_received[kind_of(packet)] += 1
        identifiers = packet.properties.get("subscription_identifier")
        identifier = identifiers[0] if identifiers else None
        offered = self._link.options
        unoffered = self._unoffered(packet)
        if unoffered is not None and self._link.outlet.is_v5:
            # It was told in CONNACK, so this is a protocol error (§3.2.2.3.11 to .13).
            self._link.end(*unoffered)
            return
        event_streams = self._link.core.event_streams
        codes: list[ReasonCode] = []
        reasons: dict[str, None] = {}
        granted: list[Granted] = []
        for index, options in enumerate(packet.subscriptions):
            asked = options.topic_filter
            answer = decided[index] if decided else None
            if isinstance(answer, AccessRefused):
                problem: tuple[ReasonCode, str] | None = _code(answer), answer.reason
            else:
                if answer is not None:
                    options = replace(options, topic_filter=answer.topic_filter, qos=answer.qos)
                topic_filter = TopicFilter(options.topic_filter)
                problem = self._problem(topic_filter, session) or self._too_many(asked, session)
            if problem is None:
                self._rename(asked, topic_filter.text, session)
                if options.qos > offered.maximum_qos:
                    options = replace(options, qos=offered.maximum_qos)
                if self._is_bridge:
                    # What it sends is not to come back, and to be kept there as it is kept here.
                    no_local = not topic_filter.share  # which excludes it (§3.8.3.1)
                    options = replace(options, no_local=no_local, retain_as_published=True)
                granted.append(self._grant(topic_filter, options, identifier, session))
                codes.append(ReasonCode(options.qos))
            else:
                codes.append(problem[0])
                if SubscriptionRefused in event_streams.wanted:
                    by_access = isinstance(answer, AccessRefused) or (
                        problem[0] == ReasonCode.NOT_AUTHORIZED
                    )
                    event_streams.tell(
                        SubscriptionRefused(session.client_id, asked, *problem, by_access)
                    )
                if problem[1]:
                    reasons[problem[1]] = None
            yield
        if granted:
            self._hold(session)
            elsewhere = self._link.core.elsewhere
            awaited = None if elsewhere is None else elsewhere.known(session)
            if awaited is not None:
                self._link.outlet.wait_for(awaited)
        # The tasks that send retained messages run only after this, so SUBACK comes first.
        self._answer(SubAck(packet.packet_id, codes), "; ".join(reasons))
        for one in granted:
            self._begin(one)
            yield

    def _unoffered(self, packet: Subscribe) -> tuple[ReasonCode, str] | None:
        """What a SUBSCRIBE asks for that this broker does not offer at all."""
        offered = self._link.options
        if (
            not offered.subscription_identifier_available
            and "subscription_identifier" in packet.properties
        ):
            return (
                ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
                "this broker takes no subscription identifiers",
            )
        for options in packet.subscriptions:
            unoffered = _unoffered_filter(options.topic_filter, offered)
            if unoffered is not None:
                return unoffered
        return None

    def _grant(
        self,
        topic_filter: TopicFilter,
        options: Subscription,
        identifier: int | None,
        session: Session,
    ) -> Granted:
        core = self._link.core
        subscription, new = core.subscriptions.add(session, topic_filter, options, identifier)
        wanted = options.retain_handling == 0 or (options.retain_handling == 1 and new)
        wanted = wanted and self._link.options.retain_available
        if wanted and not topic_filter.share:
            # From now on the messages themselves come.
            search = core.search_retained(topic_filter.text)
            core.subscriptions.offer_retained(session, subscription, search)
        if Subscribed in core.event_streams.wanted:
            core.event_streams.tell(Subscribed(session.client_id, topic_filter.text, options.qos))
        return subscription, new

    def _begin(self, granted: Granted) -> None:
        """Let a subscription send what there is for it, now that the client knows of it."""
        subscription, new = granted
        if not subscription.closed:  # as by a request that was answered meanwhile
            subscription.begin_search(self._link.outlet)
            if new:
                self._deliveries.start(subscription)

    def _problem(
        self, topic_filter: TopicFilter, session: Session
    ) -> tuple[ReasonCode, str] | None:
        """The reason that refuses a subscription (§3.9.3), as code and in words, if one must."""
        core = self._link.core
        limits = self._link.limits
        too_long = core.too_long(topic_filter.text)
        if too_long is not None:
            core.statistics.subscriptions_refused += 1
            return ReasonCode.TOPIC_FILTER_INVALID, too_long
        unoffered = _unoffered_filter(topic_filter.text, self._link.options)
        if unoffered is not None:
            return unoffered
        permissions = session.permissions
        if permissions is not None and not permissions.may_subscribe(topic_filter.plain):
            permissions.tell_refused("subscribe", topic_filter.text)
            return ReasonCode.NOT_AUTHORIZED, "the client may not subscribe to this filter"
        if session.journal is not None and session.journal.failure is not None:
            return ReasonCode.QUOTA_EXCEEDED, STORAGE_FAILS
        if session.retained_waiting > limits.maximum_queued_messages:
            return ReasonCode.QUOTA_EXCEEDED, "too many retained messages wait for this client"
        no_room = core.subscriptions.no_room_for(session, topic_filter, limits)
        if no_room is not None:
            core.statistics.subscriptions_refused += 1
            return ReasonCode.QUOTA_EXCEEDED, no_room
        return None

    def _too_many(self, asked: str, session: Session) -> tuple[ReasonCode, str] | None:
        """Hooks may make one subscription of many filters: those are counted as well."""
        limit = self._link.limits.maximum_subscriptions
        if len(session.renamed) < limit or asked in session.renamed:
            return None
        self._link.core.statistics.subscriptions_refused += 1
        return ReasonCode.QUOTA_EXCEEDED, f"a client may have {limit} subscriptions"

    def _rename(self, asked: str, granted: str, session: Session) -> None:
        """A subscription is known to the client by the filter that it asked for."""
        before = session.renamed.pop(asked, None)
        if before is not None and before != granted:
            self._link.core.subscriptions.remove(session, before)
        if asked != granted:
            session.renamed[asked] = granted

    def _unsubscribe(self, packet: Unsubscribe, session: Session) -> Iterator[None]:
        core = self._link.core
        codes = []
        permissions = session.permissions
        for topic_filter in packet.topic_filters:
            if permissions is not None and not permissions.may_unsubscribe(topic_filter):
                permissions.tell_refused("unsubscribe", topic_filter)
                codes.append(ReasonCode.NOT_AUTHORIZED)
                yield
                continue
            known = session.renamed.pop(topic_filter, topic_filter)
            existed = core.subscriptions.remove(session, known)
            codes.append(ReasonCode.SUCCESS if existed else ReasonCode.NO_SUBSCRIPTION_EXISTED)
            if existed and Unsubscribed in core.event_streams.wanted:
                core.event_streams.tell(Unsubscribed(session.client_id, topic_filter))
            yield
        if ReasonCode.SUCCESS in codes:
            self._hold(session)
        self._answer(UnsubAck(packet.packet_id, codes))

    def _disconnect(self, packet: Disconnect, session: Session) -> None:
        """DISCONNECT: the will is forgotten unless asked for; expiry may change (§3.14.2)."""
        link = self._link
        interval = packet.properties.get("session_expiry_interval")
        if interval is not None:
            limit = link.limits.maximum_session_expiry
            session.expiry_interval = min(interval, limit)
        if packet.reason_code == ReasonCode.SUCCESS:
            session.will = None
            link.lost("")
        else:
            link.lost(packet.reason_code.sentence)


def _code(refused: AccessRefused) -> ReasonCode:
    code = refused.reason_code
    return code if code in ALLOWED[PacketType.SUBACK] else ReasonCode.NOT_AUTHORIZED


def _unoffered_filter(topic_filter: str, options: BrokerOptions) -> tuple[ReasonCode, str] | None:
    """What a topic filter asks for that is not offered (MQTT 5.0 §3.2.2.3.11, §3.2.2.3.13)."""
    if not options.shared_subscription_available and parse_shared(topic_filter) is not None:
        return (
            ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
            "this broker takes no shared subscriptions",
        )
    if not options.wildcard_subscription_available and has_wildcard(topic_filter):
        return (
            ReasonCode.WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
            "this broker takes no subscriptions with wildcards",
        )
    return None
