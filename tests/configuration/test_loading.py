"""Reading a configuration: what is taken from where."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import trio_mqtt
from tests.configuration.texts import loaded
from trio_mqtt.configuration import InvalidConfiguration, Override, Source, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broker.toml"


def test_without_anything_all_is_as_a_broker_begins() -> None:
    settings = load(environment={}).settings
    assert settings.limits == trio_mqtt.Limits()
    assert settings.options == trio_mqtt.BrokerOptions()
    assert settings.listeners == ()


def test_a_file_says_what_each_part_gets(file: Path) -> None:
    configuration = loaded(
        file,
        """
        [[listeners]]
        url = "mqtts://0.0.0.0"
        tls.certificate = "server.pem"
        tls.client_certificates = "optional"
        proxy_protocol = ["10.0.0.0/8"]
        mode = 0o660

        [limits]
        maximum_packet_size = "1 MiB"
        connect_timeout = "1m"
        write_timeout = inf
        maximum_session_expiry = "2d"
        hook_timeout = 3

        [options]
        shared_strategy = "sticky"
        maximum_qos = 1

        [access.scram.users]
        alice = "hers"
        """,
    )
    settings = configuration.settings
    (listen,) = configuration.make_parts().listeners
    assert listen == trio_mqtt.Listen(
        "mqtts://0.0.0.0",
        tls=trio_mqtt.ServerTls(f"{file.parent}/server.pem", client_certificates="optional"),
        proxy_protocol=("10.0.0.0/8",),
        mode=0o660,
    )
    limits = settings.limits
    assert (limits.maximum_packet_size, limits.connect_timeout) == (2**20, 60.0)
    assert (limits.write_timeout, limits.maximum_session_expiry) == (math.inf, 172_800)
    assert limits.hook_timeout == 3.0
    assert isinstance(limits.maximum_session_expiry, int)
    assert settings.options.shared_strategy is trio_mqtt.SharedStrategy.STICKY
    assert settings.access.scram is not None
    assert settings.access.scram.users == {"alice": "hers"}


def test_the_environment_goes_over_the_file_and_options_over_both(file: Path) -> None:
    configuration = loaded(
        file,
        """
        [limits]
        maximum_sessions = 1
        maximum_connections = 1
        maximum_subscriptions = 1
        """,
        Override("limits.maximum_connections", "3", "--set limits.maximum_connections"),
        environment={
            "TMQTT_LIMITS__MAXIMUM_CONNECTIONS": "2",
            "TMQTT_LIMITS__MAXIMUM_SUBSCRIPTIONS": "2",
            "TMQTT_LIMITS__MAXIMUM_IN_FLIGHT": "",  # as unset
            "TMQTT_CONFIG": "that of another command",
        },
    )
    limits = configuration.settings.limits
    assert (limits.maximum_sessions, limits.maximum_connections) == (1, 3)
    assert limits.maximum_subscriptions == 2
    source = configuration.source_of
    assert source("limits.maximum_sessions") == Source("file", str(file), 3)
    assert str(source("limits.maximum_connections")) == "--set limits.maximum_connections"
    variable = Source("environment", "TMQTT_LIMITS__MAXIMUM_SUBSCRIPTIONS")
    assert source("limits.maximum_subscriptions") == variable
    assert source("limits.maximum_in_flight") == Source("default")


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("limits.maximum_queued_bytes", "16 MiB", 16 * 2**20),
        ("limits.maximum_queued_bytes", "100", 100),
        ("limits.connect_timeout", "30s", 30.0),
        ("limits.connect_timeout", "30", 30.0),
        ("limits.connect_timeout", "inf", math.inf),
        ("options.retain_available", "false", False),
        ("options.retain_available", "No", False),
        ("options.shared_strategy", "hash", trio_mqtt.SharedStrategy.HASH),
        ("options.response_topic_prefix", "12", "12"),
        ("access.allow_anonymous", "yes", True),
        ("storage.path", "/var/lib/tmqtt", "/var/lib/tmqtt"),
        ("access.tokens", '{ keys = "k", issuer = ["a", "b"] }', ("a", "b")),
        ("access.tokens.issuer", "a, b", ("a", "b")),
        ("access.tokens.issuer", '["a", "b"]', ("a", "b")),
        ("plugins.hooks", "house:Hooks", "house:Hooks"),
        ("plugins.authenticators.X-A", "house:Exchange", "house:Exchange"),
        ("listeners.0.url", "mqtt://127.0.0.1:0", "mqtt://127.0.0.1:0"),
    ],
)
def test_a_text_from_outside_is_read_as_the_setting_needs_it(
    setting: str, text: str, value: object
) -> None:
    given = [Override(setting, text)]
    if setting == "access.tokens.issuer":
        given.append(Override("access.tokens.keys", "k"))
    settings = load(environment={}, overrides=given).settings
    found: object = settings
    for key in setting.split("."):
        if isinstance(found, tuple):
            found = found[int(key)]
        elif isinstance(found, dict):
            found = found[key]
        else:
            found = getattr(found, key)
    if isinstance(found, trio_mqtt.configuration.Plugin):
        found = found.factory
    if isinstance(found, trio_mqtt.configuration.TokenSettings):
        found = found.issuer
    assert found == value


def test_a_variable_may_name_a_file_that_holds_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n", encoding="utf-8")
    environment = {
        "TMQTT_ACCESS__SCRAM__USERS": '{ "alice" = "hers" }',
        "TMQTT_ACCESS__SCRAM__SECRET_FILE": str(secret),
    }
    scram = load(environment=environment).settings.access.scram
    assert scram is not None
    assert scram.secret == "from a file"
    assert "from a file" not in repr(scram)
    environment["TMQTT_ACCESS__SCRAM__SECRET_FILE"] = str(tmp_path / "none")
    with pytest.raises(InvalidConfiguration, match=r"^TMQTT_\w+_FILE: The file .*none cannot be"):
        load(environment=environment)


def test_paths_are_relative_to_the_file_that_has_them(file: Path) -> None:
    text = '[storage]\npath = "data"\n[access]\npasswords = "users"\n'
    settings = loaded(file, text, Override("storage.path", "elsewhere")).settings
    assert settings.access.passwords == str(file.parent / "users")
    assert settings.storage.path == "elsewhere"


def test_a_file_may_begin_with_a_mark_of_its_encoding(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf[limits]\r\nwrite_buffer = 7\r\n")
    configuration = load(file, environment={})
    assert configuration.settings.limits.write_buffer == 7
    assert configuration.source_of("limits.write_buffer").line == 2


@pytest.mark.trio
async def test_a_broker_opens_from_it_in_one_line(file: Path) -> None:
    configuration = loaded(
        file,
        """
        listeners = [{ url = "mqtt://127.0.0.1:0" }]
        limits.maximum_connections = 7
        options.maximum_qos = 1
        storage.path = "data"
        """,
    )
    async with configuration.open() as broker:
        assert broker.limits.maximum_connections == 7
        assert broker.options.maximum_qos == 1
        async with trio_mqtt.open_client(broker.url) as client:
            await client.publish("a", "b", qos=1, retain=True)
    assert (file.parent / "data" / "broker.sqlite3").exists()
    async with configuration.open() as broker:
        assert broker.restored.retained == 1
