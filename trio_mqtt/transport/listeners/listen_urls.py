"""A listener's own options in the query of its URL: `mqtts://0.0.0.0?cert=server.pem&key=…`."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Literal, TypeVar
from urllib.parse import parse_qsl

from trio_mqtt.errors import InvalidUrlError
from trio_mqtt.transport.listeners.options import Endpoint, ServerTls
from trio_mqtt.transport.urls import parse_url

_TLS = ("cert", "key", "ca", "client-certificates", "username")
_WEBSOCKET = ("origin", "host", "forwarded")
_TCP = ("proxy",)
_UNIX = ("mode", "group", "proxy")
_EVERYWHERE = ("anonymous",)

# Which options go with which scheme.
_OPTIONS = {
    "mqtt": _TCP,
    "mqtts": (*_TLS, *_TCP),
    "ws": (*_WEBSOCKET, *_TCP),
    "wss": (*_TLS, *_WEBSOCKET, *_TCP),
    "any": (*_TLS, *_WEBSOCKET, *_TCP),
    "unix": _UNIX,
}
_SEVERAL = frozenset({"origin", "host", "forwarded", "proxy"})
_CLIENT_CERTIFICATES: tuple[Literal["none", "optional", "required"], ...] = (
    "none", "optional", "required",
)  # fmt: skip
_USERNAMES: tuple[Literal["common-name", "subject"], ...] = ("common-name", "subject")
_MODES = 0o777


_E = TypeVar("_E", bound=Endpoint)


def parse_endpoint(url: str, defaults: Mapping[str, str | Collection[str]], kind: type[_E]) -> _E:
    """The listener that `url` describes; its query holds what is the listener's own.

    `defaults` are options for listeners that can have them and do not say otherwise. Raises
    InvalidUrlError, whose text says what is wrong.
    """
    base, question, query = url.partition("?")
    address = parse_url(base, listening=True)
    allowed = (*_OPTIONS[address.scheme], *_EVERYWHERE)
    options: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in allowed:
            raise InvalidUrlError(_unknown(base, address.scheme, name, allowed))
        if not value:
            raise InvalidUrlError(f"The option {name} of {base} has no value: {name}=VALUE.")
        values = value.split(",") if name in _SEVERAL else [value]
        if name in options and name not in _SEVERAL:
            raise InvalidUrlError(f"The option {name} is given twice for {base}.")
        options.setdefault(name, []).extend(values)
    if question and not options:
        raise InvalidUrlError(f"Nothing follows the question mark of {url!r}. Leave it out.")
    for name, default in defaults.items():
        if name in allowed and name not in options:
            options[name] = [default] if isinstance(default, str) else list(default)
    return kind(
        base,
        tls=_tls(base, address.scheme, options),
        origins=options.get("origin"),
        hosts=options.get("host"),
        trusted_proxies=_networks(base, options.get("forwarded", ())),
        proxy_protocol=_networks(base, options.get("proxy", ())),
        mode=_mode(base, options),
        group=_one(options, "group"),
        allow_anonymous=_yes_or_no(base, options),
    )


def _unknown(base: str, scheme: str, name: str, allowed: Collection[str]) -> str:
    if any(name in names for names in _OPTIONS.values()):
        return f"The option {name} has no meaning for {scheme}://, in {base}?{name}=…."
    known = ", ".join(sorted(allowed))
    return f"{base} has no option {name!r}. The options of {scheme}:// are {known}."


def _one(options: Mapping[str, list[str]], name: str) -> str | None:
    values = options.get(name)
    return values[0] if values else None


def _tls(base: str, scheme: str, options: Mapping[str, list[str]]) -> ServerTls | None:
    certificate = _one(options, "cert")
    if certificate is None:
        given = next((name for name in _TLS if name in options), None)
        if given is not None and scheme == "any":
            raise InvalidUrlError(f"The option {given} of {base} needs a certificate: cert=FILE.")
        return None  # the listener itself says what TLS needs
    return ServerTls(
        certificate,
        _one(options, "key"),
        ca=_one(options, "ca"),
        client_certificates=_choice(base, options, "client-certificates", _CLIENT_CERTIFICATES),
        username=_choice(base, options, "username", _USERNAMES),
    )


_Choice = TypeVar("_Choice", bound=str)


def _choice(
    base: str, options: Mapping[str, list[str]], name: str, choices: tuple[_Choice, ...]
) -> _Choice | None:
    value = _one(options, name)
    if value is None:
        return None
    for choice in choices:
        if choice == value:
            return choice
    raise InvalidUrlError(f"{name}={value} of {base} is none of {', '.join(choices)}.")


def _networks(base: str, networks: Collection[str]) -> tuple[str, ...]:
    for network in networks:
        check_network(base, network)
    return tuple(networks)


def check_network(where: str, network: str) -> None:
    """Raise InvalidUrlError for what is neither a network, an address nor `unix`."""
    if network == "unix":
        return
    try:
        ipaddress.ip_network(network, strict=False)
    except ValueError:
        raise InvalidUrlError(
            f"{network!r}, among the proxies of {where}, is no network."
            " Write 10.0.0.0/8 or a single address."
        ) from None


def _mode(base: str, options: Mapping[str, list[str]]) -> int | None:
    text = _one(options, "mode")
    if text is None:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= _MODES:
        raise InvalidUrlError(f"mode={text} of {base} are no permissions. Write mode=660, say.")
    return mode


def _yes_or_no(base: str, options: Mapping[str, list[str]]) -> bool | None:
    answer = _choice(base, options, "anonymous", ("yes", "no"))
    return None if answer is None else answer == "yes"
