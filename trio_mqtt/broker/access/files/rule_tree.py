"""Access rules by their topic filters: a tree, so that a decision looks at few of many rules.

The walks below keep a stack of their own and see each node once at most: what a client sends can
make them neither deep nor long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field

from trio_mqtt.records import record

READ = 1
WRITE = 2
DENY = 0

# The same in the words of access files.
ACCESS = {"read": READ, "write": WRITE, "readwrite": READ | WRITE, "deny": DENY}
_WORDS = {access: word for word, access in ACCESS.items()}

# A level that no topic has: stands for all those that no rule names.
ANY_LEVEL = "\0"

MARKER = re.compile("(%[cu])")


@record
class Decision:
    """Whether something is allowed, and what decides it: the line of the file, and in words."""

    allowed: bool
    line: int | None
    text: str


@record
class Rule:
    """A topic filter and what it grants: READ, WRITE, both, or nothing (DENY).

    `text` is the rule as the person wrote it, `order` its place among all of them. Only where it
    `substitutes`, %c and %u stand for the client identifier and the user name.
    """

    topic_filter: str
    access: int
    text: str
    order: int
    line: int | None = None
    substitutes: bool = False
    decision: Decision = field(init=False)

    def __post_init__(self) -> None:
        where = "" if self.line is None else f"line {self.line}: "
        decision = Decision(self.access != DENY, self.line, where + self.text)
        object.__setattr__(self, "decision", decision)

    @property
    def grants(self) -> str:
        """What it grants, in the word of access files: read, write, readwrite or deny."""
        return _WORDS[self.access]


class Names:
    """What %c and %u stand for."""

    __slots__ = ("client_id", "dangerous", "username")

    def __init__(self, client_id: str, username: str | None) -> None:
        self.client_id = client_id
        self.username = username
        # Put into a filter, these would be wildcards (CVE-2017-7650).
        self.dangerous = (
            "+" in client_id
            or "#" in client_id
            or (username is not None and ("+" in username or "#" in username))
        )

    @property
    def has_levels(self) -> bool:
        """Whether one of them, put into a filter, would be several levels."""
        return "/" in self.client_id or (self.username is not None and "/" in self.username)


class Template:
    """A level of a filter that holds %c or %u."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # In one pass: a client that calls itself %u does not become a user.
        self.parts = tuple(MARKER.split(text))

    def filled(self, names: Names) -> str | None:
        """The text for one client; None for a client without a user name where one is needed."""
        filled = ""
        for part in self.parts:
            if part == "%c":
                filled += names.client_id
            elif part == "%u":
                if names.username is None:
                    return None
                filled += names.username
            else:
                filled += part
        return filled


class _Node:
    __slots__ = ("below", "children", "ends", "plus", "templates")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.plus: _Node | None = None
        self.templates: list[tuple[Template, _Node]] = []
        self.ends: list[Rule] = []  # whose filter ends here
        self.below: list[Rule] = []  # whose filter goes on with # only


