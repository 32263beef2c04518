"""What the person asked for, from options, variables and a profile, as one `ConnectionOptions`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tmqtt.connecting.property_values import put, read_property
from tmqtt.connecting.table import (
    BY_NAME,
    CONNECT_PROPERTIES,
    OPTIONS,
    TLS_OPTIONS,
    WILL_PROPERTIES,
    variable_of,
)
from tmqtt.terminal.option import Option

DEFAULT_BROKER = "mqtt://localhost:1883"
_BETWEEN = re.compile(r",(?=[a-zA-Z+]+://)")
_TLS_SCHEMES = ("mqtts", "wss", "ssl", "tls", "mqtts+srv")
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


class SettingError(ValueError):
    """Something given that cannot be; the text says what, `where` where it was given."""

    def __init__(self, sentence: str, where: str) -> None:
        super().__init__(sentence)
        self.where = where


@dataclass(frozen=True, slots=True, kw_only=True)
class WillOptions:
    """The message that the broker publishes if this end is lost."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """Where to connect and as whom. `protocol_version` is "3.1", "3.1.1", "5" or None: the best.

    `properties` are those of CONNECT, by the standard's names; `packet_properties` those that `-D`
    gave for other packets: "publish", "subscribe", "unsubscribe". Durations are in seconds.
    """

    broker: str = DEFAULT_BROKER
    client_id: str = ""
    username: str | None = None
    password: bytes | None = None
    scram: bool = False
    proxy: str | None = None  # a URL, or "env" for what the environment names
    protocol_version: str | None = None
    wait: bool | None = None  # None leaves it to the command
    connect_timeout: float = 10.0
    keep_alive: int = 60
    clean_start: bool = True
    session_expiry_interval: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    packet_properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    will: WillOptions | None = None
    # What `trio_mqtt.TlsOptions` takes; None where nothing of it is given.
    tls: Mapping[str, Any] | None = None
    websocket_headers: tuple[tuple[str, str], ...] = ()
    bind_address: str | None = None
    debug: bool = False  # show each packet


def connection_options(
    command: str,
    given: Mapping[str, Any],
    properties: list[list[str]],
    environment: Mapping[str, str],
    profile: Mapping[str, object] = {},  # never changed
) -> ConnectionOptions:
    """The options together: `given` on the command line by long name, None where one was not.

    `properties` are the words of each `-D`. `command` names a client that has no identifier given.
    Raises SettingError.
    """
    layers = (_given(given), _variables(environment), _profile(profile))
    values: dict[str, Any] = {}
    for layer in reversed(layers):
        if "broker" in layer and ("host" in layer or "port" in layer):
            if layer is layers[0]:
                raise SettingError("give either a URL or a host and a port.", "'--broker'")
        elif "broker" in layer:
            values.pop("host", None)
            values.pop("port", None)
        elif "host" in layer:
            values.pop("broker", None)
        if "password-file" in layer:
            values.pop("password", None)
        elif "password" in layer:
            values.pop("password-file", None)
        values.update(layer)
    by_carrier = _properties(values, properties)
    connect = by_carrier.pop("connect", {})
    session = connect.pop("session_expiry_interval", values.get("session"))
    username = values.get("username")
    broker = _broker(values)
    return ConnectionOptions(
        broker=broker,
        tls=_tls(values, broker),
        websocket_headers=tuple(values.get("ws-header", ())),
        bind_address=values.get("bind-address"),
        client_id=values.get("id", _client_id(command, broker)),
        username=username,
        password=_password(values, username),
        scram=values.get("scram", False),
        proxy=values.get("proxy"),
        protocol_version=values.get("protocol-version"),
        wait=values.get("wait"),
        connect_timeout=values.get("connect-timeout", 10.0),
        keep_alive=values.get("keep-alive", 60),
        clean_start=values.get("clean-start", session is None),
        session_expiry_interval=session or 0,
        properties=connect,
        will=_will(values, by_carrier.pop("will", {})),
        packet_properties=by_carrier,
    )


def _given(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        option.name: _read(option, value, f"'--{option.name}'")
        for option in OPTIONS
        if (value := given.get(option.name)) is not None and value != []
    }


def _variables(environment: Mapping[str, str]) -> dict[str, Any]:
    return {
        option.name: _read(option, [value] if option.repeats else value, variable_of(option))
        for option in OPTIONS
        if (value := environment.get(variable_of(option)))
    }


def _profile(profile: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: _read(option, _as_text(value), f"{name!r} of the profile")
        for name, value in profile.items()
        if (option := BY_NAME[name])
    }


def _as_text(value: object) -> Any:
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if isinstance(value, bool) else str(value)


def _read(option: Option, value: Any, where: str) -> Any:
    try:
        if option.flag:
            return _flag(value)
        if option.repeats:
            return [option.read(one) for one in ([value] if isinstance(value, str) else value)]
        if not isinstance(value, str):
            raise SettingError(f"{value!r} is not one value.", where)
        return option.read(value)
    except ValueError as error:
        raise SettingError(str(error), where) from None


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(f"{value!r} is neither true nor false.")
    return text in _TRUE


def _broker(values: Mapping[str, Any]) -> str:
    url: str = values.get("broker", DEFAULT_BROKER)
    host, port = values.get("host"), values.get("port")
    if host is None and port is None:
        return url
    scheme, _, rest = url.partition("://")
    if host is None:
        # A port alone is of the host that the profile or the default says.
        credentials, _, place = rest.rpartition("@")
        place, slash, path = place.partition("/")
        host = place.rpartition(":")[0] or place
        if place.endswith("]"):
            host = place
        credentials = f"{credentials}@" if credentials else ""
        return f"{scheme}://{credentials}{host}:{port}{slash}{path}"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    # As Mosquitto's commands do: a port or a file may say that it is TLS.
    by_tls = values.get("tls", port == 8883 or any(name in values for name in TLS_OPTIONS))
    scheme = "mqtts" if by_tls else "mqtt"
    return f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"


def is_tls(broker: str) -> bool:
    """Whether a URL, or one of several, says TLS, in our words or in others'."""
    return any(url.partition("://")[0].lower() in _TLS_SCHEMES for url in servers(broker))


