"""Messages → those whom they reach, at once or a few at a time, each in the order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.broker.routing.batch import Batch
from trio_mqtt.broker.routing.match import Match
from trio_mqtt.broker.routing.published import Author
from trio_mqtt.broker.routing.sizes import size_alone
from trio_mqtt.broker.routing.spreading import LITTLE, Spreading
from trio_mqtt.broker.routing.subscription_index import SubscriptionIndex
from trio_mqtt.broker.routing.target import Target
from trio_mqtt.broker.routing.timed_batch import TimedBatch
from trio_mqtt.protocol.packets import Publish

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.routing.filters import TopicFilter
    from trio_mqtt.broker.statistics import Statistics


class Router:
    """Hands messages to all subscriptions of a broker that they reach."""

    def __init__(
        self,
        limits: Limits,
        statistics: Statistics,
        options: BrokerOptions,
    ) -> None:
        self.index = SubscriptionIndex(limits, options)
        self._remembered = self.index.remembered
        self.spreading = Spreading()
        self._statistics = statistics
        # Who answers what a client publishes to a topic of the broker's own: whether anybody does.
        self.answer: Callable[[Author, Publish], bool] | None = None

    def share(self, shared_filter: TopicFilter, batch: Batch) -> None:
        """Hand messages to those who share `$share/NAME/FILTER` now, if anybody does."""
        group = self.index.group(shared_filter)
        if group is not None:
            group.deliver(batch)

    def share_here(self, shared_filter: TopicFilter, batch: Batch) -> bool:
        """Hand messages to those of this broker who share that; False if there are none."""
        group = self.index.group(shared_filter)
        if group is None or not group.is_here:
            return False
        group.deliver_here(batch)
        return True

    def publish(self, batch: Batch) -> Sequence[Publish]:
        """Hand a batch to all subscriptions that it reaches; return the messages that reach none.

        What a client publishes to a reserved topic reaches none: it may be answered. Messages of a
        run, all of QoS 0, are not returned: nobody is told what becomes of them.
        """
        topic = batch.topic
        if topic is not None:
            found = self._remembered.get(topic)
            first = self.index.match(topic) if found is None else found
        else:
            topics = batch.topics
            lately = set(map(self._remembered.get, topics))
            only = lately.pop() if len(lately) == 1 else None
            if only is None:
                index = self.index
                matches = {topic: index.match(topic) for topic in dict.fromkeys(topics)}
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
        match = self.index.match(topic) if found is None else found
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
        matches = {topic: self.index.match(topic).here for topic in dict.fromkeys(topics)}
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
        """Hand parts of a batch to targets, which its messages are known to reach.

        They send them at once, or a few of them at a time.
        """
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
                    # Some of its own subscriptions may have no local (§3.8.3.1).
                    own = self.index.target_of(message.topic, sender, local=True)
                    if own is not None:
                        own.subscription.offer(own, batch.part([message]))
            self.hand(others, batch)
        else:
            self.hand([(target, batch) for target in match.targets], batch)
        for group in match.groups:
            if group.to_log is None:
                group.deliver(batch)
            elif batch.above_qos_0 < batch.count:
                group.deliver(batch.part([one for one in batch.messages if not one.qos]))

    def pass_on(self, batches: Iterable[Batch], session: Author) -> None:
        """Hand messages to `session` alone: they waited in a subscription that has ended."""
        targets: dict[tuple[str, bool], Target | None] = {}  # there may be many of few topics

        def target_of(topic: str, local: bool) -> Target | None:
            key = topic, local
            if key not in targets:
                targets[key] = self.index.target_of(topic, session, local=local)
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
        self.hand(offers, batch)
        for match, its_pieces in pieces.items():
            if match not in missing:
                if match.has_no_local:
                    self._deliver(match, batch.some(its_pieces))
                elif match.groups:
                    self._deliver(Match((), match.groups), batch.some(its_pieces))
        if batch.is_run or not missed:
            return refused
        return [*batch.some(sorted(missed)).messages, *refused]