class RuleTree:
    """Rules that either all grant or all deny."""

    __slots__ = ("_denies", "_root", "depth")

    def __init__(self, *, denies: bool) -> None:
        self.depth = 0
        self._denies = denies
        self._root = _Node()

    def add(self, rule: Rule) -> None:
        """Add a rule, whose filter is valid."""
        levels = rule.topic_filter.split("/")
        self.depth = max(self.depth, len(levels))
        node = self._root
        for level in levels:
            if level == "#":
                node.below.append(rule)
                return
            if level == "+":
                if node.plus is None:
                    node.plus = _Node()
                node = node.plus
            elif rule.substitutes and MARKER.search(level):
                node = _template_node(node, level)
            else:
                node = node.children.setdefault(level, _Node())
        node.ends.append(rule)

    def find(self, levels: Sequence[str], names: Names, access: int) -> Rule | None:
        """The first of the rules that match a topic and grant `access`, or deny it."""
        best: Rule | None = None
        count = len(levels)
        hidden = levels[0][:1] == "$"  # wildcards at the start do not match it (MQTT 5.0 §4.7.2)
        stack = [(self._root, 0)]
        while stack:
            node, at = stack.pop()
            wild = at or not hidden
            if node.below and wild:
                best = _better(best, node.below, access)
            if at == count:
                if node.ends:
                    best = _better(best, node.ends, access)
                continue
            child = node.children.get(levels[at])
            if child is not None:
                stack.append((child, at + 1))
            if node.plus is not None and wild:
                stack.append((node.plus, at + 1))
            for template, child in node.templates:
                value = self._value(template, names, first=not at)
                if value is None:
                    continue
                if "/" not in value:
                    if value == levels[at]:
                        stack.append((child, at + 1))
                    continue
                filled = value.split("/")  # of what denies only
                if filled == levels[at : at + len(filled)]:
                    stack.append((child, at + len(filled)))
        return best

    def covering(self, wanted: Sequence[str], names: Names, access: int) -> Rule | None:
        """The first of the rules that match every topic of a filter and grant `access`, or deny."""
        best: Rule | None = None
        hidden = wanted[0][:1] == "$"
        stack = [(self._root, 0)]
        while stack:
            node, at = stack.pop()
            wild = at or not hidden
            if node.below and wild:
                best = _better(best, node.below, access)
            if at == len(wanted):
                best = _better(best, node.ends, access)
                continue
            level = wanted[at]
            if level == "#":
                continue  # only what goes on with # has all of that
            if node.plus is not None and wild:
                stack.append((node.plus, at + 1))
            if level == "+":
                continue
            child = node.children.get(level)
            if child is not None:
                stack.append((child, at + 1))
            for template, child in node.templates:
                if self._value(template, names, first=not at) == level:
                    stack.append((child, at + 1))
        return best

    def overlaps(
        self, wanted: Sequence[str], names: Names, access: int
    ) -> Iterator[tuple[str, ...]]:
        """What a filter and each of the rules that grant `access` have in common: a filter too."""
        stack: list[tuple[_Node, int, tuple[str, ...]]] = [(self._root, 0, ())]
        while stack:
            node, at, path = stack.pop()
            level = wanted[at] if at < len(wanted) else None
            hidden = not path and level is not None and level[:1] == "$"
            if not hidden and _better(None, node.below, access) is not None:
                yield path + tuple(wanted[at:])
            if level in (None, "#") and _better(None, node.ends, access) is not None:
                yield path
            if level is None:
                continue
            if level in ("#", "+"):
                following = at if level == "#" else at + 1
                for name, child in self._named(node, names, first=not path):
                    if path or name[:1] != "$":
                        stack.append((child, following, (*path, name)))
                if node.plus is not None:
                    stack.append((node.plus, following, (*path, "+")))
                continue
            longer = (*path, level)
            child_named = node.children.get(level)
            if child_named is not None:
                stack.append((child_named, at + 1, longer))
            if node.plus is not None and not hidden:
                stack.append((node.plus, at + 1, longer))
            for template, child in node.templates:
                if self._value(template, names, first=not path) == level:
                    stack.append((child, at + 1, longer))

    def _named(self, node: _Node, names: Names, *, first: bool) -> Iterator[tuple[str, _Node]]:
        yield from node.children.items()
        for template, child in node.templates:
            value = self._value(template, names, first=first)
            if value is not None:
                yield value, child

    def _value(self, template: Template, names: Names, *, first: bool) -> str | None:
        """A level for one client; None where what it calls itself would give it too much."""
        value = template.filled(names)
        if value is None or self._denies:
            return value
        if "/" in value:
            return None
        if first and value[:1] == "$" and template.text[0] != "$":
            return None
        return value


def _template_node(node: _Node, level: str) -> _Node:
    for template, child in node.templates:
        if template.text == level:
            return child
    child = _Node()
    node.templates.append((Template(level), child))
    return child


def _better(best: Rule | None, rules: list[Rule], access: int) -> Rule | None:
    for rule in rules:
        if (rule.access == DENY or rule.access & access) and (
            best is None or rule.order < best.order
        ):
            best = rule
    return best
