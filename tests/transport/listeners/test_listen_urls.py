"""A listener's options in the query of its URL."""

from __future__ import annotations

from typing import Any

import pytest

from trio_mqtt import ConfigurationError, InvalidUrlError, Listen, ServerTls, parse_listen


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("mqtt://h", Listen("mqtt://h")),
        (
            "mqtts://h:1?cert=a.pem&key=b.pem&ca=c.pem&client-certificates=optional&anonymous=no",
            Listen(
                "mqtts://h:1",
                tls=ServerTls(
                    "a.pem",
                    "b.pem",
                    ca="c.pem",
                    client_certificates="optional",
                ),
                allow_anonymous=False,
            ),
        ),
        (
            "ws://h/x?origin=https://a.example,https://b.example&origin=*&host=h,*.i&forwarded=10.0.0.0/8",
            Listen(
                "ws://h/x",
                origins=["https://a.example", "https://b.example", "*"],
                hosts=["h", "*.i"],
                trusted_proxies=("10.0.0.0/8",),
            ),
        ),
        ("mqtt://h?proxy=::1,10.0.0.1", Listen("mqtt://h", proxy_protocol=("::1", "10.0.0.1"))),
        (
            "unix:///s?mode=660&group=mqtt&anonymous=yes",
            Listen("unix:///s", mode=0o660, group="mqtt", allow_anonymous=True),
        ),
        ("any://h?cert=a%20b.pem", Listen("any://h", tls=ServerTls("a b.pem"))),
    ],
)
def test_the_options_are_the_listeners(url: str, listen: Listen) -> None:
    assert parse_listen(url) == listen


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mqtt://h?", "Nothing follows the question mark"),
        ("mqtt://h?certificate=a", "has no option 'certificate'. The options of mqtt:// are"),
        ("mqtts://h?crt=a", "The options of mqtts:// are anonymous, ca, cert,"),
        ("mqtt://h?cert=a", "The option cert has no meaning for mqtt://"),
        ("mqtt://h?mode=660", "The option mode has no meaning for mqtt://"),
        ("mqtts://h?cert=", "The option cert of mqtts://h has no value"),
        ("mqtts://h?cert=a&cert=b", "given twice"),
        ("mqtts://h?cert=a&client-certificates=maybe", "none of none, optional, required"),
        ("any://h?ca=a", "needs a certificate: cert=FILE"),
        ("mqtt://h?proxy=10.0.0.0/33", "is no network"),
        ("ws://h?forwarded=localhost", "is no network"),
        ("unix:///s?mode=rw", "are no permissions"),
        ("unix:///s?mode=1777", "are no permissions"),
        ("mqtt://h?anonymous=maybe", "none of yes, no"),
        ("http://h?cert=a", "does not start with"),
    ],
)
def test_what_is_no_option_is_explained(url: str, sentence: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        parse_listen(url)
    assert sentence in str(caught.value)


def test_defaults_are_for_listeners_that_can_have_them() -> None:
    defaults = {"cert": "d.pem", "key": "d.key", "origin": ["https://a.example"], "mode": "600"}
    assert parse_listen("mqtt://h", defaults) == Listen("mqtt://h")
    assert parse_listen("wss://h?key=own.key", defaults) == Listen(
        "wss://h", tls=ServerTls("d.pem", "own.key"), origins=["https://a.example"]
    )
    assert parse_listen("unix:///s", defaults) == Listen("unix:///s", mode=0o600)


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ConfigurationError, {"mode": -1}),
        (ConfigurationError, {"mode": 0o1777}),
        (TypeError, {"mode": "660"}),
        (TypeError, {"tls": "server.pem"}),
        (TypeError, {"origins": "https://a.example"}),
        (ConfigurationError, {"origins": ["a.example"]}),
        (TypeError, {"trusted_proxies": "10.0.0.0/8"}),
        (TypeError, {"proxy_protocol": "unix"}),
        (TypeError, {"allow_anonymous": "no"}),
    ],
)
def test_what_no_listener_can_do_is_refused(
    error: type[Exception], options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=r"\.$"):
        Listen("unix:///run/mqtt.sock", **options)


@pytest.mark.parametrize(
    "options", [{"client_certificates": "sometimes"}, {"username": "serial-number"}]
)
def test_what_no_certificate_can_say_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="not '"):
        ServerTls("server.pem", **options)
