"""Subscriptions: which there are; given to a client, and taken from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.events.kinds import Subscribed, Unsubscribed
from trio_mqtt.broker.operations.finding import link_of, session_of
from trio_mqtt.broker.operations.forms.messages import Done
from trio_mqtt.broker.operations.forms.subscriptions import (
    GiveSubscription,
    SubscriptionPage,
    SubscriptionQuery,
    SubscriptionView,
    TakeSubscription,
)
from trio_mqtt.broker.operations.keeping import changes_of, until_kept, until_known
from trio_mqtt.broker.operations.turns import chosen, made, page
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.errors import LocalProtocolError, NotFoundError
from trio_mqtt.protocol import packets
from trio_mqtt.protocol.topics import topic_matches_filter

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription


class SubscriptionsSeen:
    """The subscriptions of one broker's clients."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def subscriptions(self, asked: SubscriptionQuery) -> SubscriptionPage:
        is_wanted = _wanted(asked)
        sessions = await chosen(self._core.sessions.all(), _session_wanted(asked))
        found: list[tuple[Session, Subscription]] = []

        def take(session: Session) -> bool:
            for subscription in list(session.subscriptions.values()):
                if not subscription.closed and is_wanted(subscription):
                    found.append((session, subscription))
            return False

        await chosen(sessions, take)
        some = [one for one in page(found, asked) if not one[1].closed]
        views = await made(some, lambda one: None if one[1].closed else _view(*one))
        items = tuple(view for view in views if view is not None)  # none that ended meanwhile
        return SubscriptionPage(items=items, total=len(found))

    async def give_subscription(self, asked: GiveSubscription) -> Done:
        await trio.lowlevel.checkpoint()
        core = self._core
        session = session_of(core, asked)
        link = link_of(session)
        topic_filter = TopicFilter(asked.topic_filter)
        limits = core.limits if link is None else link.limits
        problem = core.too_long(topic_filter.text) or core.subscriptions.no_room_for(
            session, topic_filter, limits
        )
        permissions = session.permissions
        if (
            problem is None
            and permissions is not None
            and not permissions.may_subscribe(topic_filter.plain)
        ):
            problem = "the client may not subscribe to this filter"
        if problem is not None:
            raise LocalProtocolError(f"{asked.client_id!r} cannot have this: {problem}.")
        qos = min(asked.qos, (core.options if link is None else link.options).maximum_qos)
        options = packets.Subscription(
            topic_filter.text, qos, asked.no_local, asked.retain_as_published
        )
        before = changes_of(core)
        subscription, is_new = core.subscriptions.add(session, topic_filter, options, None)
        if asked.retained and core.options.retain_available and not topic_filter.share:
            search = core.search_retained(topic_filter.text)
            core.subscriptions.offer_retained(session, subscription, search)
        if link is not None:
            subscription.begin_search(link.outlet)
            if is_new and link.service is not None and link.service.deliveries is not None:
                link.service.deliveries.start(subscription)
        if Subscribed in core.event_streams.wanted:
            core.event_streams.tell(Subscribed(session.client_id, topic_filter.text, qos))
        await until_kept(core, before)
        await until_known(core, session)
        return Done(client_id=asked.client_id)

    async def take_subscription(self, asked: TakeSubscription) -> Done:
        await trio.lowlevel.checkpoint()
        core = self._core
        session = session_of(core, asked)
        before = changes_of(core)
        if not core.subscriptions.remove(session, asked.topic_filter):
            raise NotFoundError(
                f"{asked.client_id!r} has no subscription to {asked.topic_filter!r}."
            )
        for known, granted in list(session.renamed.items()):
            if granted == asked.topic_filter:
                del session.renamed[known]
        if Unsubscribed in core.event_streams.wanted:
            core.event_streams.tell(Unsubscribed(session.client_id, asked.topic_filter))
        await until_kept(core, before)
        return Done(client_id=asked.client_id)


def _session_wanted(asked: SubscriptionQuery) -> Callable[[Session], bool]:
    def is_wanted(session: Session) -> bool:
        return (asked.client_id is None or session.client_id == asked.client_id) and (
            asked.mount_point is None or session.mount_point == asked.mount_point
        )

    return is_wanted


def _wanted(asked: SubscriptionQuery) -> Callable[[Subscription], bool]:
    search = asked.search.casefold()

    def is_wanted(subscription: Subscription) -> bool:
        topic_filter = subscription.topic_filter
        return (
            (asked.topic_filter is None or topic_filter.text == asked.topic_filter)
            and (asked.topic is None or topic_matches_filter(asked.topic, topic_filter.plain))
            and (not search or search in topic_filter.text.casefold())
            and (asked.shared is None or asked.shared is bool(topic_filter.share))
        )

    return is_wanted


def _view(session: Session, subscription: Subscription) -> SubscriptionView:
    target = subscription.target
    return SubscriptionView(
        client_id=session.client_id,
        mount_point=session.mount_point,
        topic_filter=subscription.topic_filter.text,
        qos=target.qos,
        no_local=target.no_local,
        retain_as_published=target.retain_as_published,
        identifier=target.identifiers[0] if target.identifiers else None,
        queued=subscription.batches,
        resting=subscription.resting,
    )
