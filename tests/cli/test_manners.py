"""What holds for all commands: help, completion, suggestions, and how little is loaded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tmqtt.app import NAMES, app
from typer.testing import CliRunner

from tests.cli.programs import Program


def run(*command: str, **variables: str) -> str:
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "TERM": "dumb", **variables},
    )
    return ran.stdout


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a command loads, and what is in them."""
    script = (
        "import sys\nfrom tmqtt.app import app\n"
        "try: app(sys.argv[1:], prog_name='tmqtt')\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    return set(run(sys.executable, "-c", script, *arguments).splitlines()[-1].split())


@pytest.mark.slow
def test_the_help_loads_neither_client_nor_broker() -> None:
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by("--help")
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by("pub", "--help")
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by(
        "bench", "pair", "--help"
    )
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by(
        "acl", "check", "--help"
    )
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by("service", "show")
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by("broker", "--help")
    assert not {"trio", "anyio", "rich", "pydantic", "asyncio"} & loaded_by(
        "config", "check", "--help"
    )


# What each command loads of others' packages, and the rooms that it enters; a start takes what its
# imports take. Typer brought Click once.
_TYPER = {"annotated_doc", "click", "shellingham", "typer", "typing_extensions"}
_TRIO = {"attr", "attrs", "idna", "outcome", "sniffio", "sortedcontainers", "trio"}
_ROOMS_OF_PUB = {
    *{"tmqtt", "tmqtt.connecting", "tmqtt.pub", "tmqtt.terminal"},
    *{"trio_mqtt", "trio_mqtt.client", "trio_mqtt.client.connection", "trio_mqtt.protocol"},
    "trio_mqtt.sync",  # where publish_once is
    *{"trio_mqtt.transport", "trio_mqtt.transport.connectors"},
}
_ROOMS_OF_BROKER = {
    *{"tmqtt", "tmqtt.broker", "tmqtt.connecting", "tmqtt.terminal", "trio_mqtt"},
    *{"trio_mqtt.broker", "trio_mqtt.broker.access", "trio_mqtt.broker.access.files"},
    *{"trio_mqtt.broker.connections", "trio_mqtt.broker.events", "trio_mqtt.broker.routing"},
    *{"trio_mqtt.broker.sessions", "trio_mqtt.cluster", "trio_mqtt.cluster.engine"},
    *{"trio_mqtt.configuration", "trio_mqtt.monitoring", "trio_mqtt.protocol"},
    *{"trio_mqtt.storage", "trio_mqtt.transport", "trio_mqtt.transport.listeners"},
}
# What a configuration may have is known before it is known that there is none.
_SAYS_WHAT_CAN_BE_SET = ("options", "settings")
# Of the standard library, what takes milliseconds.
_SLOW = {
    "asyncio",
    "concurrent.futures",
    "email",
    "http",
    "json",
    "logging",
    "multiprocessing",
    "ssl",
    "xml",
}


def beyond_python(loaded: set[str]) -> tuple[set[str], set[str]]:
    """Others' packages among modules, and the rooms of ours; what can be set is no room."""
    bare = set(run(sys.executable, "-c", "import sys; print(*sys.modules)").split())
    packages = {name.partition(".")[0] for name in loaded - bare} - sys.stdlib_module_names
    ours = {"trio_mqtt", "tmqtt", "trio_mqtt__mypyc"}  # the last has what is compiled
    rooms = {
        name.rpartition(".")[0]
        for name in loaded
        if "." in name
        and name.partition(".")[0] in ours
        and not name.endswith(_SAYS_WHAT_CAN_BE_SET)
    }
    return packages - ours, rooms


@pytest.mark.slow
def test_the_first_help_loads_what_names_the_commands() -> None:
    loaded = loaded_by("--help")
    packages, rooms = beyond_python(loaded)
    assert packages <= _TYPER
    assert rooms <= {"tmqtt", "tmqtt.terminal"}
    assert not _SLOW & loaded


@pytest.mark.slow
def test_one_message_loads_no_event_loop_and_no_client(in_pipe: tuple[Program, str]) -> None:
    _, url = in_pipe
    loaded = loaded_by("pub", "a", "b", "-q", "1", "-b", url)
    packages, rooms = beyond_python(loaded)
    assert packages <= _TYPER
    assert rooms <= _ROOMS_OF_PUB
    assert not _SLOW & loaded


@pytest.mark.slow
def test_one_message_by_a_client_loads_neither_trio_nor_rich_nor_validators(
    in_pipe: tuple[Program, str],
) -> None:
    _, url = in_pipe
    loaded = loaded_by("pub", "-t", "a", "-t", "b", "-m", "c", "-q", "1", "-b", url)
    assert "anyio" in loaded
    assert not {"trio", "rich", "pydantic"} & loaded


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--log-level", "info"]])
def test_a_broker_that_is_told_nothing_loads_no_validators(options: list[str]) -> None:
    # It ends at once, as it may not listen there unasked, when all that it needs is loaded.
    loaded = loaded_by("broker", "mqtt://0.0.0.0:0", *options)
    assert "trio" in loaded
    packages, rooms = beyond_python(loaded)
    assert packages <= _TYPER | _TRIO
    assert rooms <= _ROOMS_OF_BROKER
    # Nor what is for a store, for a log of its own, or for what packages say of themselves.
    assert not {"asyncio", "sqlite3", "logging.handlers", "importlib.metadata"} & loaded


@pytest.mark.parametrize("command", ["pub", "sub", "request", "check"])
def test_help_has_groups_and_every_option_of_the_connection(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], prog_name="tmqtt")
    assert result.exit_code == 0
    for group in ("Options:", "Connection:", "Authentication:", "Session and limits:", "TLS:"):
        assert f"\n{group}\n" in result.stdout
    assert "Exit codes:" in result.stdout
    assert "--install-completion" not in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        *[*NAMES, "bench pair", "acl check", "acl show"],
        *["store info", "store verify", "store export", "store import"],
        *["service install", "service uninstall", "service show"],
        *["config check", "config show", "config schema", "config example"],
    ],
)
def test_help_has_examples_and_exit_codes_and_nothing_cut_off(command: str) -> None:
    words = command.split()
    result = CliRunner().invoke(app, [*words, "--help"], prog_name="tmqtt")
    assert result.exit_code == 0
    assert re.search(rf"^Examples:\n  tmqtt ({words[0]}|sub) ?", result.stdout, re.MULTILINE)
    assert "xit codes" in result.stdout
    assert not re.search(r"\w\.\.\.$|<str>|list\[str\]", result.stdout, re.MULTILINE)
    assert "[[" not in result.output.partition("\n\n")[0]


