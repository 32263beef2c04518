"""Between the broker's memory and a storage: what is kept at the end, and restored at the start.

The broker's memory is the truth while it runs. A storage gets what changed since it was loaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.protocols import ClientInfo
from trio_mqtt.broker.routing.batch import Batch, remaining_properties
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.sessions.delivery_state import InFlight
from trio_mqtt.broker.sessions.session import NEVER, Session
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.protocol import packets
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.storage.records import (
    Change,
    RetainedChange,
    SessionChange,
    Storage,
    Stored,
    StoredAuthor,
    StoredMessage,
    StoredSession,
    StoredSubscription,
)

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.retained import RetainedMessages
    from trio_mqtt.broker.sessions.registry import Sessions
    from trio_mqtt.broker.sessions.subscriptions import Subscriptions


class Persistence:
    """Loads a broker's state from a storage, and keeps it there when the broker ends."""

    def __init__(
        self,
        sessions: Sessions,
        subscriptions: Subscriptions,
        retained: RetainedMessages,
        storage: Storage,
    ) -> None:
        self._sessions = sessions
        self._subscriptions = subscriptions
        self._retained = retained
        self._storage = storage
        # What the storage holds and may have ended meanwhile.
        self._topics: set[str] = set()
        self._client_ids: set[str] = set()
        # What to add to the broker's clock, which begins anywhere, to get the time of day.
        self._epoch = time.time() - trio.current_time()

    async def load(self) -> None:
        """Restore everything, but what has expired meanwhile."""
        stored = await self._storage.load()
        self._remember(stored)
        now = trio.current_time()
        for kept in stored.retained:
            message = self._message(kept, now)
            if message is not None:
                author = None if kept.author is None else _restored(kept.author)
                self._retained.store(message, now, author)
        for session in stored.sessions:
            self._restore(session, now)

    async def close(self) -> None:
        """Keep everything as it is now, for the next broker; this one is over."""
        now = trio.current_time()
        changes: list[Change] = []
        topics = set()
        for message, stored_at, author, _ in self._retained.all():
            properties = remaining_properties(message.properties, int(now - stored_at))
            if properties is not None:
                topics.add(message.topic)
                kept = self._stored(message, message.qos, True, properties, now)
                if author is not None and author.own is None:
                    # What a token allowed ends with the broker: nobody could ask it again.
                    kept = replace(kept, author=_stored(author.client))
                changes.append(RetainedChange(message.topic, kept))
        client_ids = set()
        for session in self._sessions.all():
            if session.expiry_interval:
                client_ids.add(session.client_id)
                changes.append(SessionChange(session.client_id, self._kept(session, now)))
        changes += [RetainedChange(topic, None) for topic in self._topics - topics]
        changes += [SessionChange(client_id, None) for client_id in self._client_ids - client_ids]
        await self._storage.append(changes)
        await self._storage.close()

    def _remember(self, stored: Stored) -> None:
        self._topics.update(message.topic for message in stored.retained)
        self._client_ids.update(session.client_id for session in stored.sessions)

    # -- to the storage -------------------------------------------------------------------------

    def _kept(self, session: Session, now: float) -> StoredSession:
        expiry = session.expiry_interval
        return StoredSession(
            session.client_id,
            # The connection, if there was one, has ended just now.
            None if expiry >= NEVER else (session.expires_at or now + expiry) + self._epoch,
            tuple(
                StoredSubscription(
                    one.topic_filter.text,
                    one.target.qos,
                    one.target.no_local,
                    one.target.retain_as_published,
                    one.target.identifiers[0] if one.target.identifiers else None,
                    tuple(self._waiting(one.close(searched=True), now)),
                )
                for one in session.subscriptions.values()
            ),
            tuple(
                (packet_id, self._sent(qos, item))
                for packet_id, qos, item in session.sender.to_resend()
            ),
            tuple(session.sender.released),
            tuple(session.receiver.accepted),
            session.owner,
        )

    def _waiting(
        self, waiting: Sequence[tuple[Target, Batch]], now: float
    ) -> Iterator[StoredMessage]:
        for target, batch in waiting:
            elapsed = int(now - batch.received_at)
            for message in batch.messages:
                qos = min(message.qos, target.qos)
                properties = remaining_properties(message.properties, elapsed)
                if qos and properties is not None:
                    retain = message.retain and (target.retain_as_published or batch.retained)
                    properties = _with_identifiers(properties, target.identifiers)
                    yield self._stored(message, qos, retain, properties, now)

    def _sent(self, qos: int, item: InFlight) -> StoredMessage:
        message, retain, (identifiers, _), received_at = item
        # It does not expire once it was sent (§4.3.3): its interval counts from when it came.
        properties = _with_identifiers(message.properties, identifiers)
        return self._stored(message, qos, retain, properties, received_at)

    def _stored(
        self, message: Publish, qos: int, retain: bool, properties: Properties, at: float
    ) -> StoredMessage:
        return StoredMessage(
            message.topic, message.payload, qos, retain, at + self._epoch, properties
        )

    # -- from the storage -----------------------------------------------------------------------

    def _message(self, kept: StoredMessage, now: float) -> Publish | None:
        """The message with what is left of its expiry interval; None if nothing is."""
        elapsed = int(now + self._epoch - kept.stored_at)
        properties = remaining_properties(kept.properties, elapsed)
        if properties is None:
            return None
        return Publish(kept.topic, kept.payload, kept.qos, kept.retain, properties=properties)

    def _restore(self, kept: StoredSession, now: float) -> None:
        expires_at = None if kept.expires_at is None else kept.expires_at - self._epoch
        if expires_at is not None and expires_at <= now:
            return
        session = self._sessions.restore(kept.client_id, expires_at, kept.owner)
        for packet_id, message in kept.in_flight:
            session.sender.restore(packet_id, message.qos, self._in_flight(message))
        for packet_id in kept.released:
            session.sender.restore_released(packet_id, (Publish(""), False, ((), None), now))
        session.receiver.restore(kept.received)
        for one in kept.subscriptions:
            options = packets.Subscription(
                one.topic_filter, one.qos, one.no_local, one.retain_as_published
            )
            topic_filter = TopicFilter(one.topic_filter)
            subscription, _ = self._subscriptions.add(
                session, topic_filter, options, one.identifier
            )
            for waiting in one.waiting:
                self._put_back(subscription, waiting, now)

    def _in_flight(self, kept: StoredMessage) -> InFlight:
        properties, identifiers = _without_identifiers(kept.properties)
        message = Publish(kept.topic, kept.payload, kept.qos, properties=properties)
        return message, kept.retain, (identifiers, None), kept.stored_at - self._epoch

    def _put_back(self, subscription: Subscription, kept: StoredMessage, now: float) -> None:
        message = self._message(kept, now)
        if message is None:
            return
        message.properties, identifiers = _without_identifiers(message.properties)
        shared = subscription.shared_filter
        target = Target(subscription, kept.qos, True, identifiers, False, shared)
        subscription.offer(target, Batch([message], received_at=now))


def _stored(client: ClientInfo) -> StoredAuthor:
    return StoredAuthor(
        client.client_id,
        client.username,
        client.authenticated,
        client.address,
        client.protocol_version,
        client.listener,
        client.certificate_name,
        client.certificate_subject,
    )


def _restored(author: StoredAuthor) -> Authorship:
    return Authorship(
        ClientInfo(
            author.client_id,
            author.username,
            author.address,
            author.protocol_version,
            author.listener,
            author.authenticated,
            author.certificate_name,
            author.certificate_subject,
        )
    )


def _with_identifiers(properties: Properties, identifiers: tuple[int, ...]) -> Properties:
    if not identifiers:
        return properties
    with_them = properties.copy()
    with_them["subscription_identifier"] = list(identifiers)
    return with_them


def _without_identifiers(properties: Properties) -> tuple[Properties, tuple[int, ...]]:
    without = properties.copy()
    return without, tuple(without.pop("subscription_identifier", ()))
