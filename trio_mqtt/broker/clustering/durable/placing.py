"""Subscriptions of durable sessions here: which log each follows, and from where on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeGuard, cast

from trio_mqtt.broker.clustering.durable.holding import is_durable, is_logged
from trio_mqtt.broker.sessions.subscription import Subscription
from trio_mqtt.cluster.positions import NOTHING, Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.clustering.durable.catching_up import CatchingUp
    from trio_mqtt.broker.clustering.durable.holding import Holding
    from trio_mqtt.broker.clustering.durable.local import Direct
    from trio_mqtt.broker.clustering.durable.registering import Registering
    from trio_mqtt.broker.clustering.durable.shares import Shares
    from trio_mqtt.broker.clustering.interests import Interests
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.promises import Awaited
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.routing.target import Recipient
    from trio_mqtt.broker.sessions.session import Session


class Placing:
    """Places subscriptions. `index` has all of them, `direct` what comes to them by no log."""

    def __init__(
        self,
        holding: Holding,
        registering: Registering,
        catching_up: CatchingUp,
        shares: Shares,
        direct: Direct,
        index: SubscriptionIndex,
        journal: ClusterJournal,
        interests: Interests,
    ) -> None:
        self._holding = holding
        self._registering = registering
        self._catching_up = catching_up
        self._shares = shares
        self._direct = direct
        self._index = index
        self._journal = journal
        self._interests = interests
        self.join: Callable[[Recipient], None] = lambda _subscription: None
        """Has a member of a shared subscription get messages from now on."""
        self._placed: set[Recipient] = set()
        # Members of shared subscriptions whose messages wait for their sessions too.
        self._sharing: set[Subscription] = set()
        # Subscriptions that were granted QoS 0: nothing waits for them, and there is no log.
        self._plain: set[Subscription] = set()

    def takes(self, subscription: Recipient) -> TypeGuard[Subscription]:
        """Whether a subscription is of a durable session, and so stands here."""
        return (
            isinstance(subscription, Subscription)
            and is_durable(cast("Session", subscription.session))
            and not subscription.topic_filter.share
        )

    def has(self, subscription: Recipient) -> TypeGuard[Subscription]:
        """Whether a subscription was placed here."""
        return subscription in self._placed

    def place(self, subscription: Subscription) -> None:
        """From now on messages reach a subscription; placing it again takes its new options."""
        holding = self._holding
        session = cast("Session", subscription.session)
        self._placed.add(subscription)
        self._index.add(subscription)
        self._direct.want(subscription)
        tracker = holding.tracker(session)
        text = subscription.topic_filter.text
        if not is_logged(subscription):
            if subscription not in self._plain:
                self._plain.add(subscription)
                self._interests.add(subscription.topic_filter)
            if text in tracker.cursors:
                holding.no_longer_follows(tracker, text, is_over=True)
            return
        self._no_longer_plain(subscription)
        if text in tracker.cursors or session.journal is None or holding.nursery is None:
            return  # it goes on as before, or will be told how
        awaited = holding.begins(session, subscription)
        token = tracker.tokens[text] = object()
        tracker.cursors.begin(text, Position.after(NOTHING))
        holding.nursery.start_soon(self._begin, subscription, tracker, token, awaited)

    def displace(self, subscription: Subscription) -> None:
        """No message reaches a subscription from now on."""
        session = subscription.session
        self._placed.discard(subscription)
        self._index.remove(subscription)
        self._no_longer_plain(subscription)
        self._direct.no_longer(subscription)
        tracker = self._journal.trackers.get(session.number)
        text = subscription.topic_filter.text
        if tracker is not None and tracker.session is session and text in tracker.cursors:
            is_over = text not in tracker.session.subscriptions
            self._holding.no_longer_follows(tracker, text, is_over=is_over)

    def _no_longer_plain(self, subscription: Subscription) -> None:
        if subscription in self._plain:
            self._plain.remove(subscription)
            self._interests.discard(subscription.topic_filter)

    async def _begin(
        self, subscription: Subscription, tracker: Tracker, token: object, awaited: Awaited
    ) -> None:
        """A subscription is new: what comes from now on is in the log, and reaches it."""
        holding, text = self._holding, subscription.topic_filter.text
        try:
            await holding.until_kept()
            if not holding.is_wanted(tracker, text, token):
                return
            last = await holding.hold(text, tracker.session)
            if not holding.is_wanted(tracker, text, token):
                if text not in tracker.tokens:
                    holding.release(text, tracker.session)
                return
            position = Position.after(last)
            holding.begin_cursor(tracker, text, position)
            follower = await self._registering.follow(text)
            if not holding.is_wanted(tracker, text, token):
                self._registering.no_longer_follows(text)
                return
            tracker.following[text] = last
            # What is ahead of it was published while nodes were told: it comes, or does not.
        finally:
            holding.has_begun(tracker.session, subscription, awaited)
        await self._catching_up.read(follower, tracker, position.place, token)

    # -- members of shared subscriptions --------------------------------------------------------

    def place_member(self, subscription: Recipient) -> bool:
        """Have messages wait in a log for a member of a shared subscription that is here; whether
        they are to. It joins the group once all nodes write to the log: what it was given before
        could come to the group again by that, where the publisher's node dies.
        """
        if not isinstance(subscription, Subscription):
            return False
        if subscription in self._sharing:
            return True
        holding, session = self._holding, cast("Session", subscription.session)
        if not is_durable(session) or not is_logged(subscription) or holding.nursery is None:
            return False
        self._sharing.add(subscription)
        awaited = holding.begins(session, subscription)
        holding.nursery.start_soon(self._share, subscription, session, awaited)
        return True

    def displace_member(self, subscription: Recipient) -> None:
        """A member of a shared subscription is here no more."""
        self._shares.displaced(subscription)
        if isinstance(subscription, Subscription) and subscription in self._sharing:
            self._sharing.remove(subscription)
            session = cast("Session", subscription.session)
            text = subscription.topic_filter.text
            if self._journal.trackers.get(session.number) and text not in session.subscriptions:
                self._holding.release(text, session)

    async def _share(self, subscription: Subscription, session: Session, awaited: Awaited) -> None:
        text = subscription.topic_filter.text
        try:
            await self._holding.until_kept()
            if subscription in self._sharing:
                await self._holding.hold(text, session)
                await self._registering.share(text, partial(self._join, subscription))
        finally:
            self._holding.has_begun(session, subscription, awaited)

    def _join(self, subscription: Subscription) -> None:
        if subscription in self._sharing:
            self.join(subscription)
