"""Topic names and topic filters (MQTT 5.0 §4.7), and shared subscriptions (§4.8.2).

A `…_problem` function returns None, or what is wrong as the end of a sentence ("holds a wildcard
character"), so that each caller can raise the error that fits whose mistake it is.
"""

from __future__ import annotations

import re

SHARE_PREFIX = "$share/"
_DISALLOWED = re.compile(
    "[\x01-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)


def topic_name_problem(topic: str) -> str | None:
    """What keeps `topic` from being a topic name (MQTT 5.0 §4.7.3), or None."""
    if not topic:
        return "is empty"
    if "+" in topic or "#" in topic:
        return "holds a wildcard character"
    return _string_problem(topic)


def topic_filter_problem(topic_filter: str) -> str | None:
    """What keeps `topic_filter` from being a topic filter, shared or not (§4.7.1, §4.8.2)."""
    if not topic_filter:
        return "is empty"
    problem = _string_problem(topic_filter)
    if problem:
        return problem
    plain = topic_filter
    if topic_filter == "$share" or topic_filter.startswith(SHARE_PREFIX):
        group, separator, plain = topic_filter[len(SHARE_PREFIX) :].partition("/")
        if not group or "+" in group or "#" in group:
            return "names no valid share (it reads $share/NAME/FILTER)"
        if not separator or not plain:
            return "shares nothing (it reads $share/NAME/FILTER)"
    if "#" in plain:
        at = plain.index("#")
        if at != len(plain) - 1 or (at and plain[at - 1] != "/"):
            return "has '#' elsewhere than alone in its last level"
    if "+" in plain and any("+" in level and level != "+" for level in plain.split("/")):
        return "has '+' next to other characters in one level"
    return None


def _string_problem(text: str) -> str | None:
    if "\0" in text:
        return "holds the null character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "holds a character that UTF-8 cannot carry"
    return "is longer than 65,535 bytes" if size > 65_535 else None


def has_disallowed_characters(text: str) -> bool:
    """Whether it holds control characters or what Unicode has for no character (MQTT 5.0 §1.5.4).

    The standard says that a string should not, and that who receives one may end the connection.
    """
    # Most are printable, which is found out in a tenth of the time.
    return not text.isprintable() and _DISALLOWED.search(text) is not None


def parse_shared(topic_filter: str) -> tuple[str, str] | None:
    """The share name and the filter of a valid `$share/NAME/FILTER`; None for a plain filter."""
    if not topic_filter.startswith(SHARE_PREFIX):
        return None
    group, _, plain = topic_filter[len(SHARE_PREFIX) :].partition("/")
    return group, plain


def has_wildcard(topic_filter: str) -> bool:
    """Whether the filter may match more than one topic."""
    return "#" in topic_filter or "+" in topic_filter


def topic_matches_filter(topic: str, topic_filter: str) -> bool:
    """Whether a message to `topic` is one for `topic_filter` (MQTT 5.0 §4.7.1, §4.7.2).

    Both are valid, and the filter is a plain one: of `$share/NAME/FILTER` give the FILTER.
    """
    if topic_filter == topic:
        return True
    if topic[0] == "$" and topic_filter[0] in "+#":
        return False
    levels = topic.split("/")
    wanted = topic_filter.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or (level != "+" and level != levels[index]):
            return False
    return len(wanted) == len(levels)
