"""No setting of these tables is without a test that sees it work through the command."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import tests.cli.broker
from tests.cli.broker.seen import SEEN
from trio_mqtt.configuration.description import all_settings, root
from trio_mqtt.configuration.places import dotted

TABLES = (
    "options",
    "logging",
    "listeners",
    "listeners.access",
    "listeners.access.scram",
    "listeners.access.tokens",
    "listeners.limits",
    "listeners.options",
    "listeners.tls",
)
# Those that tests/broker alone has, most of them in virtual time: what they bound is found by who
# reads nothing for long, by bytes that no socket has taken, or by a method of many steps.
INSIDE = {
    "listeners.limits.goodbye_timeout",
    "listeners.limits.maximum_authentication_steps",
    "listeners.limits.write_buffer",
    "listeners.limits.write_timeout",
}
SETTINGS = {
    dotted(place).replace(".0", "")
    for place, setting in all_settings(root())
    if setting.kind is not None
}


@pytest.fixture(scope="module")
def seen() -> set[str]:
    for module in pkgutil.iter_modules(tests.cli.broker.__path__, "tests.cli.broker."):
        import_module(module.name)
    return SEEN


@pytest.mark.parametrize("table", TABLES)
def test_each_setting_is_seen_to_work(table: str, seen: set[str]) -> None:
    settings = {name for name in SETTINGS if name.rpartition(".")[0] == table}
    assert settings
    assert settings - seen - INSIDE == set()


def test_what_is_seen_is_a_setting(seen: set[str]) -> None:
    assert (seen | INSIDE) - SETTINGS == set()
    assert seen.isdisjoint(INSIDE)
