"""From settings to what `open_broker` takes: storage, what checks clients, and plugins."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from importlib import import_module
from typing import Any, NamedTuple

from trio_mqtt.broker.access.protocols import Authenticator
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.listen import Listen
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.problems import InvalidConfiguration, Problem
from trio_mqtt.configuration.sections import (
    AccessSettings,
    ListenerAccess,
    ListenerSettings,
    Plugin,
    Settings,
    StorageSettings,
)
from trio_mqtt.configuration.sources import Layers
from trio_mqtt.errors import ConfigurationError, MqttError
from trio_mqtt.storage.rows import Storage


class Parts(NamedTuple):
    """What a broker is opened with, beside its limits and options."""

    listeners: tuple[Listen, ...]
    security: Security
    authenticators: dict[str, Authenticator]
    storage: Storage | None


class Maker:
    """Makes the parts that settings ask for, and gathers what is wrong with them."""

    def __init__(self, settings: Settings, layers: Layers) -> None:
        self._settings = settings
        self._layers = layers
        self._problems: list[Problem] = []

    def parts(self) -> Parts:
        """All of them. Raises InvalidConfiguration."""
        access, plugins = self._settings.access, self._settings.plugins
        own = {
            name: self._plugin(("plugins", name), plugin)
            for name in ("hooks", "passwords", "rules", "storage")
            if (plugin := getattr(plugins, name)) is not None
        }
        authenticators = {
            name: self._plugin(("plugins", "authenticators", name), plugin)
            for name, plugin in plugins.authenticators.items()
        }
        if access.scram is not None:
            scram = self._made(("access", "scram"), _scram, access)
            authenticators.setdefault("SCRAM-SHA-256", scram)
        security = Security(
            passwords=own.get("passwords", access.passwords),
            access=own.get("rules", access.rules),
            tokens=self._made(("access", "tokens", "keys"), _verifier, access),
            hooks=own.get("hooks"),
            allow_anonymous=access.allow_anonymous,
        )
        listeners = tuple(
            self._listen(("listeners", number), listener, security)
            for number, listener in enumerate(self._settings.listeners)
        )
        storage = self._made(("storage", "path"), _storage, self._settings.storage)
        if self._problems:
            raise InvalidConfiguration(self._problems)
        return Parts(listeners, security, authenticators, own.get("storage", storage))

    def _listen(self, place: Place, listener: ListenerSettings, broker: Security) -> Listen:
        """A listener as the broker takes it, with an access of its own where it has one."""
        access = listener.access
        security = None
        if access is not None:
            security = Security(
                passwords=access.passwords,
                access=access.rules,
                tokens=self._made((*place, "access", "tokens", "keys"), _verifier, access),
                hooks=broker.hooks,
            )
        written = {field.name: getattr(listener, field.name) for field in fields(Listen)}
        return Listen(**written | {"security": security})

    def _made(self, place: Place, make: Any, settings: Any) -> Any:
        """What `make` makes of settings; a problem of this place where it cannot."""
        try:
            return make(settings)
        except (MqttError, ImportError, OSError, ValueError) as error:
            self._wrong(place, str(error))
            return None

    def _plugin(self, place: Place, plugin: Plugin) -> Any:
        """What a plugin's factory makes."""
        where = f"{dotted(place)}: {plugin.factory}"
        module, _, name = plugin.factory.partition(":")
        if not name:
            self._wrong(place, f'{where}: a factory is written "package.module:name".')
            return None
        try:
            found: Any = import_module(module)
            for attribute in name.split("."):
                found = getattr(found, attribute)
        except Exception as error:  # a module of somebody else's may raise anything
            self._wrong(place, f"{where} cannot be loaded: {_told(error)}.{_hint(error, module)}")
            return None
        try:
            return found(**plugin.settings)
        except Exception as error:
            self._wrong(place, f"{where} failed to make it: {_told(error)}.")
            return None

    def _wrong(self, place: Place, sentence: str) -> None:
        self._problems.append(Problem(dotted(place), sentence, self._layers.source_of(place)))


def _told(error: Exception) -> str:
    text = str(error).strip().rstrip(".") or "it says no more"
    return text if isinstance(error, MqttError) else f"{type(error).__name__}: {text}"


def _hint(error: Exception, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        return f" It must be installed for {sys.executable}, or its folder named by PYTHONPATH."
    return ""


def _verifier(access: ListenerAccess) -> Any:
    tokens = access.tokens
    if tokens is None:
        return None
    from trio_mqtt.broker.access.files.tokens import TokenVerifier

    return TokenVerifier.load(
        tokens.keys,
        audience=tuple(tokens.audience) or None,
        issuer=tuple(tokens.issuer) or None,
        leeway=tokens.leeway,
        username_claim=tokens.username_claim,
        access_claim=tokens.access_claim,
        require_expiry=tokens.require_expiry,
    )


def _scram(access: AccessSettings) -> Any:
    scram = access.scram
    if scram is None:
        return None
    from trio_mqtt.broker.access.scram import ScramAuthenticator

    secret = None if scram.secret is None else scram.secret.encode()
    return ScramAuthenticator(scram.users, secret=secret)


def _storage(settings: StorageSettings) -> Storage | None:
    if settings.path is None or settings.durability == "memory":
        return None
    if os.path.exists(settings.path) and not os.path.isdir(settings.path):
        raise ConfigurationError(f"{os.fspath(settings.path)} is not a folder.")
    from trio_mqtt.storage.sqlite import SqliteStorage
    from trio_mqtt.storage.sqlite_tools import store_path

    return SqliteStorage(store_path(settings.path), settings.durability or "fsync")
