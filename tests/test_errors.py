"""One tree of exceptions, drawn at the top of its file."""

from __future__ import annotations

import inspect
import re

from trio_mqtt import errors


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn: list[tuple[str, str | None]] = []
    path: list[str] = []
    for line in str(errors.__doc__).splitlines():
        found = re.match(r"((?:│ {3}|[├└]── )*)(\w+Error)\b", line)
        if found is not None:
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            drawn.append((found[2], path[depth - 1] if depth else None))
    there: list[tuple[str, str | None]] = [
        (name, None if one is errors.MqttError else one.__mro__[1].__name__)
        for name, one in vars(errors).items()
        if inspect.isclass(one) and issubclass(one, Exception)
    ]
    assert drawn == there
