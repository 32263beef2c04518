"""Whether what is installed is as old as `pyproject.toml` allows: else bounds were not tried."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version


def untried(requirements: Iterable[str]) -> Iterator[str]:
    """A sentence for each requirement of which another version than the lowest is installed."""
    for text in sorted({*requirements}):
        wanted = Requirement(text)
        bounds = [bound.version for bound in wanted.specifier if bound.operator == ">="]
        if not bounds:
            yield f"{text} has no lowest version."
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield f"{text} is not installed."
            continue
        if Version(found) != Version(bounds[0]):
            yield f"{text} is what is allowed, and {found} what is tried."


def main() -> int:
    """Look at what the package and its tests need; the status says whether all of it was tried."""
    text = Path("pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    sentences = list(untried([*project["dependencies"], *project["optional-dependencies"]["test"]]))
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    return bool(sentences)


if __name__ == "__main__":
    sys.exit(main())
