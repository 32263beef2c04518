"""The account of the standards is complete, and the page that shows it is of today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import report
from tests.conformance.report import Account, Statement

UPDATE = "python -m tests.conformance.report writes it anew"


@pytest.mark.parametrize("standard", report.STANDARDS, ids=lambda standard: standard[0])
def test_every_statement_is_proven_or_has_its_reason(standard: tuple[str, str, Path]) -> None:
    found = report.account(*standard)
    assert found.problems == []
    assert found.tested >= 0.95 * len(found.statements)


def test_the_page_is_up_to_date() -> None:
    assert report.PAGE.read_text(encoding="utf-8") == report.page(report.accounts()), UPDATE


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("MQTT-1.5.4-1\tboth\twords\t\n", "which X does not have"),
        ("MQTT-0.0.0-1\tboth\twords\t\n", "no test proves MQTT-0.0.0-1"),
        ("MQTT-1.5.4-1\tboth\twords\treason\n", "is tested, and has a reason"),
        ("MQTT-0.0.0-1\tboth\twords\treason\n", "It must be 95%"),
    ],
)
def test_what_is_missing_is_told(tmp_path: Path, rows: str, problem: str) -> None:
    path = tmp_path / "statements.tsv"
    path.write_text("identifier\tbinds\tstatement\tuntested because\n" + rows, encoding="utf-8")
    found = report.account("normative", "X", path)
    assert any(problem in text for text in found.problems)


def test_a_reason_stands_where_there_is_no_test() -> None:
    statements = {
        "A-1": Statement("A-1", "both", "is", "", ["tests/a/test_b.py::test_c"]),
        "A-2": Statement("A-2", "both", "is not", "It cannot be."),
    }
    text = report.page([Account("X", statements, [])])
    assert "X: tests prove 1 of 2 statements (50.0%)." in text
    assert "| A-1 | both | is | `a/test_b.py::test_c` |" in text
    assert "| A-2 | both | is not | None: It cannot be. |" in text
