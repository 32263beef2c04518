"""What a check found: a row with a status, a name and a few words."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass

from tmqtt.terminal import looks
from tmqtt.terminal.escaping import escape
from tmqtt.terminal.looks import Line

OK = "OK"
LIMITED = "limited"
ABSENT = "absent"
WRONG = "wrong"

_STYLES = {OK: looks.GOOD, LIMITED: looks.WARNING, ABSENT: looks.NOTE, WRONG: "bold red"}
_STATUS = 9  # columns
_NAME = 22


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. `detail` may hold what the broker said: it is not safe to show as it is."""

    group: str
    name: str
    status: str
    detail: str = ""


def lines_of(finding: Finding, width: int) -> list[Line]:
    """The row as lines of at most `width` columns, where that is wide enough for it at all."""
    before = _STATUS + _NAME
    room = width - before - 1
    if room < 20:  # a narrow terminal has the words below
        before, room = 2, max(width - 3, 10)
    words = textwrap.wrap(escape(finding.detail), room) or [""]
    head: list[looks.Part] = [
        (finding.status.ljust(_STATUS), _STYLES[finding.status]),
        (finding.name.ljust(_NAME if before > 2 else 0), looks.PLAIN),
    ]
    if before == 2:
        return [head, *([(" " * before + line, looks.NOTE)] for line in words if line)]
    first: Line = [*head, (words[0], looks.NOTE)]
    return [first, *([(" " * before + line, looks.NOTE)] for line in words[1:])]


def as_json(broker: str, findings: list[Finding]) -> str:
    """All rows as one JSON object."""
    return json.dumps({"broker": broker, "checks": [asdict(one) for one in findings]}, indent=2)
