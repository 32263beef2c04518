"""No setting of these tables is without a test that sees it work through the command."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import tests.cli.broker
from tests.cli.broker.seen import SEEN
from trio_mqtt.configuration.description import all_settings, root
from trio_mqtt.configuration.places import dotted

TABLES = (
    "limits",
    "options",
    "storage",
    "cluster",
    "metrics",
    "logging",
    "listeners",
    "listeners.access",
    "listeners.access.scram",
    "listeners.access.tokens",
    "listeners.limits",
    "listeners.options",
    "listeners.tls",
    "plugins",
    "plugins.hooks",
)
# Those that tests/broker, tests/monitoring and tests/cluster alone have, most in virtual time: what
# they bound is found by who reads nothing for long, by bytes that no socket has taken, by a method
# of many steps, by passwords that many wait for, by a loop that is late, or in an engine.
_OF_A_LISTENER_TOO = (
    "goodbye_timeout",
    "maximum_authentication_steps",
    "write_buffer",
    "write_timeout",
)
_OF_A_CLUSTER = (
    "inbox_bytes",
    "inbox_entries",
    "keep_clients",
    "lease",
    "log_age",
    "log_bytes",
    "log_messages",
    "password",
    "password_file",
    "prefer_local",
    "replicas",
    "timeout",
    "username",
)
INSIDE = {
    *(f"cluster.{name}" for name in _OF_A_CLUSTER),
    *(f"{table}.{name}" for table in ("limits", "listeners.limits") for name in _OF_A_LISTENER_TOO),
    "limits.maximum_connect_rate_per_address",
    "limits.maximum_loop_lag",
    "limits.maximum_password_checks",
    "limits.maximum_password_checks_per_address",
    "limits.maximum_password_checks_per_user",
    "limits.maximum_queued_bytes_in_all",
    "limits.maximum_unfinished_bytes",
    "limits.password_threads",
    "metrics.maximum_connections",
    "metrics.timeout",
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


def test_what_is_seen_inside_is_set_there() -> None:
    tests = Path(__file__).parents[2]
    text = "".join(
        file.read_text()
        for name in ("broker", "monitoring", "cluster")
        for file in (tests / name).rglob("*.py")
    )
    assert {name for name in INSIDE if name.rpartition(".")[2] not in text} == set()
