"""Reading a configuration: the file, and what goes over it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial

from trio_mqtt.configuration.problems import InvalidConfiguration, Problem
from trio_mqtt.configuration.running import Configuration
from trio_mqtt.configuration.sections import Settings
from trio_mqtt.configuration.sources import (
    FILE_VARIABLE,
    PREFIX,
    File,
    Layers,
    Override,
    Source,
    is_setting,
)


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Iterable[Override] = (),
) -> Configuration:
    """Read the configuration of a broker: the TOML file at `path`, and what goes over it.

    Without a path it is the file that the variable `TMQTT_BROKER_CONFIG` names, if it names one.
    Variables such as `TMQTT_LIMITS__MAXIMUM_CONNECTIONS` of the `environment` (None: that of the
    process) go over the file, and `overrides` over both. Paths in the file are relative to its
    folder. Nothing but the file is read yet, and no plugin loaded.

        async with trio_mqtt.configuration.load("broker.toml").open() as broker:
            print(broker.urls)

    Raises InvalidConfiguration, a ConfigurationError, with all that is wrong, each with its place.
    """
    environment = _settings_of(os.environ if environment is None else environment)
    overrides = tuple(overrides)
    path = environment.get(FILE_VARIABLE) or None if path is None else path
    again = partial(load, path, environment=environment, overrides=overrides)
    layers = Layers()
    file = None if path is None else _read(os.fspath(path))
    if file is not None:
        layers.add_file(file, _parse(file))
    if layers.tree or overrides or any(is_setting(*one) for one in environment.items()):
        settings = _settings(layers, environment, overrides)
    else:  # a broker that has nothing to check does not wait for what checks it
        settings = Settings()
    return Configuration(settings, layers, file, again)


def _settings_of(environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the environment says of configurations: nothing else of it is kept."""
    return {name: text for name, text in environment.items() if name.startswith(PREFIX)}


def _settings(
    layers: Layers, environment: Mapping[str, str], overrides: Iterable[Override]
) -> Settings:
    """What the layers of a file say, with what goes over them. Raises InvalidConfiguration."""
    from trio_mqtt.configuration.overlay import Overlay
    from trio_mqtt.configuration.validation import Validation

    overlay = Overlay(layers)
    overlay.add_environment(environment)
    overlay.add(overrides)
    validation = Validation(layers)
    settings: Settings = validation.settings()
    problems = [*validation.problems, *overlay.problems]
    if problems:
        # Those of the file in the order of its lines, then the others.
        problems.sort(key=lambda one: (one.source.line if one.source else None) or float("inf"))
        raise InvalidConfiguration(problems)
    return settings


def _read(path: str) -> File:
    try:
        with open(path, "rb") as opened:
            return File(path, opened.read().decode("utf-8-sig"))  # some editors mark it
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"The configuration file {path} cannot be read: {reason}."
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = f"Line {line} of {path} is not text in UTF-8, which TOML is written in."
    raise InvalidConfiguration([Problem("", problem)])


def _parse(file: File) -> Mapping[str, object]:
    import tomllib  # which a broker without a file does without

    from trio_mqtt.configuration.toml import parse

    try:
        return parse(file.text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        # Its text ends by the place, if it has one: "Invalid value (at line 3, column 7)".
        what, at, where = str(error).rpartition(" (at ")
        line = where.partition("line ")[2].partition(",")[0]
        source = Source("file", file.path, int(line) if line.isdecimal() else None)
        if at and source.line is None:
            source = Source("file", file.path, file.text.rstrip("\n").count("\n") + 1)
        lines = file.text.splitlines()
        number = source.line or 0
        faulty = lines[number - 1] if 0 < number <= len(lines) else ""
        from trio_mqtt.configuration.no_toml import sentence_for  # loads validators

        sentence = sentence_for(what or str(error), faulty)
        raise InvalidConfiguration([Problem("", sentence, source)]) from None
