"""What is said of a configuration that is wrong: all at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configuration.texts import sentences
from trio_mqtt.configuration import InvalidConfiguration, Override, load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "broker.toml"


@pytest.mark.parametrize(
    "text",
    [
        "access.scram = 'hunter2'",
        "access.scram.users = 'hunter2'",
        "access.scram.users = { alice = ['hunter2'] }",
        "access.scram = { users = {}, secret = ['hunter2'] }",
        "access.scram = { users = {}, sekret = 'hunter2' }",
        "access.scram = { users = { alice = 'SCRAM-SHA-256$hunter2' }, secret = 1 }",
        "plugins.hooks = { factory = 'x:y', settings = 'hunter2' }",
        "cluster = 'redis://:hunter2@engine'",
        "cluster.url = ['redis://:hunter2@engine']",
        "cluster = { url = 'redis://engine', password = ['hunter2'] }",
        "cluster = { url = 'redis://:hunter2@engine', node = 'no name' }",
    ],
)
def test_what_is_wrong_with_a_secret_does_not_tell_it(file: Path, text: str) -> None:
    (sentence,) = sentences(file, text)
    assert "hunter2" not in sentence


def test_all_that_is_wrong_is_said_at_once_with_its_line(file: Path) -> None:
    text = """\
        colour = "red"
        [[listeners]]
        url = "mqtt://127.0.0.1:0"
        mode = 9999
        [[listeners]]
        tls.certificate = "c.pem"
        tls.client_certificates = "maybe"
        [[listeners]]
        url = "http://localhost"
        [limits]
        connect_timeout = "soon"
        maximum_conections = 5
        receive_maximum = 70_000
        maximum_qos = 1
        maximum_packet_size = true
        [options]
        server_moved = true
        retain_available = 1
        [access]
        rules = ""
        tokens = 3
        """
    assert sentences(file, text) == [
        (
            "broker.toml, line 1: There is no setting colour."
            " Sections are listeners, access, limits, options, storage, cluster, history, logging,"
            " metrics, web, plugins."
        ),
        (
            "broker.toml, line 4: listeners.0.mode:"
            " The permissions of a socket are from 0 to 0o777, not 0o23417."
        ),
        (
            "broker.toml, line 5: listeners.1.url is missing."
            " Where to listen, and what is spoken there."
        ),
        (
            "broker.toml, line 7: listeners.1.tls.client_certificates is"
            ' "none", "optional" or "required", not "maybe".'
        ),
        (
            "broker.toml, line 9: listeners.2.url: 'http://localhost' does not start with mqtt://,"
            " mqtts://, ws://, wss://, any://, unix://. An address reads mqtt://HOST or"
            " mqtt://HOST:PORT, for example mqtt://localhost:1883."
        ),
        (
            "broker.toml, line 11: limits.connect_timeout is a number of seconds,"
            ' or a duration such as "30s", not "soon".'
        ),
        (
            "broker.toml, line 12: There is no setting limits.maximum_conections."
            " Did you mean limits.maximum_connections?"
        ),
        "broker.toml, line 13: limits.receive_maximum is from 1 to 65,535, not 70,000.",
        "broker.toml, line 14: There is no setting limits.maximum_qos, but options.maximum_qos.",
        (
            "broker.toml, line 15: limits.maximum_packet_size is a whole number of bytes,"
            ' or a size such as "16 MiB", not true.'
        ),
        (
            "broker.toml, line 17: options.server_moved:"
            " A server that has moved needs a server_reference: where to."
        ),
        "broker.toml, line 18: options.retain_available is true or false, not 1.",
        "broker.toml, line 20: access.rules is the path of a file or folder, not empty.",
        "broker.toml, line 21: access.tokens is a table, not 3.",
    ]


def test_what_is_wrong_from_outside_names_the_variable_or_the_option(file: Path) -> None:
    assert sentences(
        file,
        "[limits]\nwrite_buffer = 1\n",
        Override("limits..x", "1", "--set limits..x"),
        Override("listeners.3.url", "x", "--set listeners.3.url"),
        Override("storage.durability", "commit", "--durability"),
        environment={"TMQTT_LIMITS__WRITE_BUFFER": "lots", "TMQTT_LIMTS__A": "1"},
    ) == [
        (
            "TMQTT_LIMITS__WRITE_BUFFER: limits.write_buffer is a whole number of bytes,"
            ' or a size such as "16 MiB", not "lots".'
        ),
        "TMQTT_LIMTS__A: There is no setting limts. Did you mean limits?",
        (
            '--durability: storage.durability is "commit", which needs a folder to keep things in:'
            " storage.path, or --data DIR."
        ),
        "--set limits..x: 'limits..x' names no setting, as limits.write_buffer does.",
        (
            "--set listeners.3.url: There is no listeners.3.url:"
            " there are 0, so that the next one is number 0."
        ),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[limits\n", 1, "expected ']' at the end of a table declaration"),
        ("a = 1\nb = \n", 2, "invalid value"),
        ("a = 1\n\na = 2\n", 3, "cannot overwrite a value"),
        ("[a]\n[a]\n", 2, "cannot declare [a] twice"),
        ('[a]\n"b c"={c=1}\n[a."b c"]\n', 3, 'cannot declare [a."b c"] twice'),
        ("a={b=1}\na.b.c=2\n", 2, "cannot mutate immutable namespace [a.b]"),
        ("a = '", 1, 'expected "\'"'),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(file: Path, text: str, line: int, what: str) -> None:
    (sentence,) = sentences(file, text)
    assert sentence == f"broker.toml, line {line}: This is no TOML: {what}."


@pytest.mark.parametrize("line", ["connect_timeout = 5s", "level = info", "path = /var/lib/x"])
def test_a_text_without_quotes_is_said_to_need_them(file: Path, line: str) -> None:
    (sentence,) = sentences(file, f"[a]\n{line}\n")
    assert sentence.startswith("broker.toml, line 2: This is no TOML: ")
    assert sentence.endswith('. Texts stand in quotes, as "5s" does.')


@pytest.mark.parametrize("line", ["listener 1883", "listener 1883 0.0.0.0", "user mosquitto"])
def test_who_comes_with_mosquittos_file_is_told_how_to_turn_it_into_ours(
    file: Path, line: str
) -> None:
    (sentence,) = sentences(file, f"# Place your local configuration here\n{line}\n")
    assert sentence == (
        "broker.toml, line 2: This is no TOML: expected '=' after a key in a key/value pair."
        " To turn Mosquitto's configuration into this one: `tmqtt config import FILE`."
    )


def test_a_setting_outside_of_its_section_is_told_where_it_stands(file: Path) -> None:
    assert sentences(file, "maximum_qos = 1\nurl = 'mqtt://localhost'\n") == [
        (
            "broker.toml, line 1: There is no setting maximum_qos, but options.maximum_qos:"
            " in a file it stands below [options]."
        ),
        (
            "broker.toml, line 2: There is no setting url, but listeners.0.url:"
            " in a file it stands below [[listeners]]."
        ),
    ]


def test_an_address_is_for_one_listener(file: Path) -> None:
    urls = [
        "mqtt://localhost:1883",
        "ws://localhost:1883/mqtt",
        "mqtt://127.0.0.1:0",
        "mqtt://127.0.0.1:0",
        "unix:///run/a",
        "unix:///run/b",
        "unix:///run/a",
    ]
    text = "".join(f"[[listeners]]\nurl = '{url}'\n" for url in urls)
    assert sentences(file, text) == [
        (
            "broker.toml, line 4: listeners.1.url: listeners.0 listens there already;"
            " any:// serves MQTT, TLS and WebSocket at one port."
        ),
        "broker.toml, line 14: listeners.6.url: listeners.4 listens there already.",
    ]


def test_an_address_that_is_none_is_told_once(file: Path) -> None:
    text = "[[listeners]]\nurl = 'ws://localhost:99999'\naccess.passwords = 'users'\n"
    (sentence,) = sentences(file, text)
    assert sentence.startswith("broker.toml, line 2: listeners.0.url: 'ws://localhost:99999' is")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"none.toml cannot be read: No such file"):
        load(tmp_path / "none.toml", environment={})
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# one\n# two \xe9\n")
    with pytest.raises(InvalidConfiguration, match=r"^Line 2 of .*latin.toml is not text in UTF-8"):
        load(latin, environment={})


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("[" * 3_000 + "]" * 3_000, "tables or arrays stand within each other too often"),
        ("{a = " * 3_000 + "1" + "}" * 3_000, "tables or arrays stand within each other too often"),
        ("[" * 100 + "]" * 100, "tables or arrays stand within each other too often"),
        ("9" * 5_000, "a number has too many digits"),
    ],
)
def test_what_no_parser_bears_is_told_in_a_sentence(file: Path, value: str, sentence: str) -> None:
    text = f"[limits]\nmaximum_connections = {value}\n"
    assert sentences(file, text) == [f"broker.toml: This is no TOML: {sentence}."]
    assert sentences(file, "", Override("limits.maximum_connections", value))
    assert sentences(file, "", environment={"TMQTT_LIMITS__MAXIMUM_CONNECTIONS": value})


def test_a_name_of_thousands_of_keys_is_told_in_a_sentence(file: Path) -> None:
    name = ".".join(["a"] * 5_000)
    assert len(sentences(file, f"{name} = 1")) == 1
    assert len(sentences(file, "", Override(name, 1))) == 1
    assert len(sentences(file, "", environment={"TMQTT_" + "__".join(["A"] * 5_000): "1"})) == 1
