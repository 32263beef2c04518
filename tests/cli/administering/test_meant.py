"""What cannot be undone is asked for twice, where there is a broker that would do it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.administering.conftest import TOKEN
from tests.cli.programs import Program, Run

pytestmark = pytest.mark.slow


def test_what_cannot_be_undone_is_asked_for_twice(
    running: tuple[str, str], folder: Path, ask: Run
) -> None:
    _, url = running
    for topic in ("meant/1", "meant/2", "meant/3"):
        assert ask("pub", topic, "on", "--retain", "-q", "1", "-b", url).code == 0

    def left() -> list[str]:
        return [line.split()[0] for line in ask("retained", "list", "meant/#").out.splitlines()[1:]]

    # Nobody can be asked: no broker hears of it.
    for arguments in (("retained", "delete", "meant/+"), ("history", "meant/#", "--remove")):
        refused = ask(*arguments)
        assert refused.code == 2
        assert "nobody can be asked here: --yes says that it is meant." in " ".join(
            refused.err.replace("│", " ").split()
        )
    # One topic is no mistake.
    assert ask("retained", "delete", "meant/3").err == "1 retained message deleted.\n"
    delete = ("retained", "delete", "meant/#", "--api", str(folder))
    for answer, code, said, rest in (
        ("n\n", 1, "Nothing was removed", ["meant/1", "meant/2"]),
        ("\n", 1, "Nothing was removed", ["meant/1", "meant/2"]),
        ("\x04", 1, "Nothing was removed", ["meant/1", "meant/2"]),  # Ctrl-D
        ("perhaps\nno\n", 1, r"Write y or n\.(?s:.)*Nothing was removed", ["meant/1", "meant/2"]),
        ("y\n", 0, "2 retained messages deleted", []),
    ):
        with Program(*delete, terminal=True) as program:
            program.out.expect(r"Delete all retained messages that match 'meant/#'\? \[y/N\]")
            program.type(answer)
            program.out.expect(said)
            assert program.ended() == code
        assert left() == rest


def test_nobody_can_be_asked_where_input_is_closed(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    refused = in_process("retained", "delete", "meant/#", "--api", "http://127.0.0.1:1")
    assert refused.code == 2
    assert "nobody can be asked here: --yes says that it is meant." in refused.err


def test_nobody_thinks_about_a_question_for_nothing(
    running: tuple[str, str], tmp_path: Path
) -> None:
    api, _ = running
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN, encoding="utf-8")
    for command in (("retained", "delete", "#"), ("history", "#", "--remove")):
        for asked, told in (
            ((), "Which broker?"),
            (("--api", "http://127.0.0.1:1"), "cannot be asked at http://127.0.0.1:1"),
            (("--api", api), "does not know who asks"),
            (("--api", api, "--api-token-file", str(token_file)), "takes the role operate"),
        ):
            with Program(*command, *asked, terminal=True, columns=300) as program:
                program.out.expect(told)
                assert program.ended() == 1
                assert "[y/N]" not in program.out.text
