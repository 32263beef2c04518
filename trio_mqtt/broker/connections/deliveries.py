"""The tasks that send what waits in a session's subscriptions to its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription


class Deliveries:
    """Starts these tasks, once what was in flight before has been sent again."""

    __slots__ = ("_have_begun", "_link")

    def __init__(self, link: Link) -> None:
        self._link = link
        self._have_begun = False

    def begin(self, session: Session) -> None:
        """Let the tasks of all subscriptions begin."""
        self._have_begun = True
        for subscription in session.subscriptions.values():
            self.start(subscription)

    def start(self, subscription: Subscription) -> None:
        """Start the task of a subscription; while the session is being resumed, it waits."""
        link = self._link
        if self._have_begun and link.nursery is not None and not subscription.is_served:
            subscription.is_served = True
            if subscription.shared_filter is not None and not subscription.resting:
                link.core.router.is_back(subscription)
            link.nursery.start_soon(subscription.deliver, link.outlet)
