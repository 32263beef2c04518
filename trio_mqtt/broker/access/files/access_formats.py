"""The two formats of access files: Mosquitto's, and TOML.

topic read news/#                     [anonymous]
                                      read = ["news/#"]
user alice
topic readwrite home/#                [user.alice]
topic deny home/safe                  readwrite = ["home/#"]
                                      deny = ["home/safe"]
pattern write sensors/%c/#
                                      [everyone]
                                      write = ["sensors/%c/#"]
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field

from trio_mqtt.broker.access.files.access_rules import Section
from trio_mqtt.broker.access.files.rule_tree import ACCESS, MARKER, Rule
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.protocol.topics import SHARE_PREFIX, topic_filter_problem

_TOLD = 20  # wrong lines: a file that is something else has nothing but such
_BLANKS = " \t\n\v\f\r"  # what Mosquitto takes for blank


@dataclass(slots=True)
class Found:
    """What an access file says."""

    users: dict[str, Section] = field(default_factory=dict)
    anonymous: Section = field(default_factory=Section)
    everyone: Section = field(default_factory=Section)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, section: Section, rule: Rule) -> None:
        section.add(rule)
        self.count += 1

    def user(self, name: str) -> Section:
        return self.users.setdefault(name, Section())

    def accepted(self) -> Found:
        """Itself, where nothing is wrong; else raises ConfigurationError, a line for each."""
        more = len(self.problems) - _TOLD
        if more > 0:
            self.problems[_TOLD:] = [f"{more:,} more of it {'is' if more == 1 else 'are'} wrong."]
        if self.problems:
            raise ConfigurationError("\n".join(self.problems))
        return self


def read_mosquitto(text: str, path: str) -> Found:
    """Read an access file in Mosquitto's format. Raises ConfigurationError for wrong lines."""
    found = Found()
    section = found.anonymous
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        where = f"Line {number} of the access file {path}"
        word, _, rest = line.lstrip(" ").partition(" ")
        rest = rest.lstrip(" ")
        if word == "user" and rest:
            section = found.user(rest.strip(_BLANKS))
        elif word in ("topic", "pattern") and rest:
            try:
                access, topic_filter = _access_and_filter(rest, where)
            except ConfigurationError as error:
                found.problems.append(str(error))
                continue
            substitutes = word == "pattern"
            rule = Rule(topic_filter, access, line.strip(), found.count, number, substitutes)
            found.add(found.everyone if substitutes else section, rule)
            if rest in ACCESS:
                found.warnings.append(f"{where} is a rule for the topic {rest!r}: was more meant?")
            _warn_of(rule, where, found)
        else:
            found.problems.append(f"{where} {_mosquitto_remedy(word, rest)}")
    return found.accepted()


def _access_and_filter(rest: str, where: str) -> tuple[int, str]:
    access_word, separator, topic_filter = rest.partition(" ")
    if not separator:
        access_word, topic_filter = "readwrite", rest
    topic_filter = topic_filter.lstrip(" ")
    if access_word not in ACCESS:
        raise ConfigurationError(
            f"{where} has {access_word!r} where read, write, readwrite or deny stands; a topic"
            " with a space in it needs one of these before it."
        )
    problem = topic_filter_problem(topic_filter)
    if problem is not None:
        hint = " A comment has a line of its own." if " #" in topic_filter else ""
        raise ConfigurationError(
            f"{where}: the topic filter {topic_filter!r} {problem}. Filters read home/lamp, home/+"
            f" or home/#.{hint}"
        )
    return ACCESS[access_word], topic_filter


def _mosquitto_remedy(word: str, rest: str) -> str:
    if word in ("user", "topic", "pattern") and not rest:
        what = "a name" if word == "user" else "a topic"
        return f"says {word!r} but not which: write {what} after it, or remove the line."
    if word.startswith("#"):
        return "has a space before its comment: comments begin with # at the start of the line."
    if re.match(r"(user|topic|pattern)\s", word):
        return f"has no space after its first word: write a space after {word.split()[0]!r}."
    if word.startswith("["):
        return "is TOML: give the file a name that ends in .toml."
    return (
        f"begins with {word!r}: a line reads `user NAME`, `topic read|write|readwrite|deny FILTER`,"
        " `pattern read|write|readwrite|deny FILTER`, or begins with # as a comment."
    )


def _warn_of(rule: Rule, where: str, found: Found) -> None:
    if rule.topic_filter.startswith(SHARE_PREFIX):
        found.warnings.append(
            f"{where} is about a shared subscription, and has no effect: write the filter only,"
            " without $share/NAME/."
        )
    if not rule.substitutes and MARKER.search(rule.topic_filter):
        found.warnings.append(
            f"{where} has %c or %u in a `topic`, where they stand for themselves: write `pattern`."
        )


