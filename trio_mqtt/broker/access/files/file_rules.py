"""An access file, or a token's claims, as rules of the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.access.files.access_rules import Action, WrittenRules
    from trio_mqtt.broker.access.files.rule_tree import Decision
    from trio_mqtt.broker.access.protocols import ClientInfo


class FileRules:
    """Asks rules that are written down. Only a user name that was proved counts in them.

    Others could be anybody's: who has such a one is anonymous there.
    """

    __slots__ = ("_rules", "_source")

    def __init__(self, rules: WrittenRules, source: str = "the rules") -> None:
        """`source` says in the log where the rules are written."""
        self._rules = rules
        self._source = source

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("publish", client, topic)

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return self._allows("subscribe", client, topic_filter)

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("receive", client, topic)

    def explain(self, action: Action, client: ClientInfo, topic: str) -> str:
        """The rule that decides, for the log."""
        return f"{self._source}, {self._decide(action, client, topic).text}"

    def _allows(self, action: Action, client: ClientInfo, topic: str) -> bool:
        return self._decide(action, client, topic).allowed

    def _decide(self, action: Action, client: ClientInfo, topic: str) -> Decision:
        username = client.username if client.authenticated else None
        return self._rules.decide(
            action, client_id=client.client_id, username=username, topic=topic
        )
