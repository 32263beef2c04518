"""Commands whose output nobody reads to its end, as in `tmqtt config show | head -1`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, sleep

import pytest
import trio

from tests.cli.programs import DEADLINE, Program, Run
from tests.cli.starting import fork
from tests.storage.contract import changes, retained
from trio_mqtt import SqliteStorage, sync
from trio_mqtt.access import set_password
from trio_mqtt.durability import store_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind that commands read."""
    folder = tmp_path_factory.mktemp("files")
    set_password(folder / "users", "ann", b"right", create=True)
    (folder / "right").write_text("right\n")
    (folder / "wrong").write_text("wrong\n")
    (folder / "access").write_text("user ann\ntopic readwrite home/#\n")
    (folder / "mosquitto.conf").write_text("listener 1883\nallow_anonymous true\n")
    (folder / "wrong.toml").write_text("[limits]\nno_limit = 1\n")

    async def fill() -> None:
        storage = SqliteStorage(store_path(folder / "data"))
        await storage.load()
        await storage.append(changes(*(retained(f"t/{number}", b"x") for number in range(1_000))))
        await storage.close()

    trio.run(fill)
    return folder


def run_unread(*arguments: str, folder: Path, errors_too: bool = False) -> tuple[int, bytes]:
    """Run a command whose output nobody reads: its exit code, and what it says on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    with (
        os.fdopen(writing, "wb"),
        Path(os.devnull).open("rb") as nothing,
        TemporaryFile() as errors,
        chdir(folder),
    ):
        streams = nothing.fileno(), writing, writing if errors_too else errors.fileno()
        ran = fork(arguments, os.environ | {"PYTHONWARNINGS": "error"}, streams)
        try:
            code = ran.wait(DEADLINE)
        finally:
            ran.kill()
        errors.seek(0)
        return code, errors.read()


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "pub --help",
        "config --help",
        "config show",
        "config example",
        "config schema",
        "config check",
        "acl show access",
        "acl check access --user ann --topic home/kitchen",
        "passwd users --list",
        "passwd users ann --check --password-file right",
        "store info data",
        "store export data",
        "store verify data",
        "service show",
        "service install --dry-run --root root",
    ],
)
def test_a_command_ends_without_a_word(command: str, folder: Path) -> None:
    assert run_unread(*command.split(), folder=folder) == (0, b"")


@pytest.mark.parametrize(
    "command",
    ["check", "sub t", "sub t --json", "top", "top --json", "request t --timeout 1m"],
)
def test_so_does_one_that_asks_a_broker(
    command: str, folder: Path, in_pipe: tuple[Program, str]
) -> None:
    assert run_unread(*command.split(), "-b", in_pipe[1], folder=folder) == (0, b"")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("config check wrong.toml", 1),
        ("config import mosquitto.conf", 0),
        ("acl check access --user ben --topic home/kitchen", 1),
        ("passwd users ann --check --password-file wrong", 1),
        ("store info nowhere", 1),
        ("pub a b --no-such-option", 2),
        ("pub a b -b mqtt://127.0.0.1:1", 1),
    ],
)
def test_the_exit_code_is_the_same_where_nobody_reads_errors_either(
    command: str, code: int, folder: Path
) -> None:
    assert run_unread(*command.split(), folder=folder, errors_too=True)[0] == code


def test_what_is_to_be_done_is_done_to_its_end(folder: Path, tmp_path: Path) -> None:
    install = ("service", "install", "--root", str(tmp_path))
    assert run_unread(*install, folder=folder, errors_too=True)[0] == 0
    names = {path.name for path in tmp_path.rglob("*")}
    assert {"tmqtt.service", "broker.toml"} <= names


def test_what_prints_nothing_goes_on_without_a_reader(
    folder: Path, tmp_path: Path, in_pipe: tuple[Program, str]
) -> None:
    url = in_pipe[1]
    record = tmp_path / "recorded"
    publish = ("pub", "unread/1", "x", "--every", "10ms", "--count", "3", "-q", "1", "-b", url)
    reading, writing = os.pipe()
    os.close(reading)
    with (
        sync.open_client(url) as client,
        client.subscribe("unread/1") as messages,
        Program(
            "sub", "unread/#", "--record", str(record), "-C", "4", "-b", url, stdout=writing
        ) as recording,
    ):
        os.close(writing)
        client.publish("unread/0", b"kept", retain=True, qos=1)
        deadline = monotonic() + DEADLINE
        while not (record.exists() and record.read_bytes()):  # until it has subscribed
            assert monotonic() < deadline
            sleep(0.02)
        client.publish("unread/0", b"", retain=True, qos=1)
        assert run_unread(*publish, folder=folder) == (0, b"")
        assert [next(messages).payload for _ in range(3)] == [b"x"] * 3
        assert recording.ended() == 0
        topics = [json.loads(line)["topic"] for line in record.read_text().splitlines()]
        assert topics == ["unread/0", "unread/0", "unread/1", "unread/1"]
        replay = ("replay", str(record), "--speed", "max", "-b", url)
        assert run_unread(*replay, folder=folder) == (0, b"")
        assert [next(messages).payload for _ in range(2)] == [b"x"] * 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("pub a -l", 1),
        ("pub a -s", 1),
        ("replay -", 1),
        ("request a -f -", 1),
        ("passwd {folder}/passwords ann --create", 2),
        ("store import {folder}/store", 1),
    ],
)
def test_where_there_is_no_standard_input_a_sentence_says_so(
    in_pipe: tuple[Program, str],
    in_process: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: str,
    code: int,
) -> None:
    """A process may be started without: `<&-`."""
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("TMQTT_BROKER", in_pipe[1])
    ended = in_process(*words.format(folder=tmp_path).split())
    assert ended.code == code, ended.err
    assert "it is closed." in ended.err
    assert "Traceback" not in ended.err
