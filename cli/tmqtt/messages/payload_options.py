"""The options of `pub` and `sub` that say what payloads are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tmqtt.messages.payload_formats import PayloadFormat

_PANEL = "Format of payloads"

FormatName = Annotated[
    str | None,
    typer.Option(
        "--payload-format",
        metavar="cbor|msgpack|protobuf|base64|hex",
        help="What payloads are: they are shown, and written, as JSON, or as Base64 or hexadecimal"
        " digits.",
        rich_help_panel=_PANEL,
    ),
]
Descriptors = Annotated[
    str | None,
    typer.Option(
        "--descriptors",
        metavar="FILE",
        help="With protobuf: the types of messages, as protoc --include_imports -o FILE writes"
        " them.",
        rich_help_panel=_PANEL,
    ),
]
MessageType = Annotated[
    str | None,
    typer.Option(
        "--message-type",
        metavar="NAME",
        help="With protobuf: the type, such as home.Reading.  [default: the only one there]",
        rich_help_panel=_PANEL,
    ),
]


def payload_format(
    name: str | None, descriptors: str | None, message_type: str | None
) -> PayloadFormat | None:
    """The format that the options ask for, or None. Raises typer.BadParameter."""
    if name != "protobuf":
        for value, option in (
            (descriptors, "--descriptors"),
            (message_type, "--message-type"),
        ):
            if value is not None:
                raise typer.BadParameter(
                    "it goes with --payload-format protobuf.", param_hint=f"'{option}'"
                )
    if name is None:
        return None
    from tmqtt.messages.payload_formats import PayloadFormat

    try:
        return PayloadFormat(name, descriptors, message_type)
    except ValueError as error:
        where = "'--payload-format'" if descriptors is None else "'--descriptors'"
        raise typer.BadParameter(str(error), param_hint=where) from None
