"""An access file, or a token's claims, as rules of the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.access import ClientInfo
    from trio_mqtt.broker.access_rules import Action, Rules


class FileRules:
    """Asks rules that are written down. Only a user name that was proved counts in them.

    Others could be anybody's: who has such a one is anonymous there.
    """

    __slots__ = ("_rules",)

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("publish", client, topic)

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        return self._allows("subscribe", client, topic_filter)

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        return self._allows("receive", client, topic)

    def _allows(self, action: Action, client: ClientInfo, topic: str) -> bool:
        username = client.username if client.authenticated else None
        decision = self._rules.decide(
            action, client_id=client.client_id, username=username, topic=topic
        )
        return decision.allowed
