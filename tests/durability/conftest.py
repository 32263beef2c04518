"""Options: how many rounds, and which."""

from __future__ import annotations

import secrets

import pytest

from tests.durability.plan import Round, plan


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--brief", action="store_true", help="leave out Mosquitto, and all but three defects"
    )
    parser.addoption("--rounds", type=int, default=50, help="how often the broker ends; default 50")
    parser.addoption(
        "--cluster-rounds", type=int, help="how often nodes and engine fail; default: as --rounds"
    )
    parser.addoption("--seed", type=int, help="go through the rounds of this seed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--brief"):
        left_out = [item for item in items if item.get_closest_marker("not_brief")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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


@pytest.fixture(scope="session")
def cluster_rounds(pytestconfig: pytest.Config) -> int:
    """How many rounds there are over several nodes."""
    count: int | None = pytestconfig.getoption("--cluster-rounds")
    rounds: int = pytestconfig.getoption("--rounds")
    return rounds if count is None else count
