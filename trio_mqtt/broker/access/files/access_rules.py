"""Access rules: who may publish and receive what, decided from a file or from what a token says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from trio_mqtt.broker.access.files.rule_tree import (
    ANY_LEVEL,
    DENY,
    MARKER,
    READ,
    WRITE,
    Decision,
    Names,
    Rule,
    RuleTree,
)
from trio_mqtt.protocol.topics import has_wildcard, parse_shared

Action = Literal["publish", "receive", "subscribe"]
ACTIONS: tuple[Action, ...] = ("publish", "receive", "subscribe")

NO_RULE = Decision(False, None, "no rule allows it")
_DANGEROUS = Decision(
    False,
    None,
    "the client identifier or the user name holds + or #, which are wildcards where rules for"
    " everybody have %c and %u",
)


class Section:
    """Rules that apply to the same clients: what denies comes before what grants."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.granting: RuleTree = RuleTree(denies=False)
        self.denying: RuleTree = RuleTree(denies=True)
        # Whether names with wildcards in them are kept out (CVE-2017-7650).
        self.guarded: bool = False

    def add(self, rule: Rule) -> None:
        """Add a rule."""
        self.rules.append(rule)
        (self.denying if rule.access == DENY else self.granting).add(rule)
        self.guarded = self.guarded or rule.substitutes

    def decision(self, levels: list[str], names: Names, access: int) -> Decision | None:
        """What the rules say about a topic; None if nothing."""
        if self.guarded and names.dangerous:
            return _DANGEROUS
        if self.denying.depth:
            rule = self.denying.find(levels, names, access)
            if rule is not None:
                return rule.decision
        rule = self.granting.find(levels, names, access)
        return None if rule is None else rule.decision


class WrittenRules:
    """Access rules, asked by `decide`.

    A client's own rules come first, those of its user name or, if it has none, of anonymous
    clients; then those for everybody. In each of the two, what denies comes before what grants.
    What no rule allows is denied.
    """

    def __init__(
        self,
        *,
        users: dict[str, Section] | None = None,
        anonymous: Section | None = None,
        everyone: Section | None = None,
    ) -> None:
        self.users: dict[str, Section] = users or {}
        self.anonymous: Section = anonymous or Section()
        self.everyone: Section = everyone or Section()

    @classmethod
    def of(
        cls, *, read: Iterable[str] = (), write: Iterable[str] = (), deny: Iterable[str] = ()
    ) -> WrittenRules:
        """Rules that are the same for each client. The filters, which are valid, may have %c, %u.

        Such are those of a token, which belongs to one client.
        """
        everyone = Section()
        named = (("receive", READ, read), ("publish", WRITE, write), ("deny", DENY, deny))
        for word, access, filters in named:
            for topic_filter in filters:
                text = f"{word} {topic_filter}"
                order = len(everyone.rules)
                substitutes = MARKER.search(topic_filter) is not None
                everyone.add(Rule(topic_filter, access, text, order, substitutes=substitutes))
        return cls(everyone=everyone)

    def decide(
        self, action: Action, *, client_id: str, username: str | None, topic: str
    ) -> Decision:
        """Whether a client may publish to, receive from or subscribe to a topic.

        To subscribe takes a topic filter, shared or not. It is allowed where at least one message
        on it could be received; each message is decided again when it is delivered.
        """
        names = Names(client_id, username)
        own = self.anonymous if username is None else self.users.get(username)
        sections = (self.everyone,) if own is None else (own, self.everyone)
        if action == "subscribe":
            shared = parse_shared(topic)
            if shared is not None:
                topic = shared[1]
            if has_wildcard(topic):
                return _filter_decision(sections, topic.split("/"), names)
        access = WRITE if action == "publish" else READ
        return _topic_decision(sections, topic.split("/"), names, access)

    def decide_whole(self, *, client_id: str, username: str | None, topic_filter: str) -> Decision:
        """What one rule says of receiving each message on a filter; NO_RULE where none does.

        That is for whoever has others decide what these rules leave open: a client that may
        receive some of a filter is not to subscribe to all of it by that.
        """
        names = Names(client_id, username)
        own = self.anonymous if username is None else self.users.get(username)
        levels = topic_filter.split("/")
        for section in (self.everyone,) if own is None else (own, self.everyone):
            if section.guarded and names.dangerous:
                return _DANGEROUS
            for tree in (section.denying, section.granting):
                rule = tree.covering(levels, names, READ)
                if rule is not None:
                    return rule.decision
        return NO_RULE


def _topic_decision(
    sections: tuple[Section, ...], levels: list[str], names: Names, access: int
) -> Decision:
    for section in sections:
        if section.rules:
            decision = section.decision(levels, names, access)
            if decision is not None:
                return decision
    return NO_RULE


def _filter_decision(sections: tuple[Section, ...], wanted: list[str], names: Names) -> Decision:
    """What decides about a filter: whether there is any topic on it that may be received.

    What the filter and a rule have in common is a filter again. Of its topics it is enough to try
    one of each length, with levels that no rule names: what denies that one denies all of them.
    """
    decision = NO_RULE
    longest = max(section.denying.depth for section in sections)
    for section in sections:
        if section.guarded and names.dangerous:
            return _DANGEROUS if decision is NO_RULE else decision
        for common in section.granting.overlaps(wanted, names, READ):
            for levels in _examples(common, longest):
                decision = _topic_decision(sections, levels, names, READ)
                if decision.allowed:
                    return decision
    return decision


def _examples(topic_filter: tuple[str, ...], longest: int) -> Iterator[list[str]]:
    """A topic of each length that a filter matches, up to where no rule tells them apart."""
    levels = [ANY_LEVEL if level == "+" else level for level in topic_filter]
    if levels[-1] != "#":
        if levels != [""]:  # no topic is empty
            yield levels
        return
    levels.pop()
    for more in range(0 if any(levels) else 1, longest + 2):
        yield levels + [ANY_LEVEL] * more
