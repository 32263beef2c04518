"""Parts of a program's own: importing what makes them, and having it make them."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from trio_mqtt.broker.access.protocols import (
    AccessControl,
    AccessRules,
    Authenticator,
    PasswordCheck,
)
from trio_mqtt.configuration.sections import Plugin
from trio_mqtt.errors import ConfigurationError, MqttError
from trio_mqtt.storage.rows import Storage

# What each of them has to be.
PROTOCOLS: dict[str, type] = {
    "hooks": AccessControl,
    "passwords": PasswordCheck,
    "rules": AccessRules,
    "authenticators": Authenticator,
    "storage": Storage,
}


def make_plugin(what: str, plugin: Plugin) -> Any:
    """What a plugin's factory makes. Raises ConfigurationError for whatever goes wrong with it."""
    module, _, name = plugin.factory.partition(":")
    if not name:
        raise ConfigurationError(f'{plugin.factory} is none: it is written "package.module:name".')
    try:
        factory: Any = import_module(module)
        for attribute in name.split("."):
            factory = getattr(factory, attribute)
    except Exception as error:  # a module of somebody else's may raise anything
        raise ConfigurationError(
            f"{plugin.factory} cannot be loaded: {_told(error)}.{_hint(error, module)}"
        ) from error
    try:
        made = factory(**plugin.settings)
    except Exception as error:
        raise ConfigurationError(f"{plugin.factory} failed: {_told(error)}.") from error
    protocol = PROTOCOLS[what]
    missing = [
        name
        for name, member in vars(protocol).items()
        if callable(member) and not name.startswith("_") and not callable(getattr(made, name, None))
    ]
    if missing:
        raise ConfigurationError(
            f"{plugin.factory} made a {type(made).__name__}, which has no {', '.join(missing)}:"
            f" what is needed is a {protocol.__module__}.{protocol.__name__}."
        )
    return made


def _told(error: Exception) -> str:
    text = str(error).strip().rstrip(".") or "it says no more"
    return text if isinstance(error, MqttError) else f"{type(error).__name__}: {text}"


def _hint(error: Exception, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
        return f" It must be installed for {sys.executable}, or its folder named by plugins.folder."
    return ""
