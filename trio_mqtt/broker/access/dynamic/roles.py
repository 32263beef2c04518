"""What the roles of a state allow: compiled when they are first asked, role by role.

A client's own roles are asked first, then those of its groups, by priority; in each, the rule with
the highest priority that matches. What no rule says anything of, the default access decides, but
for `$CONTROL`, which takes a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from trio_mqtt.broker.access.files.rule_tree import (
    DENY,
    MARKER,
    READ,
    Decision,
    Names,
    Rule,
    RuleTree,
)
from trio_mqtt.protocol.topics import parse_shared

if TYPE_CHECKING:
    from trio_mqtt.broker.access.dynamic.records import Acl, Role, State

Asked = Literal["publish", "receive", "subscribe", "unsubscribe"]

CONTROL = "$CONTROL"
_DEFAULTS = {
    "publish": "publishClientSend",
    "receive": "publishClientReceive",
    "subscribe": "subscribe",
    "unsubscribe": "unsubscribe",
}
_DANGEROUS = Decision(
    False, None, "the client calls itself what would be more than one level in place of %c or %u"
)
_UNKNOWN = Decision(False, None, "dynamic security has no client of that name")
_UNKNOWN_LEAVES = Decision(True, None, _UNKNOWN.text)
_CONTROL = Decision(False, None, f"no role allows it, and {CONTROL} takes one")


class CompiledRole:
    """The rules of one role, by what they are about."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self._trees: dict[str, RuleTree] = {}
        self._literal: dict[tuple[str, str], Decision] = {}
        # Whether %c or %u stands in any of its rules, and in one that denies.
        self._has_names = self._denies_names = False
        for order, acl in enumerate(role.acls):
            rule = _rule(role, acl, order)
            self._has_names |= rule.substitutes
            self._denies_names |= rule.substitutes and not acl.allow
            if acl.acltype.endswith("Literal"):
                self._literal.setdefault((acl.acltype, acl.topic), rule.decision)
            else:
                self._trees.setdefault(acl.acltype, RuleTree(denies=False)).add(rule)

    def decide(self, asked: Asked, topic: str, levels: list[str], names: Names) -> Decision | None:
        """What the role says; None if nothing."""
        if self._has_names and (names.dangerous or (self._denies_names and names.has_levels)):
            return _DANGEROUS
        if asked in ("publish", "receive"):
            tree = self._trees.get(_DEFAULTS[asked])
            rule = None if tree is None else tree.find(levels, names, READ)
            return None if rule is None else rule.decision
        literal = self._literal.get((f"{asked}Literal", topic))
        if literal is not None:
            return literal
        tree = self._trees.get(f"{asked}Pattern")
        rule = None if tree is None else tree.covering(levels, names, READ)
        return None if rule is None else rule.decision


def _rule(role: Role, acl: Acl, order: int) -> Rule:
    word = "allow" if acl.allow else "deny"
    text = f"the role {role.rolename}: {acl.acltype} {acl.topic} {word} (priority {acl.priority})"
    # What is subscribed to by the letter stands for nothing else.
    names = not acl.acltype.endswith("Literal") and MARKER.search(acl.topic) is not None
    access = READ if acl.allow else DENY
    return Rule(acl.topic, access, text, order, substitutes=names)


class DynamicRoles:
    """The roles of one state. `compiled` may have some of them already, and gets the others."""

    def __init__(self, state: State, compiled: dict[str, CompiledRole] | None = None) -> None:
        self._state = state
        self.compiled = compiled if compiled is not None else {}

    def decide(
        self, asked: Asked, username: str | None, topic: str, client_id: str = ""
    ) -> Decision:
        """Whether a client may do something with a topic or a filter, and which rule says so.

        `username` was proved; None is an anonymous client, which has the roles of their group. They
        are what %c and %u in a rule stand for.
        """
        shared = parse_shared(topic) if asked in ("subscribe", "unsubscribe") else None
        if shared is not None:
            topic = shared[1]
        levels = topic.split("/")
        if username is not None and username not in self._state.clients:
            return _UNKNOWN_LEAVES if asked == "unsubscribe" else _UNKNOWN
        names = Names(client_id, username)
        for rolename in self._roles_of(username):
            decision = self._compiled(rolename).decide(asked, topic, levels, names)
            if decision is not None:
                return decision
        if levels[0] == CONTROL and asked != "unsubscribe":
            return _CONTROL
        kind = _DEFAULTS[asked]
        allowed = self._state.default_access[kind]
        word = "allow" if allowed else "deny"
        return Decision(allowed, None, f"no role says it; the default of {kind} is {word}")

    def _roles_of(self, username: str | None) -> Iterator[str]:
        """The names of the roles that a client has, in the order in which they are asked."""
        state = self._state
        if username is None:
            groups = [] if state.anonymous_group is None else [state.anonymous_group]
        else:
            client = state.clients[username]
            for given in client.roles:
                yield given.name
            groups = [given.name for given in client.groups]
        for group in groups:
            for given in state.groups[group].roles:
                yield given.name

    def _compiled(self, rolename: str) -> CompiledRole:
        role = self._state.roles[rolename]
        found = self.compiled.get(rolename)
        if found is None or found.role is not role:
            found = self.compiled[rolename] = CompiledRole(role)
        return found
