"""The account of both standards: each statement, and the tests that prove it or why none does.

`python -m tests.conformance.report` writes docs/reference/conformance.md and fails where the
account is not complete. The marks are read from the sources, so that the account needs no test run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
PAGE = TESTS.parent / "docs" / "reference" / "conformance.md"
DIFFERENCES = HERE / "differences.md"
LEAST = 0.95  # part of the statements of a standard that tests must prove

# Marker, name of the standard, list of its statements.
STANDARDS = (
    ("normative", "MQTT 5.0", HERE / "statements_v5.tsv"),
    ("normative_v311", "MQTT 3.1.1", HERE / "statements_v311.tsv"),
)

INTRODUCTION = """\
# Conformance

Each normative statement of the two standards by its identifier, in our own words, with the tests
that prove it or the reason why none does. `nox -s conformance` runs those tests and writes this
page; `nox -s conformance -- --broker mqtt://HOST:PORT` runs those that speak raw bytes against
another broker.
"""


@dataclass
class Statement:
    """A statement of a standard, and what is known about it."""

    identifier: str
    binds: str
    words: str
    reason: str  # why no test proves it, else empty
    tests: list[str] = field(default_factory=list)


@dataclass
class Account:
    """One standard."""

    title: str
    statements: dict[str, Statement]
    problems: list[str]

    @property
    def tested(self) -> int:
        return sum(bool(statement.tests) for statement in self.statements.values())

    @property
    def summary(self) -> str:
        total = len(self.statements)
        part = f"{self.tested / total:.1%}"
        return f"{self.title}: tests prove {self.tested} of {total} statements ({part})."


def read_statements(path: Path) -> dict[str, Statement]:
    """The statements of a list, by identifier, in its order."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        identifier, binds, words, reason = line.split("\t")
        found[identifier] = Statement(identifier, binds, words, reason)
    return found


@cache
def read_marks(marker: str) -> list[tuple[str, str]]:
    """Each identifier named by a mark, and the test that bears it, from the plain test run."""
    return list(_marks(marker))


def _marks(marker: str) -> Iterator[tuple[str, str]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        if (TESTS / "interop") in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        if f"pytest.mark.{marker}(" not in text:
            continue
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for decorator in node.decorator_list:
                if not isinstance(decorator, ast.Call):
                    continue
                if ast.unparse(decorator.func) != f"pytest.mark.{marker}":
                    continue
                test = f"{path.relative_to(TESTS.parent).as_posix()}::{node.name}"
                for argument in decorator.args:
                    yield str(ast.literal_eval(argument)), test


def account(marker: str, title: str, path: Path) -> Account:
    """What tests prove of one standard, and what is wrong with the account."""
    found = Account(title, read_statements(path), [])
    problems = found.problems
    for identifier, test in read_marks(marker):
        statement = found.statements.get(identifier)
        if statement is None:
            problems.append(f"{test} names {identifier}, which {title} does not have.")
        elif test not in statement.tests:
            statement.tests.append(test)
    for statement in found.statements.values():
        if not statement.tests and not statement.reason:
            problems.append(f"{title}: no test proves {statement.identifier}, without a reason.")
        if statement.tests and statement.reason:
            problems.append(f"{title}: {statement.identifier} is tested, and has a reason not to.")
    if found.tested < LEAST * len(found.statements):
        problems.append(f"{found.summary} It must be {LEAST:.0%}.")
    return found


def accounts() -> list[Account]:
    """The accounts of both standards."""
    return [account(*standard) for standard in STANDARDS]


def page(found: list[Account]) -> str:
    """The text of docs/reference/conformance.md."""
    parts = [INTRODUCTION, "\n".join(f"- {one.summary}" for one in found) + "\n"]
    parts.append(DIFFERENCES.read_text(encoding="utf-8"))
    for one in found:
        rows = [f"## {one.title}", "", "| Statement | Binds | In our words | Proof |"]
        rows.append("| --- | --- | --- | --- |")
        for statement in one.statements.values():
            tests = [f"`{test.removeprefix('tests/')}`" for test in sorted(statement.tests)]
            proof = "<br>".join(tests) if tests else f"None: {statement.reason}"
            rows.append(
                f"| {statement.identifier} | {statement.binds} | {statement.words} | {proof} |"
            )
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page; tell the coverage and what is wrong. 1 if something is."""
    found = accounts()
    PAGE.write_text(page(found), encoding="utf-8")
    problems = [problem for one in found for problem in one.problems]
    for line in [*(one.summary for one in found), *problems]:
        sys.stdout.write(line + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
