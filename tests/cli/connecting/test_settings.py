"""A connection is asked for by options, variables and profiles, and the first of these counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tmqtt.app import app
from tmqtt.connecting.opening import public_url
from tmqtt.connecting.profiles import default_file, load_profile
from tmqtt.connecting.settings import (
    ConnectionOptions,
    SettingError,
    WillOptions,
    connection_options,
    servers,
)
from tmqtt.connecting.table import FOREVER, OPTIONS
from typer.testing import CliRunner


def asked(
    *properties: str,
    variables: Mapping[str, str] = {},
    profile: Mapping[str, object] = {},
    **given: Any,
) -> ConnectionOptions:
    options = {name.replace("_", "-"): value for name, value in given.items()}
    words = [line.split() for line in properties]
    return connection_options("test", options, words, variables, profile)


def test_options_come_before_variables_and_these_before_the_profile() -> None:
    variables = {"TMQTT_USERNAME": "variable", "TMQTT_KEEP_ALIVE": "20s"}
    profile = {"username": "profile", "keep-alive": 30, "wait": True}
    options = asked(username="option", variables=variables, profile=profile)
    assert (options.username, options.keep_alive, options.wait) == ("option", 20, True)


def test_without_any_it_is_a_new_client_at_this_machine() -> None:
    first, second = asked(), asked()
    assert first.broker == "mqtt://localhost:1883"
    assert first.client_id.startswith("tmqtt-test-")
    assert first.client_id != second.client_id
    assert first.clean_start


@pytest.mark.parametrize(
    ("given", "profile", "url"),
    [
        ({"host": "h"}, {}, "mqtt://h"),
        ({"host": "::1", "port": "7"}, {}, "mqtt://[::1]:7"),
        ({"host": "h", "port": "8883"}, {}, "mqtts://h:8883"),
        ({"port": "7"}, {}, "mqtt://localhost:7"),
        ({"port": "7"}, {"broker": "mqtts://u:p@h:1"}, "mqtts://u:p@h:7"),
        ({"port": "7"}, {"broker": "ws://[::1]/x"}, "ws://[::1]:7/x"),
        ({"port": "7"}, {"host": "h"}, "mqtt://h:7"),
        ({"host": "h"}, {"broker": "mqtt://other"}, "mqtt://h"),
        ({"broker": "mqtt://b"}, {"host": "h", "port": 3}, "mqtt://b"),
    ],
)
def test_an_address_may_be_a_host_and_a_port(
    given: dict[str, str], profile: dict[str, object], url: str
) -> None:
    assert asked(profile=profile, **dict[str, Any](given)).broker == url


def test_a_url_and_a_host_at_once_are_refused() -> None:
    with pytest.raises(SettingError, match="either a URL or a host"):
        asked(broker="mqtt://a", host="b")


@pytest.mark.parametrize(
    ("text", "seconds"), [("10m", 600), ("45", 45), ("1.2s", 2), ("forever", FOREVER)]
)
def test_a_session_is_resumed_and_kept(text: str, seconds: int) -> None:
    options = asked(session=text)
    assert (options.clean_start, options.session_expiry_interval) == (False, seconds)
    assert asked(session=text, clean_start=True).clean_start


def test_mosquittos_form_of_properties_does_the_same_as_options() -> None:
    options = asked(
        "connect receive-maximum 5",
        "connect session-expiry-interval 10",
        "connect user-property a b",
        "publish content-type text/plain",
        "publish user-property k v",
        "publish user-property k w",
        "will will-delay-interval 3",
        will_topic="gone",
        connect_user_property=["c=d=e"],
        no_problem_information=True,
    )
    assert options.properties == {
        "user_property": [("c", "d=e"), ("a", "b")],
        "request_problem_information": 0,
        "receive_maximum": 5,
    }
    assert options.session_expiry_interval == 10
    assert options.packet_properties == {
        "publish": {"content_type": "text/plain", "user_property": [("k", "v"), ("k", "w")]}
    }
    assert options.will == WillOptions(topic="gone", properties={"will_delay_interval": 3})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("puback reason-string x", "'puback' carries no properties here"),
        ("publish colour red", "publish has no property 'colour'"),
        ("publish topic-alias 1", "the client chooses topic aliases"),
        ("connect receive-maximum 0", "from 1 to 65535"),
        ("connect receive-maximum ten", "not a whole number"),
        ("publish user-property k", "wants a name and a value"),
        ("publish content-type", "wants a value"),
        ("publish", "write -D COMMAND PROPERTY VALUE"),
    ],
)
def test_a_wrong_property_is_a_sentence(words: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        asked(words)


def test_all_of_a_will_can_be_said() -> None:
    assert asked(
        will_topic="t", will_payload="p", will_qos="2", will_retain=True, will_delay="1m",
        will_expiry="1h", will_content_type="c", will_text=True, will_response_topic="r",
        will_correlation_data="d", will_user_property=["a=b"],
    ).will == WillOptions(
        topic="t", payload=b"p", qos=2, retain=True,
        properties={
            "will_delay_interval": 60, "message_expiry_interval": 3600, "content_type": "c",
            "response_topic": "r", "correlation_data": b"d", "user_property": [("a", "b")],
            "payload_format_indicator": 1,
        },
    )  # fmt: skip


def test_a_will_without_a_topic_is_refused() -> None:
    with pytest.raises(SettingError, match="a will needs a topic"):
        asked(will_payload="x")


def test_tls_is_asked_for_by_url_port_or_file() -> None:
    assert asked(host="h", tls=True).broker == "mqtts://h"
    assert asked(host="h", cafile="ca.pem").broker == "mqtts://h"
    assert asked(broker="mqtts://h").tls is None
    assert asked(broker="mqtts+srv://h", cafile="ca.pem").tls == {"ca": "ca.pem"}
    options = asked(broker="wss://h", cafile="ca", insecure=True, alpn=["mqtt"], cert="c", key="k")
    assert options.tls == {
        "ca": "ca", "verify": False, "alpn": ("mqtt",), "certificate": "c", "key": "k",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"broker": "mqtt://u:secret@h", "insecure": True}, "^h does without TLS"),
        ({"broker": "mqtts://h", "key": "k"}, "a key needs the certificate"),
    ],
)
def test_tls_that_cannot_be_is_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        asked(**given)


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"s\xffcret\r\nmore\n")
    assert asked(password_file=str(file)).password == b"s\xffcret"
    assert asked(password_file=str(file), variables={"TMQTT_PASSWORD": "x"}).password != b"x"
    assert asked(password="y", profile={"password-file": str(file)}).password == b"y"
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        asked(password_file=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TMQTT_PORT": "x"}, "not a whole number"),
        ({"TMQTT_WAIT": "perhaps"}, "neither true nor false"),
        ({"TMQTT_KEEP_ALIVE": "2d"}, "too long"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as raised:
        asked(variables=variables)
    assert raised.value.where in variables


def test_a_profile_is_read_from_where_xdg_has_it(tmp_path: Path) -> None:
    file = default_file({"XDG_CONFIG_HOME": str(tmp_path)})
    assert file == tmp_path / "tmqtt" / "config.toml"
    assert default_file({}) == Path("~/.config/tmqtt/config.toml").expanduser()
    file.parent.mkdir()
    file.write_text('[home]\nbroker = "mqtt://h"\nwill-topic = "w"\nwill-user-property = ["a=b"]\n')
    options = asked(profile=load_profile(file, "home"))
    assert options.broker == "mqtt://h"
    assert options.will == WillOptions(topic="w", properties={"user_property": [("a", "b")]})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[other]\n", r"has no profile 'home'\. It has: other\."),
        ('[home]\nbrooker = "x"\n', r"unknown key 'brooker'\. Did you mean 'broker'\?"),
        ('broker = "x"\n', r"'broker' stands in no profile"),
        ("[home\n", "is not TOML"),
    ],
)
def test_a_wrong_file_of_profiles_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        load_profile(file, "home")
    result = CliRunner().invoke(
        app, ["pub", "a", "--profile", "home", "--config", str(file)], env=dict(os.environ)
    )
    assert result.exit_code == 2
    assert "--profile" in result.stderr


def test_every_option_has_one_name_for_all_three() -> None:
    assert len({option.name for option in OPTIONS}) == len({option.key for option in OPTIONS})
    for option in OPTIONS:
        assert option.flag == (not option.metavar)
        assert not (option.flag and option.repeats)


@pytest.mark.parametrize("scheme", ["mqtts", "wss", "ssl", "tls"])
def test_options_of_tls_go_with_each_way_to_write_it(scheme: str) -> None:
    assert asked(broker=f"{scheme}://h", cafile="x").tls == {"ca": "x"}


def test_a_url_may_have_the_client_identifier() -> None:
    assert asked(broker="tcp://h?clientId=me").client_id == ""  # the library finds it there
    assert asked(broker="tcp://h?clientId=me", id="given").client_id == "given"


def test_a_proxy_may_be_named_or_that_of_the_environment() -> None:
    assert asked().proxy is None
    assert asked(proxy="socks5://h").proxy == "socks5://h"
    assert asked(variables={"TMQTT_PROXY": "env"}).proxy == "env"


def test_several_servers_may_be_given() -> None:
    found = asked(broker="mqtt://a,mqtts://u:p,q@b,ws://c/x?y=1,2", cafile="x")
    assert servers(found.broker) == ["mqtt://a", "mqtts://u:p,q@b", "ws://c/x?y=1,2"]
    assert found.tls == {"ca": "x"}
    assert public_url(found.broker) == "mqtt://a or mqtts://b or ws://c/x"
