"""Values and keys as TOML writes them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from trio_mqtt.configuration.kinds import Unit
from trio_mqtt.quantities import duration_text, size_text

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def toml_key(key: str | int) -> str:
    """A key, in quotes where it needs them."""
    text = str(key)
    return text if _BARE.fullmatch(text) else toml_value(text)


def toml_value(value: Any, unit: Unit = "") -> str:
    """A value; a number of seconds or bytes as people write it, where that has a short text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        quantity = {"seconds": duration_text, "bytes": size_text}.get(unit)
        text = None if quantity is None else quantity(value)
        return str(value) if text is None else f'"{text}"'
    if isinstance(value, Enum):
        return toml_value(value.value)
    if isinstance(value, Mapping):
        entries = [f"{toml_key(key)} = {toml_value(one)}" for key, one in value.items()]
        return f"{{ {', '.join(entries)} }}" if entries else "{}"
    if isinstance(value, os.PathLike):
        return toml_value(os.fspath(value))
    if isinstance(value, str):
        # JSON's strings are TOML's, but for one character that TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(map(toml_value, value))}]"
    return str(value)  # a date, which a plugin may be given
