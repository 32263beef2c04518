"""The bill of materials (SBOM): what an installation with all extras has in it, by CycloneDX."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from releasing.environments import Environment
from releasing.running import run

NAME = "trio-mqtt"


def write_bill(environment: Environment, project: Path, version: str, target: Path) -> None:
    """Write what is installed in an environment, with versions, licences and what needs what.

    There is no time in it and no random number, so that the same installation gives the same bill.
    """
    run(
        sys.executable, "-m", "cyclonedx_py", "environment",
        "--output-reproducible", "--output-format", "JSON", "--spec-version", "1.6",
        "--pyproject", project / "pyproject.toml", "--mc-type", "library",
        "--output-file", target, environment.python,
    )  # fmt: skip
    # It stands in the source, and not in what cyclonedx-py reads.
    told = json.loads(target.read_text(encoding="utf-8"))
    told["metadata"]["component"]["version"] = version
    target.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def bill_problems(bill: Path, version: str, needed: Iterable[str]) -> Iterator[str]:
    """What is wrong with a bill of this version, which has to name all packages that are needed."""
    text = bill.read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    about = told["metadata"]["component"]
    if (about["name"], about.get("version")) != (NAME, version):
        yield f"{bill.name} is about {about['name']} {about.get('version')}."
    named = {component["name"].lower().replace("_", "-") for component in told["components"]}
    for name in sorted({*needed} - named):
        yield f"{bill.name} does not name {name}."
    for component in told["components"]:
        if not component.get("version"):
            yield f"{bill.name} does not say which version of {component['name']} it is."
    if "file://" in text:
        yield f"{bill.name} names a file of this machine."
