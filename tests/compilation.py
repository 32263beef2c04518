"""Which modules of the package are to be compiled, and which are."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def modules_to_compile() -> list[str]:
    """The modules that a build compiles which is asked to, as `pyproject.toml` lists them."""
    tool = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]
    listed = tool["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]
    return [file.removesuffix(".py").replace("/", ".") for file in listed]


def is_extension(name: str) -> bool:
    """Whether a module is loaded from what a compiler has made."""
    return isinstance(import_module(name).__loader__, ExtensionFileLoader)


def attributes(thing: object) -> dict[str, object]:
    """What an object holds, whether or not its class is compiled."""
    if hasattr(thing, "__dict__"):
        return vars(thing).copy()
    names = (name for name in dir(thing) if not name.startswith("__") and hasattr(thing, name))
    return {name: value for name in names if not callable(value := getattr(thing, name))}