def read_toml(text: str, path: str) -> Found:
    """Read an access file in TOML. Raises ConfigurationError for what is wrong in it.

    %c and %u stand for the client identifier and the user name in all sections.
    """
    file = f"the access file {path}"
    try:
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:  # such as of numbers of thousands of digits
        raise ConfigurationError(f"{file[0].upper()}{file[1:]} is not TOML: {error}.") from error
    lines = _Lines(text)
    found = Found()
    for name, table in document.items():
        if name == "anonymous":
            _read_section(found, found.anonymous, (name,), table, lines, file)
        elif name == "everyone":
            _read_section(found, found.everyone, (name,), table, lines, file)
        elif name == "user":
            if not isinstance(table, dict):
                problem = "is no section: write [user.NAME]"
                found.problems.append(_toml_problem(lines, (name,), file, problem))
                continue
            for user, rules in table.items():
                _read_section(found, found.user(user), (name, user), rules, lines, file)
        else:
            problem = "is unknown: sections are [anonymous], [everyone] and [user.NAME]"
            found.problems.append(_toml_problem(lines, (name,), file, problem))
    return found.accepted()


def _read_section(
    found: Found,
    section: Section,
    keys: tuple[str, ...],
    table: object,
    lines: _Lines,
    file: str,
) -> None:
    if not isinstance(table, dict):
        problem = "is no section: sections are [anonymous], [everyone] and [user.NAME]"
        found.problems.append(_toml_problem(lines, keys, file, problem))
        return
    for word, filters in table.items():
        place = (*keys, word)
        if word not in ACCESS:
            problem = "is unknown: a section has read, write, readwrite and deny"
            found.problems.append(_toml_problem(lines, place, file, problem))
            continue
        if not isinstance(filters, list) or not all(isinstance(each, str) for each in filters):
            problem = 'is no list of topic filters: write ["home/#", "home/+/lamp"]'
            found.problems.append(_toml_problem(lines, place, file, problem))
            continue
        for topic_filter in filters:
            problem_of_filter = topic_filter_problem(topic_filter)
            if problem_of_filter is not None:
                problem = (
                    f"has the topic filter {topic_filter!r}, which {problem_of_filter}: filters"
                    " read home/lamp, home/+ or home/#"
                )
                found.problems.append(_toml_problem(lines, place, file, problem, topic_filter))
                continue
            line = lines.of(place, topic_filter)
            text = f"[{_dotted(keys)}] {word} {json.dumps(topic_filter, ensure_ascii=False)}"
            substitutes = MARKER.search(topic_filter) is not None
            rule = Rule(topic_filter, ACCESS[word], text, found.count, line, substitutes)
            found.add(section, rule)
            where = f"{_place(line)}{file}"
            _warn_of(rule, where[0].upper() + where[1:], found)


def _toml_problem(
    lines: _Lines, keys: tuple[str, ...], file: str, problem: str, value: str | None = None
) -> str:
    line = lines.of(keys, value)
    where = f"{_place(line)}{file}"
    return f"{where[0].upper()}{where[1:]}: {_dotted(keys)!r} {problem}."


def _place(line: int | None) -> str:
    return "" if line is None else f"line {line} of "


def _dotted(keys: tuple[str, ...]) -> str:
    return ".".join(
        key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key, ensure_ascii=False)
        for key in keys
    )


class _Lines:
    """On which lines of a TOML file things stand, which its parser does not tell.

    Only what is written in the plain way is found: a section in a [header], a key at the start of
    a line, a string without escapes. Of the rest no line is told, rather than a wrong one.
    """

    _HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?")
    _KEY = re.compile(r"""\s*([\w-]+|"[^"\\]*"|'[^']*')\s*=""", re.ASCII)
    _STRING_OR_COMMENT = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)"|#""")

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[tuple[str, ...], str | None], int] = {}
        section: tuple[str, ...] = ()
        key: tuple[str, ...] = ()
        if "'''" in text or '"""' in text:
            return
        for number, line in enumerate(text.split("\n"), 1):
            line = line.rstrip("\r")
            header = self._HEADER.fullmatch(line)
            if header is not None and _header_keys(header[1]):
                section = key = _header_keys(header[1])
                self._note(section, None, number)
                continue
            found = self._KEY.match(line)
            if found is not None:
                key = (*section, found[1].strip("\"'"))
                self._note(key, None, number)
                line = line[found.end() :]
            for string in self._STRING_OR_COMMENT.finditer(line):
                if string[0] == "#":
                    break
                self._note(key, string[1] or string[2], number)

    def _note(self, keys: tuple[str, ...], value: str | None, number: int) -> None:
        for size in range(1, len(keys) + 1):  # [user.alice] is the first of [user] too
            self._lines.setdefault((keys[:size], None), number)
        self._lines.setdefault((keys, value), number)

    def of(self, keys: tuple[str, ...], value: str | None) -> int | None:
        """The line of a key, or of a string in its value."""
        return self._lines.get((keys, value))


def _header_keys(text: str) -> tuple[str, ...]:
    """The keys of a [header]; none if it is written in another way than the plain one."""
    parts = re.findall(r"""\s*([\w-]+|"[^"\\]*"|'[^']*')\s*(?:\.|$)""", text, re.ASCII)
    return tuple(part.strip("\"'") for part in parts)
