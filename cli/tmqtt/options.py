"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from tmqtt.durations import parse_duration

CONTEXT = {"help_option_names": ["-h", "--help"]}

EXIT_CODES = (
    "Exit codes: 0 done; 1 it did not work; 2 the options are wrong; 130 ended by Ctrl-C;"
    " where the broker refuses the connection, its code (such as 135: not authorized)."
)


def duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def qos_of(text: str | int) -> int:  # an int where it is the default
    if str(text) not in ("0", "1", "2"):
        raise typer.BadParameter(f"there is no QoS {text!r}: write 0, 1 or 2.")
    return int(text)


def count_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= 18 and int(text)):
        raise typer.BadParameter(f"{text!r} is not a number of messages: write 1 or more.")
    return int(text)


def version_of(text: str) -> str:
    if text not in ("3.1", "3.1.1", "5"):
        raise typer.BadParameter(f"there is no MQTT {text!r} here: write 3.1, 3.1.1 or 5.")
    return text


BrokerUrl = Annotated[
    str,
    typer.Option(
        "-b",
        "--broker",
        metavar="URL",
        envvar="TMQTT_BROKER",
        help="The broker's address; it may carry credentials: mqtt://USER:PASSWORD@HOST:PORT.",
    ),
]
ClientId = Annotated[
    str | None,
    typer.Option("-i", "--id", metavar="ID", help="Client identifier. By default a new one."),
]
Username = Annotated[
    str | None, typer.Option("-u", "--username", metavar="NAME", help="User name.")
]
Password = Annotated[
    str | None, typer.Option("-P", "--password", metavar="PASSWORD", help="Password.")
]
ProtocolVersion = Annotated[
    str | None,
    typer.Option(
        "-V",
        "--protocol-version",
        metavar="3.1|3.1.1|5",
        parser=version_of,
        help="MQTT version.  [default: 5, and 3.1.1 where the broker refuses 5]",
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "-w", "--wait", help="Wait for a broker that is not there yet, instead of giving up."
    ),
]
Qos = Annotated[
    int,
    typer.Option("-q", "--qos", metavar="0|1|2", parser=qos_of, help="Quality of service."),
]

DEFAULT_BROKER = "mqtt://localhost:1883"


def new_client_id(command: str) -> str:
    """A new identifier that says in the broker's log what the client is."""
    return f"tmqtt-{command}-{secrets.token_hex(4)}"
