"""What was kept of a session, put back: its subscriptions, and who says its will."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.access.authorship import Authorship
from trio_mqtt.broker.access.permissions import Permissions
from trio_mqtt.broker.routing.filters import TopicFilter
from trio_mqtt.protocol import packets

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.session import Session
    from trio_mqtt.broker.sessions.subscription import Subscription
    from trio_mqtt.storage.rows import SubscriptionRow


def author_of(text: str | None) -> Authorship | None:
    """Who has published something, as that was kept.

    Raises ValueError or TypeError where that is damaged.
    """
    return None if text is None else Authorship.restored(text)


def permissions_of(core: Core, author: str | None) -> Permissions | None:
    """What such an author may do by the rules in force. Raises as `author_of` does."""
    known = author_of(author)
    if known is None:
        return None
    return Permissions(known.client, core.rules_at(known.client.listener))


def restore_subscription(
    core: Core, journal: Journal, session: Session, row: SubscriptionRow
) -> Subscription:
    """A subscription that a session had: its retained messages are looked for if they still were.

    From the beginning: how far that was, nobody knows.
    """
    options = packets.Subscription(
        row.topic_filter, row.qos, bool(row.no_local), bool(row.retain_as_published)
    )
    if row.asked != row.topic_filter:
        for asked in row.asked.split("\0"):
            session.renamed[asked] = row.topic_filter
    subscription = core.subscriptions.restore(
        session, TopicFilter(row.topic_filter), options, row.identifier
    )
    if row.searching:
        subscription.offer_retained(core.search_retained(row.topic_filter))
        journal.searching(row, is_known=True)
    return subscription
