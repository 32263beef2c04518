"""What was found, as a table, and the first of each kind in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.durability.checker import Kind, Violation, check
from tests.durability.history import Acknowledged, Completed, Down, History, Publishing, Received

SHOWN = 3  # violations of each kind in words


@dataclass(frozen=True, slots=True)
class Findings:
    """A run against a broker: how much has happened, and what was not as promised."""

    broker: str
    ends: int
    sent: int
    acknowledged: int
    received: int
    violations: Sequence[Violation]

    @property
    def words(self) -> str:
        """The first violations of each kind, a line each."""
        shown: Counter[Kind] = Counter()
        lines = []
        for violation in self.violations:
            shown[violation.kind] += 1
            if shown[violation.kind] <= SHOWN:
                lines.append(f"{self.broker}: {violation.kind}: {violation.what}")
        return "\n".join(lines)


def findings(broker: str, history: History) -> Findings:
    """Check a history and count what is in it."""
    kinds = Counter(type(event) for event in history)
    acknowledged = {event.number for event in history if isinstance(event, Acknowledged)}
    assert kinds[Completed] <= kinds[Acknowledged]
    return Findings(
        broker, kinds[Down], kinds[Publishing], len(acknowledged), kinds[Received], check(history)
    )


def table(all_findings: Sequence[Findings]) -> str:
    """The counts, a line for each broker, as Markdown."""
    heads = ["broker", "ends", "sent", "acknowledged", "received", *Kind]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for each in all_findings:
        counts = Counter(violation.kind for violation in each.violations)
        figures = [each.ends, each.sent, each.acknowledged, each.received]
        figures += [counts[kind] for kind in Kind]
        cells = [each.broker, *(f"{figure:,}" for figure in figures)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