def servers(broker: str) -> list[str]:
    """The URLs of `--broker`, which may be several with commas between."""
    return _BETWEEN.split(broker)


def _client_id(command: str, broker: str) -> str:
    """A new client identifier, unless the URL has one, which then counts."""
    if "clientId=" in broker.partition("?")[2]:
        return ""
    return f"tmqtt-{command}-{os.urandom(4).hex()}"


def _tls(values: Mapping[str, Any], broker: str) -> Mapping[str, Any] | None:
    given = {name: values[option] for option, name in TLS_OPTIONS.items() if option in values}
    if (given or values.get("tls")) and not is_tls(broker):
        raise SettingError(
            f"{broker.rpartition('@')[2]} does without TLS: write mqtts:// or wss://.", "'--broker'"
        )
    if not given:
        return None
    if ("key" in given or "key_password" in given) and "certificate" not in given:
        raise SettingError("a key needs the certificate that it belongs to.", "'--cert'")
    if "verify" in given:
        given["verify"] = not given["verify"]
    if "alpn" in given:
        given["alpn"] = tuple(given["alpn"])
    return given


def _password(values: Mapping[str, Any], username: str | None) -> bytes | None:
    if "password-file" in values:
        path = values["password-file"]
        try:
            with open(path, "rb") as file:
                return file.readline(65_537).rstrip(b"\r\n")
        except OSError as error:
            raise SettingError(
                f"{path} cannot be read: {error.strerror}.", "'--password-file'"
            ) from None
    password: str | None = values.get("password")
    if password != "-":  # noqa: S105 # what stands for asking
        return None if password is None else os.fsencode(password)
    return _ask(username)


def _ask(username: str | None) -> bytes:
    import getpass
    import warnings

    whose = f" of {username}" if username else ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return getpass.getpass(f"Password{whose}: ").encode(errors="surrogateescape")
        except (getpass.GetPassWarning, EOFError, OSError):
            raise SettingError(
                "there is no terminal to ask at: use --password-file or TMQTT_PASSWORD.",
                "'--password'",
            ) from None
        except KeyboardInterrupt:
            sys.exit(130)


def _properties(values: Mapping[str, Any], given: list[list[str]]) -> dict[str, dict[str, Any]]:
    """All properties by what carries them: of options, and, which come first, of `-D`."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in _of_options(values, CONNECT_PROPERTIES):
        put(found.setdefault("connect", {}), name, value)
    if values.get("request-response-information"):
        put(found.setdefault("connect", {}), "request_response_information", 1)
    if values.get("no-problem-information"):
        put(found.setdefault("connect", {}), "request_problem_information", 0)
    for name, value in _of_options(values, WILL_PROPERTIES):
        put(found.setdefault("will", {}), name, value)
    if values.get("will-text"):
        put(found.setdefault("will", {}), "payload_format_indicator", 1)
    for words in given:
        try:
            carrier, name, value = read_property(words)
        except ValueError as error:
            raise SettingError(str(error), "'-D'") from None
        put(found.setdefault(carrier, {}), name, value)
    return found


def _of_options(
    values: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[tuple[str, object]]:
    for option, name in names.items():
        if option in values:
            many = values[option] if BY_NAME[option].repeats else [values[option]]
            for value in many:
                yield name, value


def _will(values: Mapping[str, Any], properties: dict[str, Any]) -> WillOptions | None:
    topic = values.get("will-topic")
    if topic is None:
        if properties or any(name.startswith("will-") for name in values):
            raise SettingError("a will needs a topic.", "'--will-topic'")
        return None
    return WillOptions(
        topic=topic,
        payload=values.get("will-payload", b""),
        qos=values.get("will-qos", 0),
        retain=values.get("will-retain", False),
        properties=properties,
    )
