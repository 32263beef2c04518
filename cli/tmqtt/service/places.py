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
    data: str
    """Where the broker keeps what it holds; a sentence has it."""

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
    def environment(self) -> Path:
        """The options of the broker."""
        return self.configuration / "environment"

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
            data="/var/lib/tmqtt",
        )
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config").absolute()
    return Places(
        root=Path("/"),
        for_user=True,
        units=home / "systemd" / "user",
        configuration=home / "tmqtt",
        # systemd 254 has moved it.
        data="~/.local/state/tmqtt (or ~/.config/tmqtt, before systemd 254)",
    )
