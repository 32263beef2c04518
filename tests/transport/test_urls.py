"""Addresses of brokers."""

from __future__ import annotations

import pytest

from trio_mqtt.errors import InvalidUrlError
from trio_mqtt.transport.urls import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", Address("mqtt", "localhost", 1883)),
        ("mqtt://localhost/", Address("mqtt", "localhost", 1883)),
        ("MQTT://Example.ORG:1", Address("mqtt", "example.org", 1)),
        ("mqtt://[::1]:0", Address("mqtt", "::1", 0)),
        ("mqtt://u%40x:p%3A%2F@h", Address("mqtt", "h", 1883, "u@x", "p:/")),
        ("mqtt://user@h", Address("mqtt", "h", 1883, "user", None)),
    ],
)
def test_an_address_is_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "localhost:1883", "http://h", "mqtt:h", "mqtt://", "mqtt://:1883",
        "mqtt://h:65536", "mqtt://h:-1", "mqtt://h:x", "mqtt://[::1", "mqtt://h/path", "mqtt://h?q",
        "mqtt://h#f", "//h",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_a_right_one(url: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"mqtt://localhost:1883") as caught:
        parse_url(url)
    assert isinstance(caught.value, ValueError)


def test_an_address_reads_as_a_url_without_credentials() -> None:
    assert parse_url("mqtt://u:secret@[::1]:1884").url == "mqtt://[::1]:1884"
    assert parse_url(parse_url("mqtt://h").url) == parse_url("mqtt://h")
