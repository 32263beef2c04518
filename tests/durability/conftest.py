"""Options: how many rounds, and which."""

from __future__ import annotations

import secrets

import pytest

from tests.durability.plan import Round, plan


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=50, help="how often the broker ends; default 50")
    parser.addoption("--seed", type=int, help="go through the rounds of this seed")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What decides the rounds; it is printed."""
    seed: int | None = pytestconfig.getoption("--seed")
    if seed is None:
        seed = secrets.randbelow(1_000_000)
    print(f"\nseed {seed}: repeat with --seed {seed}")  # noqa: T201
    return seed


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config, seed: int) -> list[Round]:
    """The rounds of the seed."""
    count: int = pytestconfig.getoption("--rounds")
    return plan(seed, count)
