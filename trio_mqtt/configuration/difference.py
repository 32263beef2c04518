"""What one configuration has otherwise than another, setting by setting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from trio_mqtt.configuration.configured import Configured
from trio_mqtt.configuration.in_effect import effective_values
from trio_mqtt.configuration.sources import Source


class Change(NamedTuple):
    """One setting that another configuration has otherwise.

    Values are as TOML writes them, None where there is none; those of secrets are hidden. What is a
    listener's is named by its URL: `listeners[mqtt://0.0.0.0].mode`.
    """

    setting: str
    before: str | None
    after: str | None
    source: Source

    def __str__(self) -> str:
        where = "" if self.source.kind == "default" else f" ({self.source})"
        if self.setting.startswith("listeners[") and self.setting.endswith("].url"):
            url = (self.after or self.before or "").strip('"')
            return f"The listener {url} is {f'new{where}' if self.before is None else 'gone'}."
        if self.before == self.after:
            return f"{self.setting} has changed{where}."
        if self.after is None:
            return f"{self.setting} is not set any more; it was {self.before}."
        was = "was not set before" if self.before is None else f"was {self.before} before"
        return f"{self.setting} is {self.after}{where}; it {was}."


def differences(before: Configured, after: Configured) -> tuple[Change, ...]:
    """What `after` has otherwise than `before`; where a value comes from does not count."""
    return tuple(_differences(_values(before), _values(after)))


# By name: the value as it is, as it is shown, and its source.
_Values = dict[str, tuple[Any, str | None, Source]]
_NOTHING = (None, None, Source("default"))


def _differences(before: _Values, after: _Values) -> Iterator[Change]:
    for name in (*after, *(name for name in before if name not in after)):
        old, new = before.get(name, _NOTHING), after.get(name, _NOTHING)
        listener = f"{name.partition(']')[0]}].url"
        if name.startswith("listeners[") and not (listener in before and listener in after):
            if name == listener:  # of one that is new or gone, its URL says enough
                yield Change(name, old[1], new[1], new[2])
        elif old[0] != new[0] and not (
            # What comes or goes with its whole table is told as far as it is given.
            (name not in before and new[2].kind == "default")
            or (name not in after and old[2].kind == "default")
        ):
            yield Change(name, old[1], new[1], new[2])


def _values(configuration: Configured) -> _Values:
    """All that is set or could be; listeners by their URLs, as their order does not count."""
    found: _Values = {}
    names: dict[str, str] = {}
    for held, value in effective_values(configuration):
        section, _, rest = held.name.partition(".")
        name = held.name
        if section == "listeners":
            number, _, setting = rest.partition(".")
            if setting == "url":
                same = sum(one.startswith(f"listeners[{value}") for one in names.values())
                names[number] = f"listeners[{value}{f' {same + 1}' if same else ''}]"
            name = f"{names[number]}.{setting}"
        found[name] = (value, held.value, held.source)
    return found
