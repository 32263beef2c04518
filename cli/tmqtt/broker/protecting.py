"""`tmqtt broker`: the options that say who may connect, do what, and over what."""

from __future__ import annotations

from typing import Annotated

import typer

_ACCESS = "Who may connect, and do what"
_TLS = "TLS"
_WEBSOCKET = "WebSocket and proxies"

PasswordFile = Annotated[
    str | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="Ask for user names and passwords: FILE is what tmqtt passwd makes, or Mosquitto's.",
        rich_help_panel=_ACCESS,
    ),
]
AccessFile = Annotated[
    str | None,
    typer.Option(
        "--access-file",
        "--acl-file",
        metavar="FILE",
        help="Hold clients to the rules in FILE: Mosquitto's format or, named .toml, TOML.",
        rich_help_panel=_ACCESS,
    ),
]
DynamicSecurity = Annotated[
    str | None,
    typer.Option(
        "--dynamic-security",
        metavar="FILE",
        help="Have users and roles changed while the broker runs, by mosquitto_ctrl dynsec or"
        " any client that may: FILE is what mosquitto_ctrl dynsec init makes.",
        rich_help_panel=_ACCESS,
    ),
]
JwtKeyFile = Annotated[
    str | None,
    typer.Option(
        "--jwt-key",
        metavar="FILE",
        help="Take JSON Web Tokens as passwords: FILE holds the keys (PEM, JWKS or a secret).",
        rich_help_panel=_ACCESS,
    ),
]
JwtAudience = Annotated[
    list[str] | None,
    typer.Option(
        "--jwt-audience",
        metavar="NAME",
        help="Whom tokens must be meant for.",
        rich_help_panel=_ACCESS,
    ),
]
JwtIssuer = Annotated[
    list[str] | None,
    typer.Option(
        "--jwt-issuer",
        metavar="NAME",
        help="Who must have made tokens.",
        rich_help_panel=_ACCESS,
    ),
]
JwtUserClaim = Annotated[
    str | None,
    typer.Option(
        "--jwt-user-claim",
        metavar="NAME",
        help="What in a token names the user.  [default: sub]",
        show_default=False,
        rich_help_panel=_ACCESS,
    ),
]
JwtAccessClaim = Annotated[
    str | None,
    typer.Option(
        "--jwt-access-claim",
        metavar="NAME",
        help="What in a token says what it allows.  [default: mqtt]",
        show_default=False,
        rich_help_panel=_ACCESS,
    ),
]
AllowAnonymous = Annotated[
    bool | None,
    typer.Option(
        "--allow-anonymous/--no-anonymous",
        help="Let in clients without a user name, from anywhere.  [default: from this machine"
        " only, and not if there are passwords]",
        show_default=False,
        rich_help_panel=_ACCESS,
    ),
]
CertificateFile = Annotated[
    str | None,
    typer.Option(
        "--cert",
        metavar="FILE",
        help="The broker's certificate and its chain (PEM), for all listeners with TLS.",
        rich_help_panel=_TLS,
    ),
]
KeyFile = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE",
        help="Its key, if it is not in the same file.",
        rich_help_panel=_TLS,
    ),
]
CaFile = Annotated[
    str | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="Ask clients for certificates that these authorities have signed.",
        rich_help_panel=_TLS,
    ),
]
ClientCertificates = Annotated[
    str | None,
    typer.Option(
        "--client-certificates",
        metavar="required|optional|none",
        help="Who must show one.  [default: everybody, if there is --ca]",
        show_default=False,
        rich_help_panel=_TLS,
    ),
]
CertificateUsername = Annotated[
    str | None,
    typer.Option(
        "--username-from-certificate",
        metavar="common-name|subject",
        help="Take user names from the clients' certificates.",
        rich_help_panel=_TLS,
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="ORIGIN",
        help="Pages that may connect by WebSocket, such as https://example.org; * for all."
        "  [default: pages from the broker's own host]",
        show_default=False,
        rich_help_panel=_WEBSOCKET,
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        metavar="NAME",
        help="By what name WebSocket clients may call the broker; * for any.  [default: where"
        " only this machine can connect, localhost]",
        show_default=False,
        rich_help_panel=_WEBSOCKET,
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="NETWORK",
        help="Proxies whose X-Forwarded-For is believed (WebSocket), such as 10.0.0.0/8.",
        rich_help_panel=_WEBSOCKET,
    ),
]
ProxyProtocol = Annotated[
    list[str] | None,
    typer.Option(
        "--proxy-protocol",
        metavar="NETWORK",
        help="Proxies that begin each connection by a PROXY protocol header.",
        rich_help_panel=_WEBSOCKET,
    ),
]
