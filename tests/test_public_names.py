"""The public face is exactly what is meant to be public, and all of it says what it is for."""

from __future__ import annotations

import inspect

import trio_mqtt

PUBLIC = """
    Authenticated AuthenticationError AuthenticationExchange AuthenticationRefused Authenticator
    Broker BrokerEvent BrokerOptions Client ClientAuthentication ClientConnected
    ClientDisconnected ClientExchange ClientRefused Connected ConnectionEvent ConnectionEvents
    ConnectionFailedError ConnectionLost ConnectionLostError ConnectionRefusedByBrokerError
    DisconnectedByBrokerError InvalidUrlError Limits ListenError LocalProtocolError
    MalformedPacketError MemoryStorage Message Messages MessagesPublished MqttError Properties
    ProtocolVersion PublishedMessage ReasonCode Reconnecting RefusedError RemoteProtocolError
    ScramAuthenticator ScramClient ScramCredentials SharedStrategy Statistics Storage Subscribed
    Unsubscribed Watch Will open_broker open_client serve topic_filter_problem
    topic_name_problem
"""
NAMES = PUBLIC.split()


def public(name: str, value: object) -> bool:
    return not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"


def test_the_public_names_are_these() -> None:
    assert sorted(name for name, value in vars(trio_mqtt).items() if public(name, value)) == NAMES


def test_every_public_name_says_what_it_is_for() -> None:
    silent = [
        name
        for name in NAMES
        if callable(value := getattr(trio_mqtt, name)) and not inspect.getdoc(value)
    ]
    assert silent == []


def test_every_error_is_an_mqtt_error() -> None:
    errors = [value for name, value in vars(trio_mqtt).items() if name.endswith("Error")]
    assert len(errors) > 5
    assert all(issubclass(error, trio_mqtt.MqttError) for error in errors)
