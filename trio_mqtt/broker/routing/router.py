"""Topic → subscriptions: the matches in the tree of filters, which it remembers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.routing.batch import Author, Batch, size_alone
from trio_mqtt.broker.routing.distant_members import Nearness
from trio_mqtt.broker.routing.filter_tree import FilterNode, FilterTree
from trio_mqtt.broker.routing.match import Match
from trio_mqtt.broker.routing.shared import SharedGroup
from trio_mqtt.broker.routing.spreading import LITTLE, Spreading
from trio_mqtt.broker.routing.target import Distant, Recipient, Target
from trio_mqtt.broker.routing.timed_batch import TimedBatch
from trio_mqtt.broker.turns import STEPS_AT_ONCE
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.protocol.topics import has_disallowed_characters

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.routing.target import Subscriber
    from trio_mqtt.broker.statistics import Statistics

REMEMBERED = 32 * 1024 * 1024  # bytes of matches; when there are more, all are forgotten at once
_ENTRY = 100  # bytes of one that is remembered, beside its topic
FIRST_TIME = 30  # steps that the first message of a topic is more than those after it
REMEMBERED_LENGTH = 512  # characters: longer topics are looked up each time, not kept in memory


class Router:
    """All subscriptions of a broker."""

    def __init__(
        self,
        limits: Limits,
        statistics: Statistics,
        options: BrokerOptions,
    ) -> None:
        self.spreading = Spreading()
        self.nearness = Nearness()
        self._options = options
        self._limits = limits
        self._statistics = statistics
        self._tree = FilterTree()
        self._logged: dict[str, Callable[[Batch], None]] = {}  # filters that are shared by a log
        self._remembered: dict[str, Match] = {}
        self._remembered_bytes = 0
        self._remembered_at_most = REMEMBERED
        self._matches: dict[tuple[object, ...], Match] = {}
        # Who answers what a client publishes to a topic of the broker's own: whether anybody does.
        self.answer: Callable[[Author, Publish], bool] | None = None

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
        self._remembered.clear()
        self._remembered_bytes = 0
        self._matches.clear()

    def has_below(self, level: str) -> bool:
        """Whether anybody subscribes to topics whose first level is `level`, by name."""
        return level in self._tree.root.children

    def group(self, shared_filter: TopicFilter) -> SharedGroup | None:
        """Who shares `$share/NAME/FILTER` now; None if nobody does."""
        path = self._tree.path(shared_filter)
        return path[-1].groups.get(shared_filter.share) if path else None

    def share(self, shared_filter: TopicFilter, batch: Batch) -> None:
        """Hand messages to those who share `$share/NAME/FILTER` now, if anybody does."""
        group = self.group(shared_filter)
        if group is not None:
            group.deliver(batch)

    def share_here(self, shared_filter: TopicFilter, batch: Batch) -> bool:
        """Hand messages to those of this broker who share that; False if there are none."""
        group = self.group(shared_filter)
        if group is None or not group.is_here:
            return False
        group.deliver_here(batch)
        return True

    def is_back(self, subscription: Recipient) -> None:
        """The client of a shared subscription, which may have been away, is connected again."""
        group = self.group(subscription.topic_filter)
        if group is not None:
            group.add(subscription)

    def _forget(self, topic_filter: TopicFilter) -> None:
        """A change of subscriptions to this filter: forget the matches that it may concern."""
        topic = topic_filter.plain
        if topic_filter.shape:
            self._remembered.clear()
            self._remembered_bytes = 0
        elif self._remembered.pop(topic, None) is not None:
            self._remembered_bytes -= _ENTRY + sys.getsizeof(topic)
        # Matches are shared by topics that reach the same subscriptions; rebuilding them is cheap.
        self._matches.clear()

    def match(self, topic: str) -> Match:
        """Whom a message of `topic` reaches."""
        found = self._remembered.get(topic)
        if found is None:
            found = self._find(topic)
            if len(topic) <= REMEMBERED_LENGTH:
                if self._remembered_bytes > self._remembered_at_most:
                    self._remembered.clear()
                    self._matches.clear()
                    self._remembered_bytes = 0
                self._remembered[topic] = found
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
        found = self._remembered.get(topic)
        if found is not None:
            return found.steps
        return self.match(topic).steps + FIRST_TIME

    def count_at_once(self, topics: Sequence[str]) -> int:
        """Of how many topics, one after the other, messages are routed without a pause."""
        lately = set(map(self._remembered.get, topics))
        if sum(STEPS_AT_ONCE if one is None else one.steps for one in lately) < STEPS_AT_ONCE:
            return len(topics)
        steps = 0
        matches: set[Match] = set()
        for topic in dict.fromkeys(topics):
            found = self._remembered.get(topic)
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

    def publish(self, batch: Batch) -> Sequence[Publish]:
        """Hand a batch to all subscriptions that it reaches; return the messages that reach none.

        What a client publishes to a reserved topic reaches none: it may be answered. Messages of a
        run, all of QoS 0, are not returned: nobody is told what becomes of them.
        """
        topic = batch.topic
        if topic is not None:
            found = self._remembered.get(topic)
            first = self.match(topic) if found is None else found
        else:
            topics = batch.topics
            lately = set(map(self._remembered.get, topics))
            only = lately.pop() if len(lately) == 1 else None
            if only is None:
                matches = {topic: self.match(topic) for topic in dict.fromkeys(topics)}
                only, *others = dict.fromkeys(matches.values())
                if others:
                    return self._publish_mixed(batch, matches)
            first = only
        if first.reserved and batch.sender is not None:
            return self._answered(batch, batch.sender)
        if first.is_empty:
            return () if batch.is_run else batch.messages
        self._hand(first, batch)
        return ()

    def _answered(self, batch: Batch, sender: Author) -> Sequence[Publish]:
        """Have what a client published to reserved topics answered; return what nobody answers."""
        answer = self.answer
        if answer is None:
            self._statistics.topics_refused += batch.count
            return () if batch.is_run else batch.messages
        left = [message for message in batch.messages if not answer(sender, message)]
        self._statistics.topics_refused += len(left)
        return () if batch.is_run else left

    def direct(self, message: Publish) -> Match | None:
        """Whom a message that came alone reaches, where `publish_alone` may take it to them."""
        topic = message.topic
        found = self._remembered.get(topic)
        match = self.match(topic) if found is None else found
        if not match.is_direct:
            return None
        count = len(match.targets)
        return None if count > 1 and count * size_alone(message) > LITTLE else match

    def publish_alone(
        self,
        match: Match,
        message: Publish,
        sender: Author,
        is_v5: bool,
        received_at: float,
        delivered: Callable[[float], None] | None,
    ) -> None:
        """Hand a message that came alone to all whom it reaches, in few steps.

        As `Direct` takes it; whoever may not have it so is offered it as any other. `delivered` is
        told of each to whom it is on its way.
        """
        batch: Batch | None = None
        for target in match.targets:
            direct = target.direct
            if direct is not None and direct.send_at_once(target, message, is_v5, received_at):
                if delivered is not None:
                    delivered(received_at)
                continue
            if batch is None:
                batch = Batch([message], sender=sender, is_v5=is_v5, received_at=received_at)
                if delivered is not None:
                    batch = TimedBatch(batch, delivered)
            target.subscription.offer(target, batch)

    def publish_here(self, batch: Batch) -> None:
        """Hand a batch that another node has passed on to the subscriptions that are here.

        What is shared is not: who passed it on has chosen who gets it.
        """
        topics = batch.topics if batch.topic is None else (batch.topic,)
        matches = {topic: self.match(topic).here for topic in dict.fromkeys(topics)}
        only, *others = dict.fromkeys(matches.values())
        if others:
            self._publish_mixed(batch, matches)
        else:
            self._hand(only, batch)

    def _hand(self, match: Match, batch: Batch) -> None:
        """Hand a batch to all whom its messages reach, which are the same for each."""
        if match.is_simple:
            targets = match.targets
            size = batch.size * len(targets)
            if size <= LITTLE or not self.spreading.is_much(batch, size):
                for target in targets:
                    target.subscription.offer(target, batch)
            else:
                self._spread([(target, batch) for target in targets], batch)
        else:
            self._deliver(match, batch)

    def hand(self, offers: Sequence[tuple[Target, Batch]], batch: Batch) -> None:
        """Hand parts of a batch to targets, which its messages are known to reach."""
        self._offer(offers, batch)

    def _offer(self, offers: Sequence[tuple[Target, Batch]], batch: Batch) -> None:
        """Hand parts of a batch to targets: they send them at once, or a few of them at a time."""
        size = sum(part.size for _, part in offers)
        if size > LITTLE and self.spreading.is_much(batch, size):
            self._spread(offers, batch)
        else:
            for target, part in offers:
                target.subscription.offer(target, part)

    def _spread(self, offers: Sequence[tuple[Target, Batch]], batch: Batch) -> None:
        """Hand parts of a batch to targets that begin to send them a few at a time."""
        for _, part in offers:
            part.is_spread = True
        for target, part in offers:
            target.subscription.offer(target, part)
        for _, part in offers:
            part.is_spread = False  # what is offered to others later is theirs to send
        self.spreading.begin([target for target, _ in offers], batch.sender)

    def _deliver(self, match: Match, batch: Batch) -> None:
        if match.has_no_local and batch.sender is not None:
            sender = batch.sender
            others: list[tuple[Target, Batch]] = []
            for target in match.targets:
                if target.subscription.session is not sender:
                    others.append((target, batch))
                    continue
                for message in batch.messages:
                    own = self._target_of_sender(message.topic, sender)
                    if own is not None:
                        own.subscription.offer(own, batch.part([message]))
            self._offer(others, batch)
        else:
            self._offer([(target, batch) for target in match.targets], batch)
        for group in match.groups:
            if group.to_log is None:
                group.deliver(batch)
            elif batch.above_qos_0 < batch.count:
                group.deliver(batch.part([one for one in batch.messages if not one.qos]))

    def _target_of_sender(self, topic: str, sender: Author) -> Target | None:
        """How a message reaches its own sender, who has some no local (§3.8.3.1)."""
        return self._target(topic, sender, local=True)

    def _target(self, topic: str, session: Author, *, local: bool) -> Target | None:
        found = [
            subscription.target
            for node in self._tree.nodes(topic)
            for subscription in node.subscriptions
            if subscription.session is session and not (local and subscription.target.no_local)
        ]
        return _carrier(found) if found else None

    def pass_on(self, batches: Iterable[Batch], session: Author) -> None:
        """Hand messages to `session` alone: they waited in a subscription that has ended."""
        targets: dict[tuple[str, bool], Target | None] = {}  # there may be many of few topics

        def target_of(topic: str, local: bool) -> Target | None:
            key = topic, local
            if key not in targets:
                targets[key] = self._target(topic, session, local=local)
            return targets[key]

        for batch in batches:
            local = batch.sender is session
            found = [(target_of(message.topic, local), message) for message in batch.messages]
            for target, group in groupby(found, itemgetter(0)):
                messages = [message for _, message in group]
                if target is not None:
                    target.subscription.offer(target, batch.part(messages))

    def _publish_mixed(self, batch: Batch, matches: Mapping[str, Match]) -> Sequence[Publish]:
        """A batch whose topics reach different subscriptions.

        Each subscription gets its messages in one piece, in the order of arrival; those that get
        the same share one batch, and so its encodings.
        """
        pieces: dict[Match, list[int]] = {match: [] for match in matches.values()}
        for piece, topic in enumerate(batch.topics):
            pieces[matches[topic]].append(piece)
        reached_by: dict[Target, list[Match]] = {}
        missing: set[Match] = set()
        missed: list[int] = []
        refused: list[Publish] = []
        for match, its_pieces in pieces.items():
            if match.reserved and batch.sender is not None:
                missing.add(match)
                refused += self._answered(batch.some(its_pieces), batch.sender)
            elif match.is_empty:
                missing.add(match)
                missed += its_pieces
            elif not match.has_no_local:
                for target in match.targets:
                    reached_by.setdefault(target, []).append(match)
        parts: dict[tuple[Match, ...], Batch] = {}
        offers: list[tuple[Target, Batch]] = []
        for target, its_matches in reached_by.items():
            key = tuple(its_matches)
            part = parts.get(key)
            if part is None:
                together = sorted(chain.from_iterable(pieces[match] for match in key))
                part = parts[key] = batch.some(together)
            offers.append((target, part))
        self._offer(offers, batch)
        for match, its_pieces in pieces.items():
            if match not in missing:
                if match.has_no_local:
                    self._deliver(match, batch.some(its_pieces))
                elif match.groups:
                    self._deliver(Match((), match.groups), batch.some(its_pieces))
        if batch.is_run or not missed:
            return refused
        return [*batch.some(sorted(missed)).messages, *refused]


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
