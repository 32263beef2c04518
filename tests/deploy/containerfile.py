"""deploy/Containerfile, taken apart."""

from __future__ import annotations

import io
import json
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, in order."""
    text = (ROOT / "deploy/Containerfile").read_bytes()
    found: list[list[tuple[str, str]]] = []
    for entry in DockerfileParser(fileobj=io.BytesIO(text)).structure:
        name, value = entry["instruction"], entry["value"]
        if name == "FROM":
            found.append([])
        elif found and name != "COMMENT":
            found[-1].append((name, value))
    return found


BUILD, LAST = stages()


def values(name: str) -> list[str]:
    """What the last stage says by one kind of instruction."""
    return [value for instruction, value in LAST if instruction == name]


def exec_form(name: str) -> list[str]:
    """The words of what starts a process, which has no shell in between to get its signals."""
    (value,) = values(name)
    words = json.loads(value[value.index("[") :])
    assert all(isinstance(word, str) for word in words)
    return list(words)
