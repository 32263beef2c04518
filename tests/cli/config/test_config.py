"""`tmqtt config`: what is wrong with a file, what holds, and with what one begins."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import Run
from trio_mqtt import configuration
from trio_mqtt.access import set_password

BAD = """\
[limits]
connect_timeout = "soon"
maximum_conections = 5
[storage]
durability = "commit"
"""
GOOD = """\
[[listeners]]
url = "mqtt://127.0.0.1:0"
[limits]
connect_timeout = "1m"
maximum_packet_size = 1048576
[access.scram.users]
alice = "her secret"
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TMQTT_BROKER_CONFIG", raising=False)
    Path("good.toml").write_text(GOOD, encoding="utf-8")
    Path("good.toml").chmod(0o600)  # it has a secret
    Path("bad.toml").write_text(BAD, encoding="utf-8")


def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
    runner = CliRunner(env=variables)
    result = runner.invoke(app, ["config", *arguments], prog_name="tmqtt")
    return result.exit_code, result.stdout, result.stderr


def test_check_tells_all_that_is_wrong_and_its_exit_code_says_so() -> None:
    code, out, err = run("check", "bad.toml")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        (
            "Error: bad.toml, line 2: limits.connect_timeout is a number of seconds,"
            ' or a duration such as "30s", not "soon".'
        ),
        (
            "Error: bad.toml, line 3: There is no setting limits.maximum_conections."
            " Did you mean limits.maximum_connections?"
        ),
        (
            'Error: bad.toml, line 5: storage.durability is "commit", which needs a folder to keep'
            " things in: storage.path, or --data DIR."
        ),
    ]


def test_check_is_content_with_what_is_right() -> None:
    assert run("check", "good.toml") == (0, "Nothing is wrong with good.toml.\n", "")
    assert run("check", TMQTT_BROKER_CONFIG="good.toml")[0] == 0
    assert run("check") == (0, "Nothing is wrong with the configuration.\n", "")
    Path("good.toml").chmod(0o644)
    warning = "Everybody on this machine can read the secrets in good.toml: `chmod o= good.toml`."
    assert run("check", "good.toml")[::2] == (0, f"Warning: {warning}\n")


def test_check_warns_of_what_is_wrong_with_the_files_that_are_named() -> None:
    Path("users").write_text("", encoding="utf-8")
    Path("users").chmod(0o644)
    Path("broker.toml").write_text("access.passwords = 'users'\n", encoding="utf-8")
    code, _, err = run("check", "broker.toml")
    assert code == 0
    assert err.splitlines() == [
        "Warning: The password file users has no users: nobody can connect with a password.",
        (
            "Warning: Everybody on this machine can read the password file users, and guess at the"
            " passwords: `chmod o= users`."
        ),
    ]


def test_check_warns_of_users_of_the_page_who_cannot_log_in() -> None:
    set_password(Path("users"), "ada", b"secret", create=True)
    roles = "[web]\nlisten = '127.0.0.1:0'\nroles = { ada = 'see', eve = 'operate' }\n"
    for access, names in (("", "'ada', 'eve'"), ("[access]\npasswords = 'users'\n", "'eve'")):
        Path("broker.toml").write_text(access + roles, encoding="utf-8")
        code, _, err = run("check", "broker.toml")
        assert code == 0
        assert err.startswith(f"Warning: web.roles names {names}, with no password at this broker")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("access.passwords = 'none'", "line 1: There is no password file none"),
        ("access.rules = 'none'", "line 1: There is no access file none"),
        ("access.tokens.keys = 'none'", "line 1: access.tokens.keys: There is no key file none"),
        ("listeners = [{ url = 'mqtt://0.0.0.0' }]", "line 1: Anybody who can reach mqtt://0.0"),
        ("listeners = [{ url = 'mqtts://localhost' }]", "line 1: mqtts://localhost:8883 needs a"),
        (
            "[[listeners]]\nurl = 'mqtt://localhost'\naccess.passwords = 'none'",
            "line 3: There is no password file none",
        ),
        ("[storage]\npath = 'good.toml'", "line 2: storage.path: good.toml is not a folder."),
        (
            "[logging]\nfile = 'none/log'",
            "line 2: The log cannot be written to none/log: there is no folder none.",
        ),
        (
            "[logging]\ndestination = 'syslog'\nsyslog_address = '/none'",
            "line 2: The log cannot be written to syslog at /none: No such file or directory.",
        ),
        ("[plugins]\nhooks = 'no_such:x'", "line 2: plugins.hooks: no_such:x cannot be loaded: M"),
        ("[plugins]\nhooks = 'json:nothing'", "cannot be loaded: AttributeError: module 'json' "),
        ("[plugins]\nhooks = 'json:loads'", "json:loads failed: TypeError: loads() missing"),
        ("[plugins]\nhooks = 'json'", 'json is none: it is written "package.module:name".'),
    ],
)
def test_check_reads_the_files_and_makes_the_plugins(text: str, sentence: str) -> None:
    Path("broker.toml").write_text(text, encoding="utf-8")
    code, out, err = run("check", "broker.toml")
    assert (code, out) == (1, "")
    assert err.startswith("Error: broker.toml, line ")
    assert sentence in err
    assert err.count("\n") == 1
    assert err.endswith(".\n")