def test_the_first_help_shows_how_to_begin() -> None:
    result = CliRunner().invoke(app, ["--help"], prog_name="tmqtt")
    for line in ("tmqtt broker", "tmqtt sub test", "tmqtt pub test --every 3s"):
        assert f"\n  {line}\n" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["pub", "--help"], ["--version"]])
def test_help_that_cannot_be_printed_is_an_error_in_a_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "tmqtt", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert ran.returncode == 1
    expected = b"Error: The output could not be written: No space left on device.\n"
    assert ran.stderr == expected


def test_a_wrong_user_property_is_told_with_its_option() -> None:
    result = CliRunner().invoke(app, ["pub", "a", "b", "--user-property", "x"], prog_name="tmqtt")
    assert result.exit_code == 2
    assert "Invalid value for '--user-property': 'x' is not NAME=VALUE." in result.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("pubb", "pub"), ("chekc", "check"), ("publish", "pub"), ("brok", "broker")],
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(typed: str, meant: str) -> None:
    result = CliRunner().invoke(app, [typed], prog_name="tmqtt")
    assert result.exit_code == 2
    assert f"No such command '{typed}'. Did you mean " in result.stderr
    assert f"'{meant}'" in result.stderr


@pytest.fixture
def path_with_tmqtt(tmp_path: Path) -> str:
    """A PATH on which `tmqtt` is the one that is tested, as it is for who has installed it."""
    command = tmp_path / "tmqtt"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tmqtt "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return f"{tmp_path}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def completed(words: str, path: str) -> list[str]:
    """What bash gets to complete the last of the words with, from the script that is installed."""
    # The shell is found among the ancestors: bash has to be one, wherever the tests were started.
    script = run("bash", "--norc", "-c", "tmqtt --show-completion; exit $?", PATH=path)
    function = script.split("(")[0].split()[-1]
    count = len(words.split(" ")) - 1
    shell = (
        f"{script}\nCOMP_WORDS=({words}); COMP_CWORD={count}; {function} tmqtt;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run("bash", "--norc", "-c", shell, PATH=path).split()


@pytest.mark.slow
def test_the_shell_completes_commands_and_options(path_with_tmqtt: str) -> None:
    assert set(completed("tmqtt ", path_with_tmqtt)) == set(NAMES)
    assert completed("tmqtt che", path_with_tmqtt) == ["check"]
    assert "--retain" in completed("tmqtt pub --re", path_with_tmqtt)
    assert "--will-topic" in completed("tmqtt sub --will-t", path_with_tmqtt)
