"""`tmqtt service`: writes and removes the files of the service, and tells systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tmqtt.service.places import Places, places
from tmqtt.service.program import hindrance, parts_of_this_program, this_program
from tmqtt.service.systemd import Systemd
from tmqtt.service.units import (
    MARK,
    SERVICE,
    SOCKET,
    USER,
    account,
    service_unit,
    settings,
    socket_unit,
)
from tmqtt.terminal.plainly import errors_as_sentences, put, say

_FAILURE = 1
_PUBLIC, _PRIVATE = 0o644, 0o640


@dataclass(frozen=True, slots=True)
class Service:
    """Which service is meant, as the options say it."""

    for_user: bool
    sockets: Sequence[str] = ()
    program: str | None = None
    root: str | None = None

    @property
    def words(self) -> list[str]:
        """What runs `tmqtt`."""
        return this_program() if self.program is None else [self.program]

    @property
    def places(self) -> Places:
        return places(for_user=self.for_user, root=self.root)

    @property
    def systemd(self) -> Systemd:
        at = self.places
        return Systemd(for_user=self.for_user, root=at.root if at.is_elsewhere else None)


def show_unit(service: Service) -> None:
    """Print the unit of the sockets where there are any, or else that of the broker."""
    with _failures():
        if service.sockets:
            text = socket_unit(service.sockets, for_user=service.for_user)
        else:
            text = service_unit(service.words, for_user=service.for_user)
    put(text)


def install_service(service: Service, *, start: bool, dry_run: bool) -> None:
    """Write all files; tell systemd, where it is the one that runs."""
    at = service.places
    begun = settings(str(at.configuration), str(at.data), for_user=service.for_user)
    with _failures():
        units = {at.service: service_unit(service.words, for_user=service.for_user)}
        if service.sockets:
            units[at.socket] = socket_unit(service.sockets, for_user=service.for_user)
        if not service.for_user:
            units[at.account] = account()
        _check_program(service)
        _check_ours(at, [*units, at.socket])
        if dry_run:
            for path, text in units.items():
                _show(at.on_disk(path), text)
            if not at.on_disk(at.settings).exists():
                _show(at.on_disk(at.settings), begun)
            return
        systemd = service.systemd
        systemd.check()
        if not service.sockets:
            _remove_socket(at, systemd)
        for path, text in units.items():
            _write(at.on_disk(path), text, _PUBLIC)
        if not service.for_user:
            systemd.make_account(at.account.name)
        _make_configuration(at, begun)
        _tell(service, systemd, start=start)


def uninstall_service(service: Service, *, dry_run: bool) -> None:
    """Stop the service and remove its units, where they are ours."""
    at = service.places
    ours = [at.service, at.socket, *([] if service.for_user else [at.account])]
    with _failures():
        _check_ours(at, ours)
        there = [path for path in ours if at.on_disk(path).exists()]
        if not there:
            say(f"There is no service: {at.on_disk(at.service)} does not exist.")
            return
        if dry_run:
            for path in there:
                say(f"Would remove {at.on_disk(path)}")
            return
        names = [path.name for path in there if path.parent == at.units]
        systemd = service.systemd
        systemd.tell("disable", "--now", *names)
        for path in there:
            at.on_disk(path).unlink()
            say(f"Removed {at.on_disk(path)}")
        systemd.tell("daemon-reload")
    stays = [] if service.for_user else [f"the user {USER}"]
    for path, what in ((at.configuration, "its settings"), (at.data, "what it has kept")):
        stays += [f"{what} in {at.on_disk(path)}"] if at.on_disk(path).exists() else []
    if stays:
        *others, last = stays
        say(f"There still are {', '.join(others) + ' and ' if others else ''}{last}.")


def _check_program(service: Service) -> None:
    """Raises ValueError where the system's service could not read what it runs."""
    at = service.places
    if service.for_user or at.is_elsewhere:
        return
    paths = [Path(service.words[0])]
    if service.program is None:
        paths = parts_of_this_program(service.words)
    reason = hindrance(paths)
    if reason is not None:
        raise ValueError(
            f"The service runs as the user {USER}, who could not run this: {reason}. Install"
            " trio-mqtt where everybody can read it, for example in /opt/tmqtt, and call"
            " /opt/tmqtt/bin/tmqtt service install; or have a service of your own: tmqtt service"
            " install --user."
        )


