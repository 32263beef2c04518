"""`tmqtt broker`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.options import (
    CONTEXT,
)

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


@app.command()
def broker(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL",
            help="Where to listen.  [default: mqtt://127.0.0.1:1883, this machine only]",
            show_default=False,
        ),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            help="Ask for user names and passwords: FILE is what tmqtt passwd makes, or"
            " Mosquitto's.",
        ),
    ] = None,
    access_file: Annotated[
        str | None,
        typer.Option(
            "--access-file",
            "--acl-file",
            metavar="FILE",
            help="Hold clients to the rules in FILE: Mosquitto's format or, named .toml, TOML.",
        ),
    ] = None,
    allow_anonymous: Annotated[
        bool | None,
        typer.Option(
            "--allow-anonymous/--no-anonymous",
            help="Let in clients without a user name, from anywhere.  [default: from this machine"
            " only, and not if there are passwords]",
            show_default=False,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print nothing but warnings and errors.")
    ] = False,
) -> None:
    """Run a broker until Ctrl-C, and show its traffic.

    mqtt://0.0.0.0:1883 and mqtt://[::]:1883 listen at all addresses of this machine: say then who
    may connect. Port 0 takes a free one. Several URLs listen at all of them. At SIGHUP the password
    and access files are read again.
    """
    import trio_mqtt
    from tmqtt.broker import serve
    from tmqtt.running import run

    security = trio_mqtt.Security(
        passwords=password_file, access=access_file, allow_anonymous=allow_anonymous
    )
    run(
        lambda terminal: serve(tuple(urls or ()), terminal, security=security, quiet=quiet),
        stopped=0,
    )
