"""Asking whether a change that cannot be undone is meant, once the broker can be asked for it."""

from __future__ import annotations

from collections.abc import Callable

import typer

from tmqtt.connecting.api import Api
from tmqtt.terminal.confirming import check_can_be_asked, confirm
from tmqtt.terminal.sentences import CommandError, tell


def check_is_meant(api: Callable[[], Api], question: str, *, yes: bool) -> None:
    """Go on where the person says so, or `yes` has said it before.

    Ends the command where the answer is no, or where there is no broker that would do it: nobody
    thinks about a question for nothing. Raises BadParameter where nobody can be asked.
    """
    if yes:
        return
    check_can_be_asked()
    try:
        role = api().get("/session", {})["role"]
        if role == "see":
            raise CommandError("This takes the role operate, or one above it.")
    except CommandError as error:
        raise typer.Exit(tell(error)) from None
    confirm(question)