def _check_ours(at: Places, paths: Sequence[Path]) -> None:
    """Raises ValueError for a file that somebody else has made."""
    for path in paths:
        place = at.on_disk(path)
        if place.exists() and MARK not in place.read_text(encoding="utf-8", errors="replace"):
            raise ValueError(
                f"{place} is not from `tmqtt service install`, so it is left as it is."
                " Move it away first."
            )


def _show(path: Path, text: str) -> None:
    say(f"Would write {path}:")
    put(f"\n{text}\n")


def _write(path: Path, text: str, mode: int) -> None:
    """Write the whole file or nothing."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        say(f"{path} is as it should be")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    new.replace(path)
    say(f"Wrote {path}")


def _remove_socket(at: Places, systemd: Systemd) -> None:
    """Let go of the sockets that an earlier service had from systemd."""
    if at.on_disk(at.socket).exists():
        systemd.tell("disable", "--now", SOCKET)
        at.on_disk(at.socket).unlink()
        say(f"Removed {at.on_disk(at.socket)}")


def _make_configuration(at: Places, begun: str) -> None:
    """Make the folder of its settings, which the broker may read, and others may not."""
    folder = at.on_disk(at.configuration)
    if not folder.exists():
        folder.mkdir(parents=True)
        if at.for_user:
            folder.chmod(0o700)
        else:
            # What is made in it is the group's, too.
            folder.chmod(0o2750)
            _give_to_group(folder, at.root)
    if not at.on_disk(at.settings).exists():
        _write(at.on_disk(at.settings), begun, _PRIVATE)


def _give_to_group(folder: Path, root: Path) -> None:
    groups = root / "etc" / "group"
    if sys.platform == "win32" or os.geteuid() or not groups.exists():
        return
    for line in groups.read_text(encoding="utf-8").splitlines():
        name, _, number, *_ = line.split(":")
        if name == USER:
            os.chown(folder, 0, int(number))
            folder.chmod(0o2750)  # chown takes the bit away


def _tell(service: Service, systemd: Systemd, *, start: bool) -> None:
    """Have systemd know of it, and start it where that is wanted; say what is left to do."""
    at = service.places
    names = [*([SOCKET] if service.sockets else []), SERVICE]
    by_hand = " ".join([*([] if service.for_user else ["sudo"]), *systemd.systemctl])
    if at.is_elsewhere:
        if start:
            systemd.tell("enable", *names)
        return
    if not systemd.tell("daemon-reload"):
        say(f"systemd does not know of it yet: {by_hand} daemon-reload", problem=True)
    elif start:
        _start(systemd, names)
        say(f"It runs. How it fares: {by_hand} status {SERVICE}")
        return
    elif systemd.runs(SERVICE):
        say(f"It runs on as it was until {by_hand} restart {SERVICE}")
        return
    say(f"To start it, now and always: {by_hand} enable --now {' '.join(names)}")
    say(f"Its settings are in {at.settings}")
    if service.for_user:
        say("To have it run while you are not logged in: loginctl enable-linger")


def _start(systemd: Systemd, names: Sequence[str]) -> None:
    """Have what has just been written run. Raises ValueError where it does not."""
    systemd.tell("stop", SERVICE)  # a socket does not begin beside a service that runs
    if not (systemd.tell("enable", *names) and systemd.tell("restart", *names)):
        raise ValueError(
            "systemd could not start it. It says why in"
            f" {' '.join([*systemd.journal, '--unit', SERVICE])}"
        )


@contextmanager
def _failures() -> Iterator[None]:
    """End with a sentence where it does not work."""
    with errors_as_sentences(_FAILURE):
        try:
            yield
        except PermissionError as error:
            raise ValueError(
                f"{Path(error.filename).parent} cannot be written to. For a service of the system,"
                " run this by sudo; for one of your own, add --user."
            ) from error
        except OSError as error:
            named = f"{error.filename}: " if error.filename else ""
            raise ValueError(f"{named}{error.strerror or error}.") from error
