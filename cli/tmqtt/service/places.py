"""Where the files of a service are: those of the system, of a user, or below another root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tmqtt.service.units import SERVICE, SOCKET, USER


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Paths as the service will see them; `on_disk` has where they are to be written now."""

    root: Path
    """What will be `/`: another folder while an image or a package is made."""
    for_user: bool
    units: Path
    configuration: Path
    data: Path
    """Where the broker keeps what it holds, unless its settings say otherwise."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is not the system that runs."""
        return self.root != Path("/")

    @property
    def service(self) -> Path:
        return self.units / SERVICE

    @property
    def socket(self) -> Path:
        return self.units / SOCKET

    @property
    def settings(self) -> Path:
        """The configuration of the broker."""
        return self.configuration / "broker.toml"

    @property
    def account(self) -> Path:
        """What makes the broker's own user (sysusers.d(5))."""
        return Path("/etc/sysusers.d", f"{USER}.conf")

    def on_disk(self, path: Path) -> Path:
        return self.root / path.relative_to("/")


def places(*, for_user: bool, root: str | None) -> Places:
    """The places of a service for the system, or for whoever runs this."""
    if not for_user:
        return Places(
            root=Path(root or "/").absolute(),
            for_user=False,
            units=Path("/etc/systemd/system"),
            configuration=Path("/etc/tmqtt"),
            data=Path("/var/lib/tmqtt"),
        )
    settings = _users_own("XDG_CONFIG_HOME", ".config")
    return Places(
        root=Path("/"),
        for_user=True,
        units=settings / "systemd" / "user",
        configuration=settings / "tmqtt",
        data=_users_own("XDG_STATE_HOME", ".local/state") / "tmqtt",
    )


def _users_own(variable: str, usual: str) -> Path:
    """A folder of the user's own, as the XDG Base Directory Specification finds it."""
    return Path(os.environ.get(variable) or Path.home() / usual).absolute()
