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
        ("mqtts://h", Address("mqtts", "h", 8883)),
        ("ws://h", Address("ws", "h", 80, path="/mqtt")),
        ("wss://u:p@h:9001/a/b", Address("wss", "h", 9001, "u", "p", "/a/b")),
        ("ws://h/", Address("ws", "h", 80, path="/")),
        ("unix:///run/a%20b.sock", Address("unix", "", 0, path="/run/a b.sock")),
        ("unix://u:p@/run/x", Address("unix", "", 0, "u", "p", "/run/x")),
        ("ws://h/a?b=%2F&c", Address("ws", "h", 80, path="/a", query="b=%2F&c")),
    ],
)
def test_an_address_is_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "localhost:1883", "http://h", "mqtt:h", "mqtt://", "mqtt://:1883",
        "mqtt://h:65536", "mqtt://h:-1", "mqtt://h:x", "mqtt://[::1", "mqtt://h/path", "mqtt://h?q",
        "mqtt://h#f", "//h", "mqtts://h/p", "ws://h#f", "ws:///mqtt", "unix://", "unix://h/p",
        "unix:///", "unix:///p?q", "any://h", "tcp:h", "tls://h/p", "mqtt+unix://h/p",
        "mqtt://h?clientId=", "mqtt://h?clientId=a&clientId=b", "mqtt://h?clientId=a&q=1",
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_a_right_one(url: str) -> None:
    with pytest.raises(InvalidUrlError, match=r"mqtt://localhost:1883") as caught:
        parse_url(url)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://u:p@h", Address("mqtt", "h", 1883, "u", "p")),
        ("ssl://h", Address("mqtts", "h", 8883)),
        ("TLS://h:1", Address("mqtts", "h", 1)),
        ("mqtt+unix:///run/x", Address("unix", "", 0, path="/run/x")),
        ("tcp://h/?clientId=a%2Fb", Address("mqtt", "h", 1883, client_id="a/b")),
        ("unix:///x?clientId=a", Address("unix", "", 0, path="/x", client_id="a")),
        (
            "ws://h?clientId=a&b=1",
            Address("ws", "h", 80, path="/mqtt", query="clientId=a&b=1", client_id="a"),
        ),
    ],
)
def test_a_client_understands_what_others_write(url: str, address: Address) -> None:
    assert parse_url(url) == address
    with pytest.raises(InvalidUrlError, match="mqtt://localhost:1883"):
        parse_url(url, listening=True)


@pytest.mark.parametrize("place", ["h:x", "h:65536", "[::1", "h/path", ""])
def test_what_is_refused_does_not_show_the_password(place: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        parse_url(f"mqtt://ann:p@ss/:word@{place}")
    assert f"'mqtt://ann:…@{place}'" in str(caught.value)
    assert "ss" not in str(caught.value).replace("address", "")


def test_a_port_that_is_none_is_told_in_a_sentence() -> None:
    for port in ("x", "65536"):
        with pytest.raises(InvalidUrlError, match="its port is no number from 0 to 65535"):
            parse_url(f"mqtt://h:{port}")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("1884", "mqtt://localhost:1884"),
        ("raspberrypi.local", "mqtt://raspberrypi.local"),
        ("192.168.1.5:1884", "mqtt://192.168.1.5:1884"),
        ("[::1]:1884", "mqtt://[::1]:1884"),
        ("mqtt//0.0.0.0", "mqtt://0.0.0.0"),
        ("mqtts:/broker:8883", "mqtts://broker:8883"),
        ("mqtt:h", "mqtt://h"),
        ("http://h", None),
        ("home/lamp", None),
        ("a host", None),
    ],
)
def test_what_was_likely_meant_is_asked(url: str, meant: str | None) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        parse_url(url)
    _, asked, question = str(caught.value).partition(" Did you mean ")
    assert question == ("" if meant is None else f"{meant}?")
    assert bool(asked) is (meant is not None)


def test_an_address_reads_as_a_url_without_credentials() -> None:
    assert parse_url("mqtt://u:secret@[::1]:1884").url == "mqtt://[::1]:1884"
    assert parse_url("wss://u:secret@h").url == "wss://h:443/mqtt"
    assert parse_url("wss://h/a?signature=secret").url == "wss://h:443/a"
    assert parse_url("unix://u:secret@/run/a%20b").url == "unix:///run/a%20b"
    assert parse_url(parse_url("mqtt://h").url) == parse_url("mqtt://h")


def test_one_port_for_all_is_for_listening_alone() -> None:
    assert parse_url("any://h", listening=True) == Address("any", "h", 1883)
