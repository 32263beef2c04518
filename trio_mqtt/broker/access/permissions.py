"""What access rules say about one session's client, remembered for each topic."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trio_mqtt.protocol.packets import Publish, PublishRun

if TYPE_CHECKING:
    from trio_mqtt.broker.access.protocols import AccessRules, ClientInfo
    from trio_mqtt.broker.access.refusals import RefusalLog, RefusedAction

logger = logging.getLogger("trio_mqtt.broker")

REMEMBERED = 2_000  # topics for each session and direction; beyond that all are forgotten at once
REMEMBERED_LENGTH = 512  # characters: longer topics are looked up each time, not kept in memory

# Whether a client may do something with a topic.
Question = Callable[["ClientInfo", str], bool]


# Tell the rules of two listeners apart as well.
_editions = itertools.count()


class RulesInForce:
    """The rules for the clients of a broker, or of a listener that has its own.

    Each change is another edition, and makes sessions ask again.
    """

    __slots__ = ("edition", "refusals", "rules")

    def __init__(
        self, rules: AccessRules | None = None, refusals: RefusalLog | None = None
    ) -> None:
        self.rules = rules
        self.refusals = refusals
        self.edition = next(_editions)

    def changed(self) -> None:
        """What was answered before no longer counts."""
        self.edition = next(_editions)


def answer(question: Question, client: ClientInfo, topic: str) -> bool:
    """What the rules say; those that fail refuse until they change: they would only fail again."""
    try:
        return bool(question(client, topic))
    except Exception:
        logger.exception("The access rules failed for %r", client.client_id)
        return False


def rule_that_decides(
    rules: AccessRules | None, action: RefusedAction, client: ClientInfo, topic: str
) -> str:
    """What decided that a client may not do something, in words for the log."""
    explain = getattr(rules, "explain", None)
    if explain is None:
        return "no rules" if rules is None else "the program's rules"
    try:
        return str(explain("publish" if action == "will" else action, client, topic))
    except Exception:
        logger.exception("The access rules failed for %r", client.client_id)
        return "rules that failed"


class Permissions:
    """What a session's client may do, as the rules have said of it since their last change."""

    __slots__ = ("_edition", "_publish", "_receive", "client", "in_force", "own")

    def __init__(
        self, client: ClientInfo, in_force: RulesInForce, own: AccessRules | None = None
    ) -> None:
        """`own` are rules that this client brings along, in place of those in force for all."""
        self.client = client
        self.in_force = in_force
        self.own = own
        self._edition = in_force.edition
        self._publish: dict[str, bool] = {}
        self._receive: dict[str, bool] = {}

    def under(self, in_force: RulesInForce) -> Permissions:
        """The same client's, by other rules for all."""
        return Permissions(self.client, in_force, self.own)

    def may_receive(self, topic: str) -> bool:
        """Whether messages of a topic are sent to the client."""
        if self._edition != self.in_force.edition:
            self._begin_anew()
        found = self._receive.get(topic)
        if found is None:
            rules = self.rules
            return rules is None or self._ask(rules.may_receive, topic, self._receive)
        return found

    def may_publish(self, topic: str) -> bool:
        """Whether the client may publish to a topic."""
        if self._edition != self.in_force.edition:
            self._begin_anew()
        found = self._publish.get(topic)
        if found is None:
            rules = self.rules
            return rules is None or self._ask(rules.may_publish, topic, self._publish)
        return found

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether the client may subscribe to a filter; of a shared one, to what is shared."""
        rules = self.rules
        return rules is None or self._ask(rules.may_subscribe, topic_filter, None)

    def may_unsubscribe(self, topic_filter: str) -> bool:
        """Whether the client may end a subscription, which most rules say nothing about."""
        ask: Question | None = getattr(self.rules, "may_unsubscribe", None)
        return ask is None or self._ask(ask, topic_filter, None)

    @property
    def tells_deliveries(self) -> bool:
        """Whether the log has deliveries that are refused."""
        return self.in_force.refusals is not None and self.in_force.refusals.has_deliveries

    def tell_refused(
        self, action: RefusedAction, refused: str | Sequence[Publish] | PublishRun, count: int = 1
    ) -> None:
        """Say in the log that the client may not do something with a topic, or with messages."""
        log, client, rules = self.in_force.refusals, self.client, self.rules
        if log is None:
            return

        def rule(topic: str) -> str:
            return rule_that_decides(rules, action, client, topic)

        if isinstance(refused, str):
            log.record(client, action, refused, rule=lambda: rule(refused), count=count)
        else:
            messages = refused.messages if isinstance(refused, PublishRun) else refused
            log.record_messages(client, action, messages, rule)

    @property
    def rules(self) -> AccessRules | None:
        """What is asked: the client's own rules, or those in force for all."""
        return self.in_force.rules if self.own is None else self.own

    def _begin_anew(self) -> None:
        self._edition = self.in_force.edition
        self._publish.clear()
        self._receive.clear()

    def _ask(self, question: Question, topic: str, answers: dict[str, bool] | None) -> bool:
        allowed = answer(question, self.client, topic)
        if answers is not None and len(topic) <= REMEMBERED_LENGTH:
            if len(answers) >= REMEMBERED:
                answers.clear()
            answers[topic] = allowed
        return allowed

    def divide(
        self, messages: Sequence[Publish] | PublishRun, retained: Sequence[Publish]
    ) -> tuple[Sequence[Publish] | PublishRun, Sequence[Publish], Sequence[Publish] | PublishRun]:
        """What the client publishes, as what it may, what of that is retained, and the rest."""
        if isinstance(messages, PublishRun):
            answers = {topic: self.may_publish(topic) for topic in dict.fromkeys(messages.topics)}
            if all(answers.values()):
                return messages, retained, ()
            taken = [at for at, topic in enumerate(messages.topics) if answers[topic]]
            rest = [at for at, topic in enumerate(messages.topics) if not answers[topic]]
            return messages.some(taken) if taken else (), (), messages.some(rest)
        allowed = [message for message in messages if self.may_publish(message.topic)]
        if len(allowed) == len(messages):
            return messages, retained, ()
        return (
            allowed,
            [message for message in retained if self.may_publish(message.topic)],
            [message for message in messages if not self.may_publish(message.topic)],
        )
