"""The lowest versions that are allowed are those that are tried."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

from releasing.bounds import untried

ROOT = Path(__file__).parents[3]


def test_a_bound_that_is_not_what_is_installed_is_told() -> None:
    found = version("trio")
    assert list(untried([f"trio>={found}"])) == []
    assert list(untried(["trio>=0.1", "trio", "no-such-package>=1"])) == [
        "no-such-package>=1 is not installed.",
        "trio has no lowest version.",
        f"trio>=0.1 is what is allowed, and {found} what is tried.",
    ]


def test_all_that_users_may_install_is_there_for_the_tests() -> None:
    """Else `nox -s lowest` would not look at it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    others = {"bench", "dev", "docs", "interop", "lint"}
    for name in extras.keys() - others:
        assert {*extras[name]} <= {*extras["test"]}, name
