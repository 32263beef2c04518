"""`tmqtt history` shows what a broker has kept, by asking it or by reading its file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tmqtt.history.lines import Lines

from tests.cli.programs import Program
from trio_mqtt import sync
from trio_mqtt.history import HistorySettings, KeptMessage, Point
from trio_mqtt.testing import broker_in_thread

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a broker that has kept something, and where."""
    path = tmp_path_factory.mktemp("kept") / "history.sqlite3"
    history = HistorySettings(filters=["a/#"], path=path, interval=0.02)
    with broker_in_thread(history=history) as broker:
        with sync.open_client(broker.url) as client:
            for number in range(2_500):
                client.publish("a/b", f'{{"t": {number}}}')
            client.publish("a/c", b"\xff\t\n", qos=1)
            while True:  # until it is written
                question = '{"filter": "a/c"}'
                if json.loads(client.request("$history", question).payload)["messages"]:
                    break
        yield broker.url, path


def shown(*arguments: str) -> tuple[int, bytes, str]:
    """The exit code, and what is printed."""
    with Program("history", *arguments) as program:
        code = program.ended()
        return code, program.out.data, program.err.text


def test_all_pages_are_shown_in_a_pipe_as_they_came(kept: tuple[str, Path]) -> None:
    url, _ = kept
    code, out, _ = shown("a/#", "-b", url)
    assert code == 0
    lines = out.split(b"\n")
    assert lines[0].split(b"\t")[1:] == [b"a/b", b'{"t": 0}']
    assert out.endswith(b"\ta/c\t\xff\t\n\n")
    assert out.count(b"\ta/b\t") == 2_500


def test_the_last_ones_and_numbers_of_json(kept: tuple[str, Path]) -> None:
    url, _ = kept
    code, out, _ = shown("a/b", "-b", url, "--last", "2100", "--path", "t", "--json")
    assert code == 0
    assert [json.loads(line)["value"] for line in out.splitlines()] == [*range(400, 2_500)]


def test_points_are_those_of_a_stretch_of_time(kept: tuple[str, Path]) -> None:
    url, _ = kept
    code, out, _ = shown("a/#", "max", "--every", "1d", "--path", "t", "-b", url, "--since", "2d")
    assert code == 0
    points = [line.split("\t") for line in out.decode().splitlines()]
    assert sum(int(numbers) for _, _, _, numbers in points) == 2_500  # midnight may have passed
    assert float(points[-1][2]) == 2_499


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a/#/b",), 2, "has '#' elsewhere"),
        (("a", "--since", "soon"), 2, "'soon' is no moment"),
        ((), 2, "Which topics?"),
        (("a", "--removals"), 2, "leave out the rest"),
        (("a", "--remove", "--last", "3"), 2, "--remove takes"),
        (("a", "--data", "x", "--api", "y"), 2, "Give --api, or --data"),
        (("a", "mean"), 2, "goes with --every"),
        (("a", "--every", "1m", "--last", "3"), 2, "not both"),
        (("a", "most", "--every", "1m"), 2, "There is no 'most'"),
        (("a", "--data", "nowhere"), 1, "There is no nowhere/history.sqlite3"),
        (("mqtt://broker.example",), 2, "is the address of a broker"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments: tuple[str, ...], code: int, words: str) -> None:
    told, _, err = shown(*arguments)
    assert (told, words in err) == (code, True), err


def test_a_broker_without_a_history_says_so() -> None:
    with broker_in_thread() as broker:
        code, _, err = shown("a", "-b", broker.url)
    assert code == 135
    assert "keeps no history" in err


def test_a_file_is_read_where_no_broker_runs(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    with broker_in_thread(history=HistorySettings(filters=["a"], path=path)) as broker:
        with sync.open_client(broker.url) as client:
            client.publish("a", "kept", qos=1)
        code, _, err = shown("a", "--data", str(tmp_path))
        assert code == 1
        assert "in use by another broker" in err
    code, out, _ = shown("a", "--data", str(tmp_path))
    assert code == 0
    assert out.endswith(b"\ta\tkept\n")


def test_lines_for_people_have_nothing_that_a_terminal_obeys() -> None:
    lines = Lines(as_json=False, paint=lambda line: "".join(text for text, _ in line))
    line = lines.message(KeptMessage("a\x1b[2J", b"\x1b]0;x\x07", 0.0, 0, True))
    assert line is not None
    assert b"\x1b" not in line
    assert line.endswith(b"(retained)\n")
    assert b"  of 1,000" in lines.point(Point("a", 0.0, 2.5, 1_000))
    assert Lines(as_json=False, path=".t").message(KeptMessage("a", b"{}", 0.0)) is None
