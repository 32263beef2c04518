"""Roles as rules of the broker, alone or beside those of an access file or a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.access.files.file_rules import FileRules, proved_name

if TYPE_CHECKING:
    from trio_mqtt.broker.access.dynamic.roles import Asked, DynamicRoles
    from trio_mqtt.broker.access.files.rule_tree import Decision
    from trio_mqtt.broker.access.protocols import AccessRules, ClientInfo


class RoleRules:
    """`AccessRules` by the roles of one state.

    An access file beside them is asked first, and has the last word where one of its rules says
    something: who may write to the files of a machine stands above who reaches it by MQTT. A
    program's own rules say something of everything, so both must allow what is done.
    """

    def __init__(self, roles: DynamicRoles, path: str, own: AccessRules | None = None) -> None:
        """`path` is that of the file, for the log."""
        self._roles = roles
        self._path = path
        self._file = own if isinstance(own, FileRules) else None
        self._own = None if isinstance(own, FileRules) else own

    def may_publish(self, client: ClientInfo, topic: str) -> bool:
        if self._own is not None and not self._own.may_publish(client, topic):
            return False
        return self._allows("publish", client, topic)

    def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        if self._own is not None and not self._own.may_subscribe(client, topic_filter):
            return False
        return self._allows("subscribe", client, topic_filter)

    def may_unsubscribe(self, client: ClientInfo, topic_filter: str) -> bool:
        """Whether a client may end a subscription, of which files and programs say nothing."""
        return self._decide("unsubscribe", client, topic_filter).allowed

    def may_receive(self, client: ClientInfo, topic: str) -> bool:
        if self._own is not None and not self._own.may_receive(client, topic):
            return False
        return self._allows("receive", client, topic)

    def explain(self, action: Asked, client: ClientInfo, topic: str) -> str:
        """The rule that decides, for the log."""
        if action != "unsubscribe":
            if self._file is not None and self._file.settles(action, client, topic) is not None:
                return self._file.explain(action, client, topic)
            own = None if self._own is None else getattr(self._own, f"may_{action}")
            if own is not None and not own(client, topic):
                return "the program's rules"
        return f"{self._path}, {self._decide(action, client, topic).text}"

    def _allows(self, action: Asked, client: ClientInfo, topic: str) -> bool:
        if self._file is not None and action != "unsubscribe":
            settled = self._file.settles(action, client, topic)
            if settled is not None:
                return settled
        return self._decide(action, client, topic).allowed

    def _decide(self, asked: Asked, client: ClientInfo, topic: str) -> Decision:
        return self._roles.decide(asked, proved_name(client), topic, client.client_id)
