"""`tmqtt passwd`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from tmqtt.terminal.command import CONTEXT, Command
from tmqtt.terminal.values import reader

app = typer.Typer(context_settings=CONTEXT, rich_markup_mode=None)


@reader
def kind_of(text: str) -> str:
    if text not in ("argon2id", "pbkdf2"):
        raise ValueError(f"there is no kind {text!r}: write argon2id or pbkdf2.")
    return text


_EPILOG = """\
Examples:
  tmqtt passwd users ann --create
  tmqtt passwd users ann --check
  tmqtt passwd users --list
  tmqtt broker --password-file users

Exit codes: 0 done, or the password is right; 1 it did not work, or the password is wrong;
2 the options or the file are wrong."""


@app.command(cls=Command, epilog=_EPILOG)
def passwd(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The password file.")],
    username: Annotated[
        str | None,
        typer.Argument(metavar="USER", help="Whose password to set.", show_default=False),
    ] = None,
    create: Annotated[
        bool, typer.Option("-c", "--create", help="Make the file if it is not there.")
    ] = False,
    delete: Annotated[bool, typer.Option("-D", "--delete", help="Remove the user.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell whether the password is right.")
    ] = False,
    show_users: Annotated[
        bool, typer.Option("--list", help="List the users, and how their passwords are kept.")
    ] = False,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="argon2id|pbkdf2",
            parser=kind_of,
            help="How the password is kept. Mosquitto 2.0 reads pbkdf2 only.",
        ),
    ] = "argon2id",
    password_file: Annotated[
        str | None,
        typer.Option(
            "--password-file",
            metavar="PATH",
            help="Take the password from this file's only line.  [default: asked for in a"
            " terminal, else the line that stdin has]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set a user's password in a password file of the broker.

    Files of mosquitto_passwd are read and changed as they are. There is no option for the password
    itself: what stands on a command line can be seen by everybody on the machine.
    """
    from tmqtt.passwd.command import PasswdOptions, change

    if username is None and not show_users:
        raise typer.BadParameter("whose password? Write FILE USER, or FILE --list.")
    if (delete + check + show_users) > 1 or (show_users and username is not None):
        raise typer.BadParameter("--delete, --check and --list exclude each other, --list a USER.")
    change(
        PasswdOptions(
            file=file,
            username=username or "",
            action="list" if show_users else "delete" if delete else "check" if check else "set",
            create=create,
            kind="pbkdf2" if kind == "pbkdf2" else "argon2id",
            password_file=password_file,
        )
    )
