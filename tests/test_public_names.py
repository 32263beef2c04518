"""The public face is exactly what is meant to be public, and all of it says what it is for."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import trio_mqtt

PUBLIC = """
    AccessControl AccessHooks AccessRefused AccessRules ApplicationMessage Authenticated
    AuthenticationError AuthenticationExchange AuthenticationRefused Authenticator Backoff
    Broker BrokerEvent BrokerOptions Client ClientAuthentication ClientCertificate
    ClientConnected ClientDisconnected ClientExchange ClientInfo ClientRefused ClientStatus
    ConfigurationError Connected ConnectionEvent ConnectionEvents ConnectionFailedError
    ConnectionLost ConnectionLostError ConnectionOpened ConnectionRefusedByBrokerError
    ConnectionState DisconnectedByBrokerError EventSample EventStream InvalidTokenError
    InvalidUrlError KeepAliveExpired Limits Listen ListenError LocalProtocolError
    MalformedPacketError MemoryStorage Message MessageAcknowledged MessageDelivered
    MessagePublished MessageRefused Messages MessagesDropped MqttError Origin PasswordCheck
    PasswordFile Pinged Properties ProtocolVersion Publication ReasonCode Reconnecting
    RefusedError RemoteProtocolError RetainedChanged ScramAuthenticator ScramClient
    ScramCredentials Security ServerTls SharedStrategy Statistics Storage StoreError Subscribed
    Subscription SubscriptionRefused SubscriptionRequest TlsError TlsOptions TokenClaims
    TokenVerifier Unsubscribed WaysIn Will WillPublished open_broker open_client parse_listen
    serve topic_filter_problem topic_matches_filter topic_name_problem
"""
NAMES = PUBLIC.split()


# What a program may call of a broker.
BROKER = """
    close events handle limits listeners options publish redirect reload rules_changed sample
    statistics url urls ways_in
"""

# What the module needs itself.
OWN = {"annotations", "import_module", "TYPE_CHECKING"}


def public(name: str) -> bool:
    value = getattr(trio_mqtt, name)
    return not name.startswith("_") and not inspect.ismodule(value) and name not in OWN


def test_the_public_names_are_these() -> None:
    assert [name for name in dir(trio_mqtt) if public(name)] == NAMES


def test_a_star_brings_the_public_names_and_no_others() -> None:
    assert sorted(vars(trio_mqtt)["__all__"]) == NAMES
    brought: dict[str, object] = {}
    exec("from trio_mqtt import *", brought)  # noqa: S102 # what a program would write
    brought.pop("__builtins__")
    assert sorted(brought) == NAMES
    assert brought["open_client"] is trio_mqtt.open_client


def test_the_version_is_that_of_the_package() -> None:
    assert trio_mqtt.__version__ == importlib.metadata.version("trio-mqtt")
    assert "__version__" in dir(trio_mqtt)


def test_importing_the_package_loads_nothing_yet() -> None:
    program = (
        "import sys; before = {*sys.modules}; import trio_mqtt; print(*{*sys.modules} - before)"
    )
    loaded = subprocess.check_output([sys.executable, "-I", "-c", program], text=True).split()
    assert [name for name in loaded if name.startswith("trio_mqtt.")] == []
    assert not {"importlib.metadata", "anyio", "trio", "ssl"} & {*loaded}


def test_type_checkers_see_the_same_names_as_the_interpreter() -> None:
    source = Path(trio_mqtt.__file__).read_text(encoding="utf-8")
    seen = re.findall(r"^    from trio_mqtt\.(\S+) import (\w+) as \2$", source, re.MULTILINE)
    assert {name: home for home, name in seen} == vars(trio_mqtt)["_HOMES"]


def test_a_client_does_not_load_the_broker() -> None:
    program = "import sys, trio_mqtt; trio_mqtt.open_client; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "trio_mqtt.client.client" in loaded
    assert [name for name in loaded if name.startswith(("trio_mqtt.broker", "trio."))] == []


def test_a_broker_shows_what_programs_may_call() -> None:
    shown = [name for name in dir(trio_mqtt.Broker) if not name.startswith("_")]
    assert shown == BROKER.split()
    assert all(inspect.getdoc(getattr(trio_mqtt.Broker, name)) for name in shown)


def test_every_public_name_says_what_it_is_for() -> None:
    silent = [
        name
        for name in NAMES
        if callable(value := getattr(trio_mqtt, name)) and not inspect.getdoc(value)
    ]
    assert silent == []


def test_every_error_is_an_mqtt_error() -> None:
    errors = [getattr(trio_mqtt, name) for name in NAMES if name.endswith("Error")]
    assert len(errors) > 5
    assert all(issubclass(error, trio_mqtt.MqttError) for error in errors)
