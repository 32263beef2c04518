"""An access file, or a token's claims, as rules of the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.access.files.access_rules import NO_RULE

if TYPE_CHECKING:
    from trio_mqtt.broker.access.files.access_rules import Action, WrittenRules
    from trio_mqtt.broker.access.files.rule_tree import Decision
    from trio_mqtt.broker.access.protocols import ClientInfo


class FileRules:
    """Asks rules that are written down. Only a user name that was proved counts in them.

    Others could be anybody's: who has such a one is anonymous there.
    """

    __slots__ = ("_rules", "source")

    def __init__(self, rules: WrittenRules, source: str = "the rules") -> None:
        """`source` says in the log where the rules are written."""
        self._rules = rules
        self.source = source

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("publish", client, topic)

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return self._allows("subscribe", client, topic_filter)

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("receive", client, topic)

    def explain(self, action: Action, client: ClientInfo, topic: str) -> str:
        """The rule that decides, for the log."""
        return f"{self.source}, {self._decide(action, client, topic).text}"

    def settles(self, action: Action, client: ClientInfo, topic: str) -> bool | None:
        """Whether they allow something, as `explain` says; None where they leave it open.

        A filter they settle only as a whole: see `WrittenRules.decide_whole`.
        """
        decision = settled(self._rules, action, client.client_id, proved_name(client), topic)
        return None if decision is NO_RULE else decision.allowed

    def _allows(self, action: Action, client: ClientInfo, topic: str) -> bool:
        return self._decide(action, client, topic).allowed

    def _decide(self, action: Action, client: ClientInfo, topic: str) -> Decision:
        return self._rules.decide(
            action, client_id=client.client_id, username=proved_name(client), topic=topic
        )


def proved_name(client: ClientInfo) -> str | None:
    """The user name that counts: one that was proved."""
    return client.username if client.authenticated else None


def settled(
    rules: WrittenRules, action: Action, client_id: str, username: str | None, topic: str
) -> Decision:
    """What rules say that have others beside them; NO_RULE where it is for those to say."""
    if action == "subscribe":
        return rules.decide_whole(client_id=client_id, username=username, topic_filter=topic)
    return rules.decide(action, client_id=client_id, username=username, topic=topic)
