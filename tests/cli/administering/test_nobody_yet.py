"""A page where nobody may log in says so, and what would let somebody in."""

from __future__ import annotations

import pytest

from tests.cli.programs import Program

pytestmark = pytest.mark.slow


def test_a_page_for_nobody_says_what_lets_somebody_in() -> None:
    with Program("broker", "mqtt://127.0.0.1:0", "--web", "127.0.0.1:0") as broker:
        broker.out.expect(r"with the API at \S+/api/v1\.\n")
        broker.out.expect(
            r"Nobody may log in there: web\.roles in the configuration says who may, or"
        )
