"""What a member of shared subscriptions leaves for others waits in a log, and with it no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.sessions.leaving import share_what_is_left
from trio_mqtt.cluster.additions import Left

if TYPE_CHECKING:
    from trio_mqtt.broker.clustering.journal import ClusterJournal
    from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
    from trio_mqtt.broker.sessions.session import Session


def leave_behind(
    session: Session, index: SubscriptionIndex, journal: ClusterJournal, *, ended: bool
) -> None:
    """Give what a session leaves to others, in one group with what is kept of it.

    The log has the messages before the session is written without them. If this node dies in
    between, whoever has the session next finds by the log that they are over.
    """
    tracker = journal.trackers.get(session.number)
    before = {} if tracker is None else dict(tracker.inline)
    journal.leaving = left = Left(session.number, session.key)
    try:
        share_what_is_left(session, index, ended=ended)
    finally:
        journal.leaving = None
    if tracker is not None:
        for number, inline in before.items():
            if number not in tracker.inline:
                left.fields.setdefault(inline.topic_filter, []).append(inline.field)
        if left.fields:
            journal.left_behind(left)
