"""Options of Mosquitto's and MQTT.js' commands: taken as they mean them, or refused with ours."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from tmqtt.connecting.foreign import ForeignOptionError, told_in_ours
from typer._click import Command
from typer._click.exceptions import BadOptionUsage, NoSuchOption
from typer.main import get_command

from tests.cli.programs import Program, Run


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMQTT_ID", "TMQTT_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@cache
def command(name: str) -> Command:
    made = get_command(import_module(f"tmqtt.{name}.options").app)
    made.name = name
    return made


def parsed(name: str, *words: str) -> dict[str, Any]:
    """What a command takes its arguments for."""
    with command(name).make_context(name, list(words), resilient_parsing=False) as context:
        found: dict[str, Any] = context.params
        return found


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("pub", "-c -i me", "--session forever -i me"),
        ("sub", "-c -i me -x 60", "--session 60 -i me"),
        ("sub", "-i me -x 60", "--session 60 --clean-start -i me"),
        ("sub", "-x -1 -c -I me", "--session forever -i mePID"),
        ("sub", "-x ∞", "--session forever --clean-start"),
        ("sub", "-x 0", ""),
        ("sub", "-c -x 0 -i me", "--session 0 -i me"),
        ("sub", "--no-clean --clientId me", "--session forever --id me"),
        ("sub", "-c -b tcp://h?clientId=me", "--session forever -b tcp://h?clientId=me"),
        ("pub", "-L mqtts://u:p@h:1/a/b", "-b mqtts://h:1 -t a/b -u u -P p"),
        ("sub", "-L mqtt://u%@h/a/#", "-b mqtt://h -t a/# -u u%"),
        ("sub", "-L mqtt://h/a?b -t c", "-b mqtt://h -t a?b -t c"),
        ("pub", "--unix x%.sock", "-b unix://HERE/x%25.sock"),
        ("pub", "-I pre", "-i prePID"),
        ("pub", "--capath dir --keyform pem", "--cafile dir"),
        ("pub", "--tls-alpn mqtt --tls-use-os-certs --nodelay", "--alpn mqtt --tls"),
        ("pub", "--repeat 3 --repeat-delay 0.5", "--count 3 --every 0.5s"),
        ("pub", "--repeat=3 --repeat-delay=0", "--count 3"),
        ("pub", "--repeat-delay 5", ""),
        ("pub", "--hostname h --client-id me --ca f --stdin", "--host h --id me --cafile f -s"),
        ("pub", "--multiline", "-l"),
        ("pub", "-s -M", "-l"),
        ("pub", "-M 5 -m x", "--max-inflight 5 -m x"),
        ("pub", "-M 0 -q 1", "-q 1"),
        ("sub", "-M 5", "--receive-maximum 5"),
        ("sub", "--max-inflight 5", "--receive-maximum 5"),
        ("pub", "--stdin --multiline -q 1", "-l -q 1"),
        ("sub", "--keepalive 5 --will-message x", "-k 5 --will-payload x"),
        ("sub", "-h h -V 311 -c -i me", "--host h -V 311 --session forever -i me"),
        ("sub", "-A 127.0.0.1 --proxy socks5h://h -d -x 0", "-A 127.0.0.1 --proxy socks5h://h -d"),
        ("sub", "-C 1 -R -T a -N -F %p -E -k 5 -W 5 -x 0", "-C 1 -R -T a -N -F %p -E -k 5 -W 5"),
        # What is a value, or stands behind --, is no option.
        ("pub", "-m -c -c -i -L", "-m -c --session forever -i -L"),
        ("pub", "-t -L --repeat 2 -- -c --ciphers", "-t -L --count 2 -- -c --ciphers"),
        ("sub", "-D connect user-property -c v -x 0", "-D connect user-property -c v"),
        ("sub", "--property connect user-property a b -x 0", "-D connect user-property a b"),
    ],
)  # fmt: skip
def test_what_has_an_equal_here_is_taken_as_that(name: str, theirs: str, ours: str) -> None:
    ours = ours.replace("PID", str(os.getpid())).replace("HERE", os.getcwd())
    rest = ("t",) if name == "pub" or "--" not in theirs.split() else ()
    front = () if "--" in theirs.split() else rest
    assert parsed(name, *front, *theirs.split()) == parsed(name, *front, *ours.split())


REFUSED = [
    ("pub", "--ciphers x", "OPENSSL_CONF"),
    ("pub", "--tls-version tlsv1.2", "OPENSSL_CONF"), ("pub", "--tls-engine x", "--key"),
    ("pub", "--tls-engine-kpass-sha1 x", "--key"),
    ("pub", "--psk 00", "--cert"), ("pub", "--psk-identity x", "--cert"),
    ("pub", "-C ws", "-b mqtts://"), ("sub", "-l ws", "-b mqtts://"),
    ("sub", "--protocol ws", "-b mqtts://"), ("sub", "--ws", "-b mqtts://"),
    ("sub", "-o file", "--profile"),
]  # fmt: skip
WRONG = [
    ("pub", "-L nowhere", "it takes mqtt://"), ("pub", "-L ws://h/t", "it takes mqtt://"),
    ("pub", "--keyform engine", "--key"),
    ("pub", "-c", "-i ID"), ("sub", "-c -x 5", "-i ID"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "theirs", "ours"), REFUSED)
def test_what_has_none_is_refused_with_what_to_do_instead(
    name: str, theirs: str, ours: str
) -> None:
    with pytest.raises(NoSuchOption, match=re.escape(ours)) as refused:
        parsed(name, *theirs.split())
    assert refused.value.format_message().startswith(f"No such option: {theirs.split()[0]}: ")
    assert refused.value.exit_code == 2


def test_one_without_its_value_is_told_as_ours_are() -> None:
    with pytest.raises(BadOptionUsage, match=re.escape("Option '-x' requires an argument.")):
        parsed("sub", "-x")


@pytest.mark.parametrize(("name", "theirs", "ours"), WRONG)
def test_of_what_has_an_equal_nobody_says_that_it_is_none(
    name: str, theirs: str, ours: str
) -> None:
    with pytest.raises(NoSuchOption, match=re.escape(ours)) as refused:
        parsed(name, *theirs.split())
    assert refused.value.format_message().startswith(f"Option {theirs.split()[0]}: ")
    assert refused.value.exit_code == 2


def test_what_nobody_has_is_refused_as_ever() -> None:
    assert told_in_ours("sub", ["--repeat", "2"], "--repeat", ()) is None  # of pub alone
    assert told_in_ours("pub", ["--nonsense"], "--nonsense", ()) is None
    with pytest.raises(ForeignOptionError, match="--profile") as refused:
        told_in_ours("sub", ["-c", "-o"], "-c", ())
    assert refused.value.name == "-o"


def test_the_command_says_so_and_ends_with_2() -> None:
    with Program("pub", "-t", "t", "-m", "x", "--psk", "00") as pub:
        assert pub.ended() == 2
        assert "pre-shared keys are not offered here" in pub.err.text


def test_a_protocol_of_mqtt_js_is_told_apart_from_lines(in_process: Run) -> None:
    for words in (("-t", "t", "-m", "x", "-l", "ws"), ("t", "-m", "x", "-l", "ws")):
        ended = in_process("pub", *words)
        assert ended.code == 2
        assert "-l ws is said by the address: -b ws://HOST" in " ".join(ended.err.split())
