"""`tmqtt broker`: its configuration, of a file, the environment and its options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from tmqtt.connecting.variables import idle_variables
from tmqtt.terminal.sentences import CommandError
from trio_mqtt import ConfigurationError
from trio_mqtt.configuration import Configuration, InvalidConfiguration, Override, Settings, load

_PREFIX = "TMQTT_"

# What each option of the command sets.
OPTIONS = {
    "data": "storage.path",
    "durability": "storage.durability",
    "history": "history.filters",
    "history_file": "history.path",
    "cluster": "cluster.url",
    "cluster_name": "cluster.name",
    "cluster_password_file": "cluster.password_file",
    "cluster_wait": "cluster.wait",
    "node": "cluster.node",
    "node_reference": "cluster.server_reference",
    "password_file": "access.passwords",
    "access_file": "access.rules",
    "dynamic_security": "access.dynamic",
    "jwt_key": "access.tokens.keys",
    "jwt_audience": "access.tokens.audience",
    "jwt_issuer": "access.tokens.issuer",
    "jwt_user_claim": "access.tokens.username_claim",
    "jwt_access_claim": "access.tokens.access_claim",
    "allow_anonymous": "access.allow_anonymous",
    "log_file": "logging.file",
    "log_format": "logging.format",
    "metrics": "metrics.listen",
    "web": "web.listen",
}


def overrides(options: Mapping[str, object], settings: Iterable[str]) -> Iterator[Override]:
    """What goes over the file: the options that are given, by their keys, and `--set NAME=VALUE`.

    Raises ConfigurationError for one that is not written so.
    """
    for key, setting in OPTIONS.items():
        if options.get(key) is not None:
            yield Override(setting, options[key], f"--{key.replace('_', '-')}")
    for text in settings:
        yield Override.written(text)


def warnings(configuration: Configuration, environment: Mapping[str, str]) -> Iterator[str]:
    """Sentences about variables that look as if they were settings of the broker, and are none."""
    meant = {_variable(key): _variable(*setting.split(".")) for key, setting in OPTIONS.items()}
    sections = {field.name for field in fields(Settings)}
    for name in environment:
        section, _, key = name.removeprefix(_PREFIX).lower().partition("_")
        if section in sections and key:
            meant[name] = _variable(section, key)
    yield from idle_variables(environment, meant)
    passwords = _variable("password_file")
    if environment.get(passwords) and configuration.settings.access.passwords is None:
        yield f"{passwords} is for clients. The broker's password file is {meant[passwords]}."


def _variable(*keys: str) -> str:
    return _PREFIX + "__".join(keys).upper()


def configured(file: str | None, given: Iterable[Override]) -> Configuration:
    """The configuration that holds. Raises CommandError with all that is wrong with it."""
    try:
        return load(file, overrides=list(given))
    except InvalidConfiguration as error:
        raise as_command_error(error) from None
    except ConfigurationError as error:
        raise CommandError(str(error), code=2) from None


def as_command_error(error: InvalidConfiguration) -> CommandError:
    """The same as the command says it, each problem in a sentence."""
    first, *others = map(str, error.problems)
    return CommandError(first, code=2, others=others)
