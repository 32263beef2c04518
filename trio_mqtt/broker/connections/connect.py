"""The way from a stream to a session: CONNECT, who the client is, and CONNACK (MQTT 5.0 §3.1.4)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.connect_questions import connect_as_decided
from trio_mqtt.broker.access.credentials import Credentials
from trio_mqtt.broker.access.identity import Identity, seconds_left
from trio_mqtt.broker.access.protocols import (
    AccessRefused,
    Authenticated,
    AuthenticationRefused,
    ClientInfo,
)
from trio_mqtt.broker.connections.auth_exchange import Authentication
from trio_mqtt.broker.connections.connack import (
    fitting,
    keep_alive_fits,
    refusal,
    refusal_of,
    sent_away,
    terms,
)
from trio_mqtt.broker.connections.first_packets import said_meanwhile
from trio_mqtt.broker.connections.link import Link
from trio_mqtt.broker.connections.offers import STORAGE_FAILS
from trio_mqtt.broker.connections.wills import check_will, room_for_will
from trio_mqtt.broker.events.kinds import ClientConnected
from trio_mqtt.broker.holding_off import HeldOff
from trio_mqtt.broker.sessions.aliases import TopicAliases
from trio_mqtt.broker.sessions.claims import Asking, Claim
from trio_mqtt.broker.sessions.kept_rows import will_bytes
from trio_mqtt.errors import RemoteProtocolError
from trio_mqtt.protocol.packet_types import ProtocolVersion
from trio_mqtt.protocol.packets import ConnAck, Connect
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.wire import MAX_PACKET_SIZE

if TYPE_CHECKING:
    from trio_mqtt.broker.access.hook_questions import HookQuestions
    from trio_mqtt.broker.sessions.claims import NoSession
    from trio_mqtt.broker.sessions.session import Session

# Answers that refuse nobody, but send to another server.
_ELSEWHERE = (ReasonCode.USE_ANOTHER_SERVER, ReasonCode.SERVER_MOVED)


class Handshake:
    """CONNECT of one client: who it is, what session it gets, and the answer."""

    def __init__(self, link: Link, connect: Connect, *, answer_by: float, said_more: bool) -> None:
        """`answer_by` is the time on Trio's clock until which the client waits for CONNACK.

        `said_more` tells that more packets have come with CONNECT.
        """
        self._link = link
        self._connect = connect  # as it holds: a program's hook may make another of what came
        self._asked = connect
        self.is_bridge = connect.is_bridge
        self._answer_by = answer_by
        self._said_more = said_more
        # What the client has said meanwhile, in bytes that are not decoded yet.
        self.early = b""
        # Who asks the client, if CONNECT named a method.
        self.authentication: Authentication | None = None
        # A program's hooks, if they are asked about what this client does.
        self.hooks: HookQuestions | None = None

    async def accept(self) -> Session | None:
        """Answer CONNECT. The client's session, if it was accepted."""
        link, connect = self._link, self._connect
        core, outlet = link.core, link.outlet
        link.client_id = connect.client_id or None
        core.statistics.packets_received += 1
        core.statistics.kinds_received["CONNECT", 0] += 1
        outlet.is_v5 = connect.protocol_version == ProtocolVersion.V5
        if outlet.is_v5 and link.protocol.peer_maximum_packet_size < MAX_PACKET_SIZE:
            outlet.maximum_packet_size = link.protocol.peer_maximum_packet_size
        if core.traced and connect.client_id:
            link.trace(connect)
        link.problem_information = connect.properties.get("request_problem_information", 1) == 1
        link.username = connect.username
        answer = await self._authenticated()
        if answer is None:
            return None
        reason = answer.properties.get("reason_string", "")
        if reason and not link.problem_information:
            answer.properties = answer.properties.copy()
            del answer.properties["reason_string"]
        session = link.session
        data = fitting(answer, link.encoded)
        if not data:
            if session is not None:
                session.will = None  # it was never accepted
            raise RemoteProtocolError(
                "it accepts only packets that are too small for CONNACK",
                ReasonCode.PACKET_TOO_LARGE,
            )
        core.statistics.count_sent("CONNACK", answer.reason_code)
        if session is None:
            outlet.write(data)
            link.lost(reason or answer.reason_code.sentence)
            return None
        link.is_accepted = True
        maximum = min(
            link.protocol.peer_topic_alias_maximum if outlet.is_v5 else 0,
            link.limits.client_topic_alias_maximum,
        )
        if maximum:
            outlet.aliases = TopicAliases(maximum)
        core.statistics.clients_accepted += 1
        core.statistics.clients_connected += 1
        if ClientConnected in core.event_streams.wanted:
            core.event_streams.tell(
                ClientConnected(
                    session.client_id,
                    link.stream.peer,
                    connect.protocol_version.text,
                    link.username,
                    answer.session_present,
                )
            )
        outlet.write(data)
        link.expect_packets(answer.properties.get("server_keep_alive", self._connect.keep_alive))
        return session

    async def _authenticated(self) -> ConnAck | None:
        """Find out who the client is, and give it its session; the answer to its CONNECT.

        None if the connection has ended meanwhile.
        """
        link, connect = self._link, self._connect
        held_off = self._held_off()
        if held_off is not None:
            return self._refused(held_off.reason_code, held_off.reason)
        method = connect.properties.get("authentication_method")
        if method is None:
            if link.access.authentication_required:
                return self._refused(
                    ReasonCode.NOT_AUTHORIZED, "this broker asks for an authentication method"
                )
            return await self._admitted(None)
        if method not in link.access.authenticators:
            return self._refused(
                ReasonCode.BAD_AUTHENTICATION_METHOD,
                "this broker does not offer that authentication method",
            )
        self.authentication = Authentication(link, method)
        outcome = await self.authentication.before_connack(connect)
        if outcome is None:
            return None
        if not isinstance(outcome, Authenticated):
            self._was_wrong()
            return self._refused(outcome.reason_code, outcome.reason)
        if outcome.username is not None:
            link.username = outcome.username
        answer = await self._admitted(outcome)
        if answer is not None and not answer.reason_code.is_failure:
            answer.properties = {
                **answer.properties, **self.authentication.properties(outcome.data)
            }  # fmt: skip
        return answer

    def _held_off(self) -> HeldOff | None:
        """Why the client is not let in, whoever it is, if it is not."""
        link, connect = self._link, self._connect
        core, peer, client_id = link.core, link.stream.peer, connect.client_id
        holding_off, busy = core.holding_off, core.load.reason
        # For want of memory, who fetches what waits is welcome.
        if busy is not None and (
            core.load.is_late or not core.sessions.has_waiting(client_id, link.mount_point)
        ):
            core.statistics.clients_refused_busy += 1
            return HeldOff(ReasonCode.SERVER_BUSY, busy)
        return (
            link.turned_away
            or self._banned(connect.username)
            or holding_off.identified(peer, client_id)
            or holding_off.logging_in(peer, connect.username)
        )

    def _banned(self, username: str | None) -> HeldOff | None:
        """Why the client is not let in, if it is banned, by whatever it is known so far."""
        link = self._link
        ban = link.core.bans.find(self._connect.client_id, username, link.stream.peer)
        return None if ban is None else HeldOff(ReasonCode.BANNED, f"this {ban.kind} is banned")

    def _was_wrong(self) -> None:
        """What the client shows does not prove who it is."""
        link = self._link
        link.core.statistics.logins_failed += 1
        link.core.holding_off.was_wrong(link.stream.peer, self._connect.username)

    async def _admitted(self, outcome: Authenticated | None) -> ConnAck | None:
        """Check what the client shows, and its will; then give it its session.

        None if the connection has ended meanwhile.
        """
        link, connect = self._link, self._asked
        credentials = Credentials(
            connect,
            username=link.username,
            origin=link.stream.origin,
            address=link.stream.peer,
            access=link.access,
            limits=link.limits,
            answer_by=self._answer_by,
            meanwhile=None if self._said_more else self._end_if_it_leaves,
        )
        entry = None if self.authentication is None else self.authentication.entry
        identity = await credentials.check(outcome, entry)
        if isinstance(identity, AuthenticationRefused):
            if identity.reason_code is ReasonCode.BAD_USER_NAME_OR_PASSWORD:
                self._was_wrong()
            elif identity.reason_code is ReasonCode.SERVER_BUSY:
                link.core.statistics.password_checks_refused += 1
            return self._refused(identity.reason_code, identity.reason)
        banned = self._banned(identity.client.username)
        if banned is not None:
            return self._refused(banned.reason_code, banned.reason)
        if link.access.asks_connect:
            refused = await self._as_decided(identity)
            if refused is not None:
                return refused
            connect = self._connect
            identity = replace(
                identity, client=replace(identity.client, client_id=connect.client_id)
            )
        if connect.will is not None:
            refused = await check_will(link, connect, connect.will, identity)
            if refused is not None:
                return refused
        no_longer = link.access.why_no_longer(identity, link.stream.origin)
        if no_longer is not None:
            # The files were read again meanwhile. From here on that ends the connection.
            return self._refused(ReasonCode.NOT_AUTHORIZED, no_longer)
        link.username = identity.client.username
        link.identity = identity
        link.core.holding_off.was_right(link.stream.peer, connect.username)
        if link.core.successors.is_draining:
            return self._turned_away(sent_away(link.core.successors), identity)
        refused = refusal_of(connect, self._asked, link.limits, link.options)
        if refused is not None:
            statistics = link.core.statistics
            if not keep_alive_fits(connect, link.limits):
                statistics.keep_alives_refused += 1
            elif refused.reason_code is ReasonCode.CLIENT_IDENTIFIER_NOT_VALID:
                statistics.identifiers_refused += 1
            return self._turned_away(refused, identity)
        return await self._begin_session(identity)

    async def _as_decided(self, identity: Identity) -> ConnAck | None:
        """Have a program's hook look at CONNECT, and change it; the answer where it refuses."""
        link, asked = self._link, self._asked
        decided = await connect_as_decided(link.access, link.limits, identity.client, asked)
        if isinstance(decided, AccessRefused):
            return self._refused(decided.reason_code, decided.reason)
        self._connect = decided
        link.client_id = decided.client_id or None
        if decided.client_id == asked.client_id:
            return None
        if link.core.traced and decided.client_id:
            link.trace(decided)
        banned = self._banned(identity.client.username)
        return None if banned is None else self._refused(banned.reason_code, banned.reason)

    async def _end_if_it_leaves(self) -> None:
        """Hear a client that waits for CONNACK: once it has gone, nothing is done for it."""
        self.early = await said_meanwhile(self._link)

    async def _begin_session(self, identity: Identity) -> ConnAck | None:
        """Give the connection its session, once another that has it has let go of it.

        None if another has claimed it meanwhile, at another broker.
        """
        link, connect = self._link, self._connect
        core = link.core
        client_id = connect.client_id or f"auto-{uuid.uuid4().hex}"
        expiry_interval, properties = terms(
            connect, self._asked, client_id, link.limits, link.options
        )
        if core.sessions.cannot_keep(client_id, link.mount_point, expiry_interval):
            return self._turned_away(
                refusal(ReasonCode.SERVER_UNAVAILABLE, STORAGE_FAILS), identity
            )
        user = identity.client.username if identity.client.authenticated else None
        with room_for_will(link, connect.will, client_id, user) as problem:
            if problem is not None:
                return self._turned_away(refusal(ReasonCode.QUOTA_EXCEEDED, problem), identity)
            present = await self._take_session(client_id, user, expiry_interval, identity)
        if present is None or isinstance(present, ConnAck):
            return present
        return ConnAck(present, ReasonCode.SUCCESS, properties)

    async def _take_session(
        self, client_id: str, user: str | None, expiry_interval: int, identity: Identity
    ) -> bool | ConnAck | None:
        """Make a session the connection's; whether it was there before, or the refusal.

        None if another has claimed it meanwhile, at another broker.
        """
        link, connect = self._link, self._connect
        core = link.core
        claim: Claim | NoSession | None
        if core.sessions.elsewhere is None:
            claim = core.sessions.claim(
                client_id,
                link.mount_point,
                user=user,
                address=link.stream.peer,
                clean_start=connect.clean_start,
                queue_policy=link.options.queue_policy,
            )
        else:
            claim = await core.sessions.elsewhere.claim(
                self._asking(client_id, user, expiry_interval, identity)
            )
        if claim is None:
            return None
        if not isinstance(claim, Claim):
            return self._turned_away(refusal(*claim), identity)
        core.holding_off.has_session(link.stream.peer, self._asked.client_id)
        session = claim.session
        link.client_id = client_id
        link.session = session
        await session.attach(link.outlet)
        self._grant(session, identity)
        session.begin(
            connect.will,
            expiry_interval,
            min(link.protocol.peer_receive_maximum, link.limits.maximum_in_flight),
        )
        if core.sessions.elsewhere is None:
            core.sessions.keep(session)
        else:
            core.sessions.elsewhere.begun(session)
        if core.journal is not None and (session.journal is not None or claim.replaces_kept):
            # CONNACK promises the session, or that there is none of before.
            link.outlet.hold(core.journal)
        return claim.present

    def _asking(
        self, client_id: str, user: str | None, expiry_interval: int, identity: Identity
    ) -> Asking:
        """What a cluster is to know of the client to give it its session."""
        link, connect = self._link, self._connect
        author = None
        if connect.will is not None:
            client = replace(identity.client, client_id=client_id)
            permissions = link.access.permissions(client, identity.rules)
            author = None if permissions is None else Authorship.of(permissions).text
        return Asking(
            client_id,
            client_id != connect.client_id,
            link.mount_point,
            user,
            link.stream.peer,
            connect.clean_start,
            link.options.queue_policy,
            expiry_interval,
            None if connect.will is None else will_bytes(connect.will),
            author,
            link.outlet,
        )

    def _grant(self, session: Session, identity: Identity) -> None:
        """The session is this connection's: what its client may do holds from now on."""
        link = self._link
        core = link.core
        access = link.access
        client = identity.client
        if client.client_id != session.client_id:
            client = replace(client, client_id=session.client_id)
        session.permissions = access.permissions(client, identity.rules)
        self.hooks = access.hook_questions(client, link.settings.hooks)
        if access.asks_delivery:
            link.outlet.hooks = self.hooks
        if identity.expires_at is not None:
            link.expect_expiry(seconds_left(identity.expires_at))
        core.subscriptions.check(session)

    def _turned_away(self, answer: ConnAck, identity: Identity) -> ConnAck:
        """The answer to a client that is who it says and is not let in: the log has it too."""
        if answer.reason_code not in _ELSEWHERE:
            reason = answer.properties.get("reason_string", answer.reason_code.sentence)
            self._link.access.refusals.record(identity.client, "connect", rule=reason)
            self._link.by_access = True
        return answer

    def _refused(self, code: ReasonCode, reason: str) -> ConnAck:
        """The answer to a client that is not let in, which the log has too."""
        client = ClientInfo(
            client_id=self._connect.client_id,
            username=self._link.username,
            address=self._link.stream.peer,
            protocol_version=self._connect.protocol_version.text,
        )
        refusals = self._link.access.refusals
        refusals.record(client, "connect", rule=reason or code.sentence)
        self._link.by_access = True
        return refusal(code, reason)
