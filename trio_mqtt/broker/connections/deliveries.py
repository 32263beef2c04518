"""The tasks that send what waits in a session's subscriptions to its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.connections.link import Link
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription


class Deliveries:
    """Starts these tasks, once what was in flight before has been sent again.

    A subscription gets its task when first something waits in it, and then has it for as long as
    the connection lasts. Many never do: nothing comes, or whoever brings it writes it.
    """

    __slots__ = ("_have_begun", "_link")

    def __init__(self, link: Link) -> None:
        self._link: Link | None = link
        self._have_begun = False

    def begin(self, session: Session) -> None:
        """Let the sending of all subscriptions begin."""
        self._have_begun = True
        for subscription in session.subscriptions.values():
            self.start(subscription)

    def wait(self, session: Session) -> None:
        """Let nothing leave before that, whatever the connection before this one has begun."""
        for subscription in session.subscriptions.values():
            subscription.wait()

    def start(self, subscription: Subscription) -> None:
        """Serve a subscription; while the session is being resumed, it waits."""
        link = self._link
        if self._have_begun and link is not None and subscription.served_by is not self:
            if subscription.shared_filter is not None and not subscription.resting:
                link.core.router.index.is_back(subscription)
            subscription.serve(self)

    def run(self, subscription: Subscription) -> None:
        """Start the task of a subscription, unless the connection is over."""
        link = self._link
        if link is not None and link.nursery is not None:
            link.nursery.start_soon(subscription.deliver, link.outlet, name=_TASK)

    def end(self) -> None:
        """No task starts any more; subscriptions may know this for longer."""
        self._link = None


_TASK = "what waits for a subscription"  # one name for all: Trio would make one for each
