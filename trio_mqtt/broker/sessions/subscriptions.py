"""The subscriptions of all sessions: added, given up, and resting while they are not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.sessions.kept_rows import subscription_row
from trio_mqtt.broker.sessions.overflow import Overflow
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.broker.turns import InTurns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_mqtt.broker.elsewhere import Elsewhere
    from trio_mqtt.broker.events.fan_out import EventStreams
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.retained_search import RetainedSearch
    from trio_mqtt.broker.routing.router import Router
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.wildcard_paths import WildcardPaths
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.protocol import packets

# Bytes of one level in the tree of filters beside its name, and of a subscription.
_LEVEL = 400
_SUBSCRIPTION = 1_500


def _bytes_of(topic_filter: TopicFilter) -> int:
    """The bytes that a subscription occupies, near enough for a bound."""
    text = topic_filter.text
    return _SUBSCRIPTION + len(text.encode()) + _LEVEL * (text.count("/") + 1)


class Subscriptions:
    """Adds and removes the subscriptions of one broker's sessions, within their bounds."""

    def __init__(
        self,
        limits: Limits,
        statistics: Statistics,
        router: Router,
        event_streams: EventStreams,
        paths: WildcardPaths,
    ) -> None:
        self._limits = limits
        self._statistics = statistics
        self._router = router
        self._event_streams = event_streams
        self._overflow = Overflow(limits, statistics, event_streams)
        self.letting_go = InTurns()
        # Where subscriptions of other brokers are that belong to the same cluster; None without.
        self.elsewhere: Elsewhere | None = None
        self._paths = paths

    def may_grow(self, size: float) -> None:
        """By so many bytes all queues may grow, as there is memory: then long ones take no more."""
        self._overflow.may_grow(size)

    def add(
        self,
        session: Session,
        topic_filter: TopicFilter,
        options: packets.Subscription,
        identifier: int | None,
    ) -> tuple[Subscription, bool]:
        """Add a subscription, or give it new options (§3.8.4); and whether it is new."""
        subscription = session.subscriptions.get(topic_filter.text)
        new = subscription is None
        if subscription is None:
            subscription = Subscription(
                session,
                topic_filter,
                options,
                identifier,
                self._limits,
                self._statistics,
                self._event_streams,
                self._overflow,
            )
            session.subscriptions[topic_filter.text] = subscription
            self._paths.add(session, topic_filter)
            session.filter_bytes += _bytes_of(topic_filter)
            self._statistics.subscriptions += 1
            self._statistics.shared_subscriptions += subscription.shared_filter is not None
        else:
            subscription.set_options(options, identifier)
            subscription.resting = False
        self._place(subscription)
        if session.journal is not None:
            session.journal.subscribed(subscription_row(subscription, session))
        return subscription, new

    def _place(self, subscription: Subscription) -> None:
        """From now on messages reach a subscription, with the options that it has now."""
        if self.elsewhere is None:
            self._router.index.add(subscription)
        else:
            self.elsewhere.place(subscription)

    def displace(self, subscription: Subscription) -> None:
        """No message reaches a subscription from now on."""
        if self.elsewhere is None:
            self._router.index.remove(subscription)
        else:
            self.elsewhere.displace(subscription)

    def offer_retained(
        self, session: Session, subscription: Subscription, search: RetainedSearch
    ) -> None:
        """Let the retained messages be sent that SUBSCRIBE asks for: SUBACK promises them."""
        subscription.offer_retained(search)
        if session.journal is not None and subscription.target.qos:
            session.journal.searching(subscription_row(subscription, session))

    def restore(
        self,
        session: Session,
        topic_filter: TopicFilter,
        options: packets.Subscription,
        identifier: int | None,
    ) -> Subscription:
        """Add a subscription that an earlier broker has kept, whatever the bounds are now."""
        journal, session.journal = session.journal, None  # which knows of it
        try:
            return self.add(session, topic_filter, options, identifier)[0]
        finally:
            session.journal = journal

    def no_room_for(
        self, session: Session, topic_filter: TopicFilter, limits: Limits
    ) -> str | None:
        """Why there is no room for another filter of a session, in words; None if there is.

        `limits` are those of the listener by which its client has come.
        """
        if topic_filter.text in session.subscriptions:
            return None
        if len(session.subscriptions) >= limits.maximum_subscriptions:
            return f"a client may have {limits.maximum_subscriptions} subscriptions"
        if session.filter_bytes + _bytes_of(topic_filter) > limits.maximum_subscription_bytes:
            return "the topic filters of this client are too long in all"
        return self._paths.problem(session, topic_filter, limits)

    def check(self, session: Session) -> None:
        """Let each subscription rest, or go on, as the session's client may subscribe to it now."""
        for _ in self.check_each(session):
            pass

    def check_each(self, session: Session) -> Iterator[None]:
        """Do so, each in a step.

        One that rests gets no message. What waits in it is checked when it would be delivered;
        what it shares with others is theirs.
        """
        router = self._router
        for subscription in list(session.subscriptions.values()):
            yield
            if subscription.closed:
                continue
            permissions = session.permissions
            topic_filter = subscription.topic_filter
            allowed = permissions is None or permissions.may_subscribe(topic_filter.plain)
            if allowed is not subscription.resting:
                continue
            subscription.resting = not allowed
            if allowed:
                self._place(subscription)
                continue
            if permissions is not None:
                permissions.tell_refused("subscribe", topic_filter.text)
            self.displace(subscription)
            for _, batch in subscription.withdraw():
                if subscription.shared_filter is not None:
                    router.share(subscription.shared_filter, batch)
                else:
                    self._statistics.deliveries_refused += batch.count

    def depart(self, session: Session) -> None:
        """A session goes on elsewhere: its subscriptions get nothing here any more."""
        subscriptions = list(session.subscriptions.values())
        session.subscriptions.clear()
        session.filter_bytes = 0
        for subscription in subscriptions:
            self._paths.discard(session, subscription.topic_filter)
            self._statistics.subscriptions -= 1
            self._statistics.shared_subscriptions -= subscription.shared_filter is not None
            self.displace(subscription)
        # What waits here waits elsewhere too: letting go of it is no change of the session.
        session.journal = None
        for subscription in subscriptions:
            self.letting_go.add(subscription.abandon())

    def remove(self, session: Session, text: str, *, ends: bool = False) -> bool:
        """End the subscription to a filter; whether there was one (§3.10.4).

        What waits in it and matches another subscription of the session waits there from now on,
        unless the session `ends`; what it shares with others waits for them.
        """
        subscription = session.subscriptions.pop(text, None)
        if subscription is None:
            return False
        topic_filter = subscription.topic_filter
        if session.journal is not None:
            session.journal.unsubscribed(session.number, topic_filter.text)
        self._paths.discard(session, topic_filter)
        session.filter_bytes -= _bytes_of(topic_filter)
        self._statistics.subscriptions -= 1
        self._statistics.shared_subscriptions -= subscription.shared_filter is not None
        router = self._router
        self.displace(subscription)
        if subscription.shared_filter is not None:
            for _, batch in subscription.close():
                router.share(subscription.shared_filter, batch)
        elif ends or not session.subscriptions:
            self.letting_go.add(subscription.abandon())
        else:
            # At once: what comes next must not be there before it.
            waiting = (batch for _, batch in subscription.close())
            router.pass_on((batch for batch in waiting if not batch.retained), session)
        return True
