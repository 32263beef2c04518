"""Named connections in a TOML file: `tmqtt sub --profile home 'room/#'`.

    [home]
    broker = "mqtts://broker.example"
    username = "ann"
    password-file = "/home/ann/.mqtt-password"

The keys are the long names of the connection's options.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from tmqtt.connecting.table import BY_NAME


def default_file(environment: Mapping[str, str]) -> Path:
    """Where the file is unless another is named: by the XDG directories."""
    folder = environment.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if os.path.isabs(folder) else Path("~/.config").expanduser()
    return base / "tmqtt" / "config.toml"


def load_profile(path: Path, name: str) -> dict[str, object]:
    """The profile `name` of the file. Raises ValueError, whose text says what is wrong."""
    import tomllib

    try:
        profiles = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"there is no file {path}: profiles stand there, each as [NAME] and lines"
            ' such as broker = "mqtt://localhost".'
        ) from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8
        raise ValueError(f"{path} is not TOML: {error}.") from None
    for key, value in profiles.items():
        if not isinstance(value, dict):
            raise ValueError(  # noqa: TRY004 # the file is wrong, not the program
                f"{path}: {key!r} stands in no profile. Write [NAME] above it."
            )
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        raise ValueError(f"{path} has no profile {name!r}. It has: {known}.")
    profile: dict[str, object] = profiles[name]
    for key in profile:
        if key not in BY_NAME:
            near = get_close_matches(key, BY_NAME, 1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{path}: the profile {name!r} has an unknown key {key!r}.{advice}")
    return profile
