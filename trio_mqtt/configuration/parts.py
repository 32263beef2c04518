"""From settings to what `open_broker` takes: storage, what checks clients, and plugins."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from functools import partial
from typing import Any

from trio_mqtt.broker.access.protocols import Authenticator
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.listen import Listen
from trio_mqtt.configuration.places import Place, dotted
from trio_mqtt.configuration.plugins import make_plugin
from trio_mqtt.configuration.problems import InvalidConfiguration, Problem
from trio_mqtt.configuration.sections import (
    ListenerAccess,
    ListenerSettings,
    ScramSettings,
    Settings,
    StorageSettings,
    TokenSettings,
)
from trio_mqtt.configuration.sources import Layers
from trio_mqtt.errors import ConfigurationError, MqttError
from trio_mqtt.records import record
from trio_mqtt.storage.rows import Storage

SCRAM = "SCRAM-SHA-256"


@record(kw_only=True)
class Parts:
    """What a broker is opened with, beside its limits and options."""

    listeners: tuple[Listen, ...]
    security: Security
    storage: Storage | None
    made: dict[Place, tuple[Any, Any]] = field(default_factory=dict)
    """Each part, with the settings that it was made of."""


class Maker:
    """Makes the parts that settings ask for, and gathers what is wrong with them.

    What `before` has is not made anew where its settings are the same: a part may hold more than
    its settings say.
    """

    def __init__(self, settings: Settings, layers: Layers, before: Parts | None = None) -> None:
        self._settings = settings
        self._layers = layers
        self._before = {} if before is None else before.made
        self._made: dict[Place, tuple[Any, Any]] = {}
        self._problems: list[Problem] = []

    def parts(self) -> Parts:
        """All of them. Raises InvalidConfiguration."""
        access, plugins = self._settings.access, self._settings.plugins
        if plugins.folder is not None:
            # Last, so that nothing there takes the place of a module that all know.
            folder = os.path.abspath(plugins.folder)
            sys.path += [] if folder in sys.path else [folder]
        own = {
            name: self._make(("plugins", name), getattr(plugins, name), partial(make_plugin, name))
            for name in ("hooks", "passwords", "rules", "storage")
        }
        make_authenticator = partial(make_plugin, "authenticators")
        of_plugins: dict[str, Authenticator] = {
            name: self._make(("plugins", "authenticators", name), plugin, make_authenticator)
            for name, plugin in plugins.authenticators.items()
        }
        security = Security(
            passwords=own["passwords"] or access.passwords,
            access=own["rules"] or access.rules,
            dynamic=access.dynamic,
            tokens=self._make(("access", "tokens", "keys"), access.tokens, _verifier),
            authenticators=self._authenticators(("access",), access, of_plugins),
            authentication_required=access.authentication_required,
            hooks=own["hooks"],
            allow_anonymous=access.allow_anonymous,
        )
        listeners = tuple(
            self._listen(("listeners", number), listener, security)
            for number, listener in enumerate(self._settings.listeners)
        )
        storage = self._make(("storage", "path"), self._settings.storage, _storage)
        if self._problems:
            raise InvalidConfiguration(self._problems)
        return Parts(
            listeners=listeners,
            security=security,
            storage=own["storage"] or storage,
            made=self._made,
        )

    def _listen(self, place: Place, listener: ListenerSettings, broker: Security) -> Listen:
        """A listener as the broker takes it, with an access of its own where it has one."""
        access = listener.access
        security = None
        if access is not None:
            at = (*place, "access")
            security = Security(
                passwords=access.passwords,
                access=access.rules,
                tokens=self._make((*at, "tokens", "keys"), access.tokens, _verifier),
                authenticators=self._authenticators(at, access, {}),
                authentication_required=access.authentication_required,
                hooks=broker.hooks,
            )
        names = [field.name for field in fields(Listen)]
        written: dict[str, Any] = {name: getattr(listener, name) for name in names}
        written["security"] = security
        return Listen(**written)

    def _authenticators(
        self, place: Place, access: ListenerAccess, others: Mapping[str, Authenticator]
    ) -> dict[str, Authenticator]:
        """The authentication methods of the access at a place, by their names: `others` first."""
        methods = dict(others)
        if access.scram is not None:
            methods.setdefault(SCRAM, self._make((*place, "scram"), access.scram, _scram))
        if access.authentication_required and not methods:
            self._wrong(
                (*place, "authentication_required"),
                "nobody could connect, for there is no method of authentication: name users below"
                f" {dotted((*place, 'scram'))}, or leave this out.",
            )
        return methods

    def _make(self, place: Place, settings: Any, make: Callable[[Any], Any]) -> Any:
        """What `make` makes of settings, if there are any; a problem where it cannot."""
        if settings is None:
            return None
        if place in self._before and self._before[place][0] == settings:
            self._made[place] = self._before[place]
            return self._made[place][1]
        try:
            made = make(settings)
        except (MqttError, ImportError, OSError, ValueError) as error:
            self._wrong(place, error)
            return None
        self._made[place] = settings, made
        return made

    def _wrong(self, place: Place, why: object) -> None:
        """There is a problem with the setting at a place."""
        source = self._layers.source_of(place)
        self._problems.append(Problem(dotted(place), f"{dotted(place)}: {why}", source))


def _verifier(tokens: TokenSettings) -> Any:
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


def _scram(scram: ScramSettings) -> Any:
    from trio_mqtt.broker.access.scram import ScramAuthenticator, ScramCredentials

    secret = None if scram.secret is None else scram.secret.encode()
    users = {
        name: ScramCredentials.parse(known) if known.startswith(f"{SCRAM}$") else known
        for name, known in scram.users.items()
    }
    return ScramAuthenticator(users, secret=secret)


def _storage(settings: StorageSettings) -> Storage | None:
    if settings.path is None or settings.durability == "memory":
        return None
    if os.path.exists(settings.path) and not os.path.isdir(settings.path):
        raise ConfigurationError(f"{os.fspath(settings.path)} is not a folder.")
    from trio_mqtt.storage.sqlite import SqliteStorage
    from trio_mqtt.storage.sqlite_tools import store_path

    return SqliteStorage(store_path(settings.path), settings.durability or "fsync")
