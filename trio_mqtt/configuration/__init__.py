"""A broker's configuration: one TOML file, the environment and options, checked, and what it means.

`load` reads it. What it yields opens a broker, and says of each value where it comes from. All
settings are fields of dataclasses in the rooms where they act (`Limits`, `BrokerOptions`,
`Listen`), or in `sections.py`; what a file may have, how it is checked, its schema, the example and
the tables of the documentation are made from these fields and what is written under them. It may
know the broker, storage and transport; only the command knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.configuration.annotated import example as example
    from trio_mqtt.configuration.checking import check as check
    from trio_mqtt.configuration.difference import Change as Change
    from trio_mqtt.configuration.difference import differences as differences
    from trio_mqtt.configuration.in_effect import Held as Held
    from trio_mqtt.configuration.in_effect import effective as effective
    from trio_mqtt.configuration.json_schema import schema as schema
    from trio_mqtt.configuration.loading import load as load
    from trio_mqtt.configuration.problems import InvalidConfiguration as InvalidConfiguration
    from trio_mqtt.configuration.problems import Problem as Problem
    from trio_mqtt.configuration.running import Configuration as Configuration
    from trio_mqtt.configuration.running import RunningConfiguration as RunningConfiguration
    from trio_mqtt.configuration.sections import AccessSettings as AccessSettings
    from trio_mqtt.configuration.sections import ListenerAccess as ListenerAccess
    from trio_mqtt.configuration.sections import ListenerSettings as ListenerSettings
    from trio_mqtt.configuration.sections import Plugin as Plugin
    from trio_mqtt.configuration.sections import PluginSettings as PluginSettings
    from trio_mqtt.configuration.sections import ScramSettings as ScramSettings
    from trio_mqtt.configuration.sections import Settings as Settings
    from trio_mqtt.configuration.sections import StorageSettings as StorageSettings
    from trio_mqtt.configuration.sections import TokenSettings as TokenSettings
    from trio_mqtt.configuration.sources import Override as Override
    from trio_mqtt.configuration.sources import Source as Source
    from trio_mqtt.configuration.tables import reference as reference
