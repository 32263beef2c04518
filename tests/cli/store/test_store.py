"""`tmqtt store`: what it shows of a broker's folder, and that nothing is lost on the way."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import trio
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import Run
from tests.storage.contract import (
    changes,
    delivery,
    message,
    retained,
    session,
    subscription,
)
from trio_mqtt import SqliteStorage, __version__
from trio_mqtt.durability import IdentifierRow, Row, read_store, store_path

ROWS: list[Row] = [
    message(1),
    message(2, 4e9),
    delivery(4, 1),
    IdentifierRow(4, 1),
    subscription(4, "ä/#"),
    session(4, None, b"\x00\xffwill"),
    retained("a", b"on\n"),
    retained("b/c", b"\xff"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def fill() -> None:
        storage = SqliteStorage(store_path(tmp_path / "data"))
        await storage.load()
        await storage.append(changes(*ROWS))
        await storage.close()

    trio.run(fill)
    return tmp_path / "data"


def run(*arguments: str | Path, text: str | None = None) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["store", *map(str, arguments)], prog_name="tmqtt", input=text)
    return result.exit_code, result.stdout, result.stderr


def test_info_shows_how_much_there_is(folder: Path) -> None:
    code, out, _ = run("info", folder)
    first, *lines = out.splitlines()
    assert code == 0
    assert first.startswith(f"{folder}/broker.sqlite3: ")
    assert first.endswith(f" KB, written by trio-mqtt {__version__}")
    assert lines == [
        "  1 session",
        "  1 subscription",
        "  2 messages that wait or are in flight",
        "  1 delivery to a session",
        "  1 identifier of QoS 2 that its client has to release",
        "  2 retained messages",
    ]


def test_info_is_json_for_programs(folder: Path) -> None:
    code, out, _ = run("info", folder, "--json")
    assert code == 0
    assert json.loads(out)["rows"]["retained"] == 2


def test_verify_says_that_all_is_right_or_what_is_wrong(folder: Path) -> None:
    assert run("verify", folder) == (0, f"{folder}/broker.sqlite3 is all right.\n", "")
    with (folder / "broker.sqlite3").open("r+b") as file:
        file.write(bytes(4096))
    code, out, err = run("verify", folder)
    assert (code, out) == (1, "")
    assert "file is not a database" in err


def test_what_is_exported_can_be_imported(folder: Path, tmp_path: Path) -> None:
    assert run("export", folder, tmp_path / "kept.jsonl") == (0, "", "Exported 8 rows.\n")
    assert stat.S_IMODE((tmp_path / "kept.jsonl").stat().st_mode) == 0o600
    new = tmp_path / "new"
    assert run("import", new, tmp_path / "kept.jsonl") == (
        0,
        "",
        f"Imported 8 rows to {new}/broker.sqlite3.\n",
    )
    assert list(read_store(store_path(new))) == ROWS


@pytest.mark.parametrize("into_a_file", [True, False])
def test_how_far_it_is_is_not_drawn_into_the_lines_that_a_person_reads(
    folder: Path,
    tmp_path: Path,
    in_terminal: Run,
    monkeypatch: pytest.MonkeyPatch,
    into_a_file: bool,
) -> None:
    seconds = count()
    monkeypatch.setattr("tmqtt.store.command.monotonic", lambda: next(seconds))
    to = [str(tmp_path / "kept.jsonl")] if into_a_file else []
    ended = in_terminal("store", "export", str(folder), *to)
    assert ended.code == 0
    assert ("8 rows exported" in ended.out) is into_a_file
    assert ended.out.endswith("Exported 8 rows.\n")


def test_lines_go_through_pipes(folder: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tmqtt", "store")
    exported = subprocess.run([*command, "export", folder], capture_output=True, check=True)
    assert exported.stderr == b"Exported 8 rows.\n"
    head, *lines = exported.stdout.splitlines()
    assert json.loads(head) == {"store": 1, "trio_mqtt": __version__}
    assert json.loads(lines[-1])["retained"] | {"received_at": 0} == {
        "topic": "b/c",
        "payload": {"base64": "/w=="},
        "qos": 1,
        "received_at": 0,
        "properties": "",
        "author": '["client"]',
        "expires_at": None,
    }
    subprocess.run(
        [*command, "import", tmp_path / "new"],
        input=exported.stdout,
        capture_output=True,
        check=True,
    )
    assert list(read_store(store_path(tmp_path / "new"))) == ROWS


def test_a_reader_that_goes_is_no_traceback(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        ran = subprocess.run(
            [sys.executable, "-m", "tmqtt", "store", "export", folder],
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, b"")


HEAD = '{"store": 1, "trio_mqtt": "0.1"}\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "There are no lines."),
        ("{}\n", "Line 1 cannot be read: this is not what `tmqtt store export` writes."),
        ('{"store": 2, "trio_mqtt": "9"}', "trio-mqtt 9 wrote this in a newer form."),
        (HEAD + "x", "Line 2 cannot be read: Expecting value"),
        (HEAD + "[" * 100_000, "Line 2 cannot be read: "),
        (HEAD + '{"lamp": {}}', "it has none of message, delivery, identifier"),
        (
            HEAD + '{"identifier": {"session": 1}}',
            "what it has of identifier is not session, packet_id.",
        ),
        (
            HEAD + '{"identifier": {"session": 1, "packet_id": "x"}}',
            "packet_id cannot be 'x'.",
        ),
        (
            HEAD + '{"identifier": {"session": 1, "packet_id": true}}',
            "packet_id cannot be True.",
        ),
    ],
)
def test_a_line_that_is_wrong_is_named_and_nothing_kept(
    tmp_path: Path, text: str, problem: str
) -> None:
    code, out, err = run("import", tmp_path, text=text)
    assert (code, out) == (1, "")
    assert problem in err
    assert not list(tmp_path.iterdir())


def test_what_holds_something_is_not_filled(folder: Path) -> None:
    code, _, err = run("import", folder, text=HEAD)
    assert code == 1
    assert "holds something already" in err
    assert len(list(read_store(store_path(folder)))) == len(ROWS)