def test_check_makes_no_file() -> None:
    text = "[logging]\nfile = 'log'\n[storage]\npath = 'data'\n[metrics]\nlisten = '127.0.0.1:0'\n"
    Path("broker.toml").write_text(text, encoding="utf-8")
    before = sorted(Path().iterdir())
    assert run("check", "broker.toml")[0] == 0
    assert sorted(Path().iterdir()) == before


def test_check_names_the_package_that_metrics_want(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio_mqtt.monitoring.metrics", raising=False)
    monkeypatch.delattr("trio_mqtt.monitoring.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    code, _, err = run("check", "--set", "metrics.listen=127.0.0.1:0")
    assert code == 1
    assert err.startswith("Error: --set metrics.listen: Metrics need the package prometheus-client")


def test_show_is_toml_in_a_pipe_with_the_source_of_each_value() -> None:
    code, out, err = run(
        "show", "good.toml", "--set", "limits.receive_maximum=7", TMQTT_OPTIONS__MAXIMUM_QOS="1"
    )
    assert (code, err) == (0, "")
    assert 'url = "mqtt://127.0.0.1:0"  # good.toml, line 2\n' in out
    assert 'connect_timeout = "1m"  # good.toml, line 4\n' in out
    assert 'maximum_packet_size = "1 MiB"  # good.toml, line 5\n' in out
    assert "receive_maximum = 7  # --set limits.receive_maximum\n" in out
    assert "maximum_qos = 1  # TMQTT_OPTIONS__MAXIMUM_QOS\n" in out
    assert 'hook_timeout = "5s"  # default\n' in out
    assert "# response_topic_prefix is not set\n" in out
    assert "her secret" not in out
    read = tomllib.loads(out)
    assert read["listeners"][0]["url"] == "mqtt://127.0.0.1:0"
    assert read["limits"]["receive_maximum"] == 7


def test_show_has_the_listener_that_there_is_without_any() -> None:
    code, out, _ = run("show")
    assert code == 0
    assert '[[listeners]]\nurl = "mqtt://127.0.0.1:1883"  # default\n' in out


def test_show_can_leave_out_the_defaults() -> None:
    code, out, _ = run("show", "good.toml", "--given")
    assert code == 0
    assert out == (
        "[[listeners]]\n"
        'url = "mqtt://127.0.0.1:0"  # good.toml, line 2\n'
        "\n[access.scram]\n"
        'users = "(hidden)"  # good.toml, line 6\n'
        "\n[limits]\n"
        'connect_timeout = "1m"  # good.toml, line 4\n'
        'maximum_packet_size = "1 MiB"  # good.toml, line 5\n'
    )


def test_show_is_a_table_in_a_terminal(in_terminal: Run) -> None:
    code, out, _ = in_terminal("config", "show", "good.toml", "--given")
    assert code == 0
    words = [re.split(r"  +", line.strip()) for line in out.splitlines()]
    assert words[0] == ["Setting", "Value", "From"]
    after = words.index(["[limits]"])
    assert words[after + 1] == ["connect_timeout", '"1m"', "good.toml, line 4"]
    after = words.index(["[access.scram]"])
    assert words[after + 1] == ["users", '"(hidden)"', "good.toml, line 6"]
    assert "her secret" not in out


def test_the_table_breaks_no_name_of_a_setting_in_80_columns(
    in_terminal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = in_terminal("config", "show", "good.toml")
    shown = {line.split()[0] for line in out.splitlines() if line.strip()}
    held = configuration.effective(configuration.load("good.toml"))
    assert {one.key for one in held} <= shown


def test_show_tells_what_is_wrong() -> None:
    code, out, err = run("show", "bad.toml")
    assert (code, out, err.count("\nError: bad.toml, line")) == (1, "", 2)
    code, out, err = run("show", "--set", "nonsense")
    assert (code, out) == (2, "")
    assert err.startswith("Error: --set nonsense: write --set NAME=VALUE, for example")


def test_a_new_file_begins_by_the_example_which_is_right() -> None:
    code, out, _ = run("example")
    assert code == 0
    Path("new.toml").write_text(out, encoding="utf-8")
    assert run("check", "new.toml") == (0, "Nothing is wrong with new.toml.\n", "")
    assert run("show", "new.toml", "--given")[:2] == (0, "")


def test_the_schema_is_json() -> None:
    code, out, _ = run("schema")
    assert code == 0
    assert json.loads(out)["properties"]["limits"]["description"]
