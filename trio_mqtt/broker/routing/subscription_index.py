"""Who wants what, and whom the messages of a topic reach, as it is remembered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.routing.distant_members import Nearness
from trio_mqtt.broker.routing.filter_tree import FilterNode, FilterTree
from trio_mqtt.broker.routing.match import Match
from trio_mqtt.broker.routing.shared import SharedGroup
from trio_mqtt.broker.routing.target import Distant, Recipient, Target
from trio_mqtt.broker.turns import STEPS_AT_ONCE
from trio_mqtt.protocol.topics import has_disallowed_characters

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.broker.routing.target import Subscriber

REMEMBERED = 32 * 1024 * 1024  # bytes of matches; when there are more, all are forgotten at once
_ENTRY = 100  # bytes of one that is remembered, beside its topic
FIRST_TIME = 30  # steps that the first message of a topic is more than those after it
REMEMBERED_LENGTH = 512  # characters: longer topics are looked up each time, not kept in memory


class SubscriptionIndex:
    """All subscriptions of a broker, found by the topics that they match."""

    def __init__(self, limits: Limits, options: BrokerOptions) -> None:
        self.nearness = Nearness()
        self._options = options
        self._limits = limits
        self._tree = FilterTree()
        self._logged: dict[str, Callable[[Batch], None]] = {}  # filters that are shared by a log
        # The matches of topics, for whoever looks there first; `match` has those that it lacks.
        self.remembered: dict[str, Match] = {}
        self._remembered_bytes = 0
        self._remembered_at_most = REMEMBERED
        self._matches: dict[tuple[object, ...], Match] = {}

    def add(self, subscription: Recipient) -> None:
        """From now on messages reach `subscription`. Adding it again takes its new options."""
        topic_filter = subscription.topic_filter
        node = self._tree.node(topic_filter)
        if topic_filter.share:
            self._group(node, topic_filter).add(subscription)
        else:
            node.subscriptions[subscription] = None
        self._forget(topic_filter)

    def _group(self, node: FilterNode, shared_filter: TopicFilter) -> SharedGroup:
        group = node.groups.get(shared_filter.share)
        if group is None:
            group = SharedGroup(self._options, self._logged.get(shared_filter.text))
            node.groups[shared_filter.share] = group
        return group

    def share_by_log(
        self, shared_filter: TopicFilter, to_log: Callable[[Batch], None] | None
    ) -> None:
        """What is of QoS 1 and 2 reaches who shares a filter by a log, or, with None, no longer.

        What members leave behind, where nobody else is here, is given `to_log` again.
        """
        self._logged.pop(shared_filter.text, None)
        if to_log is not None:
            self._logged[shared_filter.text] = to_log
        group = self.group(shared_filter)
        if group is not None:
            group.to_log = to_log

    def share_elsewhere(self, shared_filter: TopicFilter, distant: Distant, count: int) -> None:
        """So many share `$share/NAME/FILTER` where `distant` passes messages on; 0: nobody."""
        group = self._group(self._tree.node(shared_filter), shared_filter)
        group.set_distant(shared_filter, distant, count, self.nearness)
        path = self._tree.path(shared_filter)
        if not group:
            del path[-1].groups[shared_filter.share]
            self._tree.prune(shared_filter, path)
        self._forget(shared_filter)

    def add_elsewhere(self, topic_filter: TopicFilter, recipient: Recipient) -> None:
        """From now on `recipient` passes messages on to where somebody wants them, each once.

        It may have many filters. What was passed on to this broker never reaches it.
        """
        node = self._tree.node(topic_filter)
        if node.elsewhere is None:
            node.elsewhere = {}
        node.elsewhere[recipient] = None
        self._forget(topic_filter)

    def remove_elsewhere(self, topic_filter: TopicFilter, recipient: Recipient) -> None:
        """Nobody is reached by that filter through `recipient` any more."""
        path = self._tree.path(topic_filter)
        if not path:
            return
        node = path[-1]
        if node.elsewhere is not None:
            node.elsewhere.pop(recipient, None)
            node.elsewhere = node.elsewhere or None
        self._tree.prune(topic_filter, path)
        self._forget(topic_filter)

    def remove(self, subscription: Recipient) -> None:
        """No message reaches `subscription` from now on."""
        topic_filter = subscription.topic_filter
        path = self._tree.path(topic_filter)
        if not path:
            return
        node = path[-1]
        share = topic_filter.share
        if share:
            group = node.groups.get(share)
            if group is not None:
                group.discard(subscription)
                if not group:
                    del node.groups[share]
        else:
            node.subscriptions.pop(subscription, None)
        self._tree.prune(topic_filter, path)
        self._forget(topic_filter)

    def forget(self) -> None:
        """The bounds of topics may be others: what is remembered of topics no longer counts."""
        self.remembered.clear()
        self._remembered_bytes = 0
        self._matches.clear()

    def has_below(self, level: str) -> bool:
        """Whether anybody subscribes to topics whose first level is `level`, by name."""
        return level in self._tree.root.children

    def group(self, shared_filter: TopicFilter) -> SharedGroup | None:
        """Who shares `$share/NAME/FILTER` now; None if nobody does."""
        path = self._tree.path(shared_filter)
        return path[-1].groups.get(shared_filter.share) if path else None

    def is_back(self, subscription: Recipient) -> None:
        """The client of a shared subscription, which may have been away, is connected again."""
        group = self.group(subscription.topic_filter)
        if group is not None:
            group.is_back(subscription)

    def _forget(self, topic_filter: TopicFilter) -> None:
        """A change of subscriptions to this filter: forget the matches that it may concern."""
        topic = topic_filter.plain
        if topic_filter.shape:
            self.remembered.clear()
            self._remembered_bytes = 0
        elif self.remembered.pop(topic, None) is not None:
            self._remembered_bytes -= _ENTRY + sys.getsizeof(topic)
        # Matches are shared by topics that reach the same subscriptions; rebuilding them is cheap.
        self._matches.clear()

    def match(self, topic: str) -> Match:
        """Whom a message of `topic` reaches."""
        found = self.remembered.get(topic)
        if found is None:
            found = self._find(topic)
            if len(topic) <= REMEMBERED_LENGTH:
                if self._remembered_bytes > self._remembered_at_most:
                    self.remembered.clear()
                    self._matches.clear()
                    self._remembered_bytes = 0
                self.remembered[topic] = found
                self._remembered_bytes += _ENTRY + sys.getsizeof(topic)
                if not found.is_counted:  # many topics may share it
                    found.is_counted = True
                    self._remembered_bytes += found.size
        return found

    def reached(self, topic: str) -> tuple[list[Recipient], int]:
        """All subscriptions that match a topic, and how many others it is passed on to.

        Of a group that shares a filter these are all members, though one of them gets a message.
        """
        found: list[Recipient] = []
        elsewhere: set[Subscriber] = set()
        for node in self._tree.nodes(topic):
            found += node.subscriptions
            for group in node.groups.values():
                found += group.members
            if node.elsewhere is not None:
                elsewhere.update(recipient.session for recipient in node.elsewhere)
        return found, len(elsewhere)

    def steps_for(self, topic: str) -> int:
        """How much work it is to route a message of `topic`, near enough to know when to pause.

        A topic that nobody has used lately is looked up, which counts as well.
        """
        found = self.remembered.get(topic)
        if found is not None:
            return found.steps
        return self.match(topic).steps + FIRST_TIME

    def count_at_once(self, topics: Sequence[str]) -> int:
        """Of how many topics, one after the other, messages are routed without a pause."""
        lately = set(map(self.remembered.get, topics))
        if sum(STEPS_AT_ONCE if one is None else one.steps for one in lately) < STEPS_AT_ONCE:
            return len(topics)
        steps = 0
        matches: set[Match] = set()
        for topic in dict.fromkeys(topics):
            found = self.remembered.get(topic)
            if found is None:
                found = self.match(topic)
                steps += FIRST_TIME
            if found not in matches:
                matches.add(found)
                steps += found.steps
            if steps >= STEPS_AT_ONCE:
                return topics.index(topic) + 1
        return len(topics)

    def is_reserved(self, topic: str) -> bool:
        """Whether clients may not publish to a topic: `$…` (§4.7.2), one beyond the bounds, or one
        for which others may leave (§1.5.4).
        """
        return (
            topic[0] == "$"
            or topic.count("/") >= self._limits.maximum_topic_levels
            or len(topic) > self._limits.maximum_topic_length
            or (not self._options.control_characters_in_topics and has_disallowed_characters(topic))
        )

    def _find(self, topic: str) -> Match:
        by_session: dict[Subscriber, list[Target]] = {}
        groups: list[SharedGroup] = []
        elsewhere: dict[Subscriber, Target] = {}
        for node in self._tree.nodes(topic):
            for subscription in node.subscriptions:
                by_session.setdefault(subscription.session, []).append(subscription.target)
            groups += node.groups.values()
            if node.elsewhere is not None:
                for recipient in node.elsewhere:
                    known = elsewhere.get(recipient.session)
                    if known is None or known.qos < recipient.target.qos:
                        elsewhere[recipient.session] = recipient.target
        targets = *(_carrier(found) for found in by_session.values()), *elsewhere.values()
        passed_on = len(elsewhere)
        if self.is_reserved(topic):
            return Match(targets, tuple(groups), elsewhere=passed_on, reserved=True)
        match = Match(targets, tuple(groups), elsewhere=passed_on)
        if any(len(found) > 1 for found in by_session.values()):
            return match  # has targets of its own
        return self._matches.setdefault((targets, *groups), match)

    def target_of(self, topic: str, session: Author, *, local: bool) -> Target | None:
        """How a message reaches a session; `local`: its own, so not where it has no local."""
        found = [
            subscription.target
            for node in self._tree.nodes(topic)
            for subscription in node.subscriptions
            if subscription.session is session and not (local and subscription.target.no_local)
        ]
        return _carrier(found) if found else None


def _carrier(targets: list[Target]) -> Target:
    """The one target for all of a session's subscriptions that match a topic.

    The oldest subscription carries: a newer one that matches too must not overtake what waits.
    """
    if len(targets) == 1:
        return targets[0]
    return Target(
        min((target.subscription for target in targets), key=lambda one: one.serial),
        max(target.qos for target in targets),
        any(target.retain_as_published for target in targets),
        tuple(identifier for target in targets for identifier in target.identifiers),
        any(target.no_local for target in targets),
        mount_point=targets[0].subscription.session.mount_point,
    )
