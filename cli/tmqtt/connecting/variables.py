"""Variables of the environment that look like settings of this command, and are none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tmqtt.connecting.table import OPTIONS, variable_of

_PREFIX = "TMQTT_"
_BETWEEN = "__"  # the keys of a broker's setting, which tells of those that are wrong itself
_OTHERS = (
    "TMQTT_PROFILE", "TMQTT_CONFIG", "TMQTT_BROKER_CONFIG", "TMQTT_API", "TMQTT_API_TOKEN",
    "TMQTT_API_CAFILE",
)  # fmt: skip
# What Kubernetes gives each container to find a service of that name.
_OF_SERVICES = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)")


def idle_variables(
    environment: Mapping[str, str],
    meant: Mapping[str, str] = {},  # never changed
) -> Iterator[str]:
    """A sentence for each variable that is named like a setting, but says nothing.

    `meant` has what may be meant by some of them.
    """
    given = [name for name, text in environment.items() if name.startswith(_PREFIX) and text]
    if not given:  # as nearly always
        return
    known = {variable_of(option) for option in OPTIONS}.union(_OTHERS)
    for name in sorted(given):
        if _BETWEEN in name or name in known or _OF_SERVICES.fullmatch(name):
            continue
        near = meant.get(name) or _nearest(name, known)
        advice = f" Did you mean {near}?" if near else ""
        yield f"The variable {name} is no setting: it changes nothing.{advice}"


def _nearest(name: str, known: set[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, known, 1, 0.8)), None)
