"""Who has published a retained message, and whether that client may publish to its topic still."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.permissions import RulesInForce, answer
from trio_mqtt.broker.access.protocols import ClientInfo

if TYPE_CHECKING:
    from trio_mqtt.broker.access.permissions import Permissions
    from trio_mqtt.broker.access.protocols import AccessRules

_NEVER_ASKED = -1


class Authorship:
    """The author of one retained message, as rules know it.

    The rules are asked once for each edition of them, and not at all while they are those by which
    the message was let in.
    """

    __slots__ = ("_allowed", "_edition", "client", "own")

    def __init__(self, client: ClientInfo, own: AccessRules | None = None) -> None:
        """`own` are rules that the author brought along, in place of those of the broker."""
        self.client = client
        self.own = own
        self._edition = _NEVER_ASKED
        self._allowed = True

    @classmethod
    def of(cls, permissions: Permissions) -> Authorship:
        """That of a message which the rules have let in just now."""
        client = permissions.client
        if client.properties or client.upgrade is not None:
            client = replace(client, properties={}, upgrade=None)  # which may be large
        authorship = cls(client, permissions.own)
        authorship._edition = permissions.in_force.edition
        return authorship

    @property
    def text(self) -> str | None:
        """The author in words that outlive the broker: see `restored`.

        None where it brought rules of its own, as with a token: nobody could ask those again.
        """
        return None if self.own is not None else json.dumps(_told(self.client))

    @classmethod
    def restored(cls, text: str) -> Authorship:
        """An author as an earlier broker has kept it."""
        return cls(ClientInfo(**json.loads(text)))

    @property
    def size(self) -> int:
        """The bytes that it occupies, near enough for a bound."""
        return 64 + len(self.client.client_id) + len(self.client.username or "")

    def holds(self, in_force: RulesInForce, topic: str) -> bool:
        """Whether the author may publish to the message's topic by the rules in force."""
        if self._edition != in_force.edition:
            self._edition = in_force.edition
            rules = in_force.rules if self.own is None else self.own
            self._allowed = rules is None or answer(rules.may_publish, self.client, topic)
        return self._allowed


def _told(client: ClientInfo) -> dict[str, object]:
    """What rules know of a client, without what it has said in properties and by HTTP."""
    return {
        field.name: getattr(client, field.name)
        for field in fields(client)
        if field.name not in ("properties", "upgrade")
    }
