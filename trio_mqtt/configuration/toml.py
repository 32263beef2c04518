"""TOML as Python's parser reads it; what that fails at is told as what is no TOML."""

from __future__ import annotations

import tomllib
from typing import Any

_DEEPEST = 64  # tables and arrays within each other: settings have fewer than ten


def parse(text: str) -> dict[str, Any]:
    """What a text says. Raises TOMLDecodeError, also for what no parser should have to bear."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python makes no number of it
        raise tomllib.TOMLDecodeError("A number has too many digits") from None
    except RecursionError:
        raise _too_deep() from None
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        level = [
            each
            for node in level
            for each in (node.values() if isinstance(node, dict) else node)
            if isinstance(each, dict | list)
        ]
        if not level:
            return tree
    raise _too_deep()


def _too_deep() -> tomllib.TOMLDecodeError:
    return tomllib.TOMLDecodeError("Tables or arrays stand within each other too often")
