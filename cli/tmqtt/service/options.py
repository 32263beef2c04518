"""`tmqtt service`: the options of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import Command, group

_EXAMPLES = """\
Examples:
  tmqtt service show
  tmqtt service install --now
  tmqtt service install --user --now
  tmqtt service install --socket 0.0.0.0:1883 --socket /run/tmqtt.sock
  tmqtt service uninstall

"""
_CODES = "Exit codes: 0 done; 1 it did not work; 2 the options are wrong."

app = group("service", "Have systemd run the broker, from the start of the machine on.", _EXAMPLES)

ForUser = Annotated[
    bool,
    typer.Option(
        "--user", help="A service of your own, without root, in place of one of the system's."
    ),
]
Sockets = Annotated[
    list[str] | None,
    typer.Option(
        "--socket",
        metavar="ADDRESS",
        help="Have systemd listen at ADDRESS, such as 0.0.0.0:1883, [::]:443 or /run/tmqtt.sock,"
        " and hand the socket over: ports below 1024 are possible then, and a restart turns nobody"
        " away. May be given several times.  [default: the broker listens itself]",
        show_default=False,
    ),
]
Program = Annotated[
    str | None,
    typer.Option(
        "--program",
        metavar="FILE",
        help="The `tmqtt` that the service runs.  [default: this very one]",
        show_default=False,
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="Write below DIR, for a package or an image: systemd is told nothing.",
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only tell what would be done, and with which files.")
]


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def install(
    for_user: ForUser = False,
    sockets: Sockets = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Start it as well: now, and with the machine or your session."),
    ] = False,
    program: Program = None,
    root: Root = None,
    dry_run: DryRun = False,
) -> None:
    """Make the broker a service of systemd; what there was of it before is brought up to date.

    For the system it runs as a user of its own, `tmqtt`, which can write to /var/lib/tmqtt and
    little else. Its settings are in /etc/tmqtt/broker.toml, which is made if it is not there, and
    never changed. With --user it is yours, and they are in ~/.config/tmqtt/broker.toml.
    """
    from tmqtt.service.command import Service, install_service

    _check(for_user, root)
    install_service(Service(for_user, sockets or (), program, root), start=now, dry_run=dry_run)


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def uninstall(for_user: ForUser = False, root: Root = None, dry_run: DryRun = False) -> None:
    """Stop the service and remove it; what it has kept, its settings and its user stay."""
    from tmqtt.service.command import Service, uninstall_service

    _check(for_user, root)
    uninstall_service(Service(for_user, root=root), dry_run=dry_run)


@app.command(cls=Command, epilog=_EXAMPLES + _CODES)
def show(for_user: ForUser = False, sockets: Sockets = None, program: Program = None) -> None:
    """Print the unit that `install` writes; with --socket, the unit of the sockets."""
    from tmqtt.service.command import Service, show_unit

    show_unit(Service(for_user, sockets or (), program))


def _check(for_user: bool, root: str | None) -> None:
    if for_user and root is not None:
        raise typer.BadParameter("--root is for a service of the system, not for --user.")
