"""Access rules in the plainest way: each rule is looked at, in the order that the rules demand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from trio_mqtt.protocol.topics import topic_matches_filter


@dataclass(frozen=True)
class NaiveRule:
    """A line of Mosquitto's format: who is None for anonymous clients, and "*" for a pattern."""

    who: str | None
    access: str
    topic_filter: str

    def line(self) -> str:
        return f"{'pattern' if self.who == '*' else 'topic'} {self.access} {self.topic_filter}\n"


def as_file(rules: list[NaiveRule]) -> str:
    """The rules as an access file."""
    text = ""
    for rule in sorted(rules, key=lambda rule: rule.who or ""):  # patterns may stand anywhere
        if rule.who not in (None, "*"):
            text += f"user {rule.who}\n"
        text += rule.line()
    return text


def allowed(
    rules: list[NaiveRule], action: str, client_id: str, username: str | None, topic: str
) -> bool:
    """Whether a message on a topic may be published or received."""
    access = "write" if action == "publish" else "read"
    own = [rule for rule in rules if rule.who == username and rule.who != "*"]
    patterns = [rule for rule in rules if rule.who == "*"]
    for section in (own, patterns):
        if section is patterns and patterns and dangerous(client_id, username):
            return False
        for wanted in (("deny",), (access, "readwrite")):
            for rule in section:
                if rule.access in wanted and _fits(rule, client_id, username, topic):
                    return rule.access != "deny"
    return False


def dangerous(client_id: str, username: str | None) -> bool:
    return any(wildcard in client_id + (username or "") for wildcard in "+#")


def _fits(rule: NaiveRule, client_id: str, username: str | None, topic: str) -> bool:
    topic_filter = rule.topic_filter
    if rule.who == "*":
        if "%u" in topic_filter and username is None:
            return False
        if rule.access != "deny":
            for marker, name in (("%c", client_id), ("%u", username or "")):
                if marker in topic_filter and "/" in name:
                    return False
                if topic_filter.startswith(marker) and name.startswith("$"):
                    return False
        pieces = topic_filter.replace("%c", "\0c").replace("%u", "\0u")
        topic_filter = pieces.replace("\0c", client_id).replace("\0u", username or "")
    return bool(topic_filter) and topic_matches_filter(topic, topic_filter)


def topics_of(levels: str, depth: int) -> Iterator[str]:
    """All topics of up to so many of the levels."""
    for count in range(1, depth + 1):
        for chosen in product(levels.split(), repeat=count):
            yield "/".join(chosen)


def topics_on(topic_filter: str, levels: list[str], more: int) -> Iterator[str]:
    """The topics that a filter matches, of the levels given; # stands for up to `more` of them."""
    *first, last = topic_filter.split("/")
    if last != "#":
        first.append(last)
    choices = [levels if level == "+" else [level] for level in first]
    for count in range(more + 1) if last == "#" else (0,):
        for chosen in product(*choices, *[levels] * count):
            topic = "/".join(chosen)
            if topic and topic_matches_filter(topic, topic_filter):
                yield topic
