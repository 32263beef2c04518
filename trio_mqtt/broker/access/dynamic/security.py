"""Dynamic security as it is in force: the state of one file, and what the broker asks of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trio_mqtt.broker.access.dynamic.document import Lines, load, save
from trio_mqtt.broker.access.dynamic.records import State
from trio_mqtt.broker.access.dynamic.roles import CompiledRole, DynamicRoles
from trio_mqtt.broker.access.dynamic.rules import RoleRules
from trio_mqtt.broker.access.dynamic.users import (
    DynamicUsers,
    PasswordFileBeside,
    PasswordsBeside,
)
from trio_mqtt.broker.access.files.access_rules import NO_RULE
from trio_mqtt.broker.access.files.file_rules import proved_name, settled
from trio_mqtt.broker.access.files.passwords import PasswordFile
from trio_mqtt.broker.access.files.remembered import RememberedPasswords
from trio_mqtt.protocol.topics import parse_shared

if TYPE_CHECKING:
    from trio_mqtt.broker.access.files.access_rules import Action, WrittenRules
    from trio_mqtt.broker.access.files.rule_tree import Decision
    from trio_mqtt.broker.access.protocols import AccessRules, ClientInfo, PasswordCheck


class DynamicSecurity:
    """Users, groups and roles, as a file has them: one state, which never changes.

        dynamic = DynamicSecurity.load("dynamic-security.json")
        dynamic.decide("publish", client_id="", username="alice", topic="home/lamp").allowed

    `warnings` are sentences for the person who runs the broker.
    """

    def __init__(
        self,
        path: str,
        state: State,
        warnings: tuple[str, ...] = (),
        *,
        remembered: RememberedPasswords | None = None,
        compiled: dict[str, CompiledRole] | None = None,
        lines: Lines | None = None,
    ) -> None:
        """`remembered`, `compiled` and `lines` are what is known of the state before."""
        self.path = path
        self.state = state
        self.warnings = warnings
        self._remembered = remembered or RememberedPasswords()
        self._lines = lines or Lines()
        self.users: DynamicUsers = DynamicUsers(state.clients, self._remembered)
        self.roles: DynamicRoles = DynamicRoles(state, compiled)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DynamicSecurity:
        """Read a file: ours, or that of Mosquitto's plugin. Raises ConfigurationError."""
        state, warnings = load(path)
        lines = Lines()
        lines.written(state)  # most of them are as they are at the next change
        return cls(os.fspath(path), state, warnings, lines=lines)

    def changed(self, state: State) -> DynamicSecurity:
        """The same file with another state, which is to be kept."""
        compiled = {
            name: one
            for name, one in self.roles.compiled.items()
            if state.roles.get(name) is one.role
        }
        return DynamicSecurity(
            self.path, state, remembered=self._remembered, compiled=compiled, lines=self._lines
        )

    def save(self) -> None:
        """Write the state into the file, whole and on the disk. Raises ConfigurationError."""
        save(self.path, self.state, self._lines)

    def decide(
        self,
        action: Action,
        *,
        client_id: str,
        username: str | None,
        topic: str,
        beside: WrittenRules | None = None,
    ) -> Decision:
        """Whether a client may publish to, receive from or subscribe to a topic or filter.

        `beside` are the rules of an access file, which come first; `username` was proved.
        """
        if beside is not None:
            shared = parse_shared(topic) if action == "subscribe" else None
            plain = topic if shared is None else shared[1]
            decision = settled(beside, action, client_id, username, plain)
            if decision is not NO_RULE:
                return decision
        return self.roles.decide(action, username, topic, client_id)

    def refusal(self, client: ClientInfo) -> str | None:
        """Why a client is not let in, or on, though it has proved who it is; None if it is."""
        name = proved_name(client)
        known = None if name is None else self.state.clients.get(name)
        if known is None:
            return None
        if known.disabled:
            return "its user is disabled"
        if known.clientid is not None and known.clientid != client.client_id:
            return "its user has another client identifier"
        return None

    def is_disabled(self, username: str) -> bool:
        """Whether a user is not let in, whatever is shown."""
        client = self.state.clients.get(username)
        return client is not None and client.disabled

    def passwords_beside(self, own: PasswordCheck | None) -> PasswordCheck:
        """The passwords of all: users that `own` knows are its own."""
        if own is None:
            return self.users
        if isinstance(own, PasswordFile):
            return PasswordFileBeside(own, self.users)
        return PasswordsBeside(own, self.users)

    def rules_beside(self, own: AccessRules | None) -> RoleRules:
        """What the roles allow, beside other rules."""
        return RoleRules(self.roles, self.path, own)
