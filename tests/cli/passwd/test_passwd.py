"""`tmqtt passwd` as its users run it: asked in a terminal, fed by a pipe, wrong in every way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import Program
from trio_mqtt.access import PasswordFile, set_password

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


def run(*arguments: str | Path, stdin: str | bytes = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(
        app, ["passwd", *map(str, arguments)], input=stdin, prog_name="tmqtt"
    )
    return result.exit_code, result.stdout, result.stderr


def test_a_person_is_asked_twice_and_nothing_is_shown(path: Path) -> None:
    with Program("passwd", str(path), "alice", "--create", terminal=True) as program:
        program.out.expect("Password of alice: ")
        program.type("s3cret\n")
        program.out.expect("The same again: ")
        program.type("s3cret\n")
        assert program.ended() == 0
        assert "s3cret" not in program.out.text
        assert f"Added the user 'alice' in {path}." in program.out.text
    assert PasswordFile.load(path).verify("alice", b"s3cret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_passwords_that_differ_change_nothing(path: Path) -> None:
    path.touch()
    with Program("passwd", str(path), "alice", terminal=True) as program:
        program.out.expect("Password of alice: ")
        program.type("one\n")
        program.out.expect("again: ")
        program.type("another\n")
        assert program.ended() == 2
        assert "The two passwords differ: nothing was changed." in program.out.text
    assert path.read_text() == ""


def test_a_script_gives_the_password_by_stdin_or_a_file(path: Path) -> None:
    assert run(path, "alice", "--create", stdin="first\r\n") == (
        0,
        f"Added the user 'alice' in {path}.\n",
        "",
    )
    assert PasswordFile.load(path).verify("alice", b"first")
    secret = path.with_name("secret")
    secret.write_bytes(b"\xff second ")
    code, out, _ = run(path, "alice", "--password-file", secret, "--kind", "pbkdf2")
    assert (code, out) == (0, f"Changed the password of 'alice' in {path}.\n")
    assert PasswordFile.load(path).verify("alice", b"\xff second ")
    assert run(path, "alice", "--check", stdin=b"\xff second \n")[0] == 0
    assert run(path, "alice", "--check", stdin="first\n") == (
        1,
        "",
        "That is not the password of 'alice'.\n",
    )
    assert run(path, "bob", "--check", stdin="first\n")[::2] == (
        1,
        f"There is no user 'bob' in {path}.\n",
    )


def test_users_are_listed_and_removed(path: Path) -> None:
    set_password(path, "alice", b"x", create=True)
    set_password(path, "b\x1b[2Jb", b"x", kind="pbkdf2")
    code, out, problem = run(path, "--list")
    assert (code, problem) == (0, "")
    assert out.splitlines() == [
        "alice  (argon2id, 19,456 KiB of memory, 2 passes)",
        r"b\x1b[2Jb  (PBKDF2-SHA512, 210,000 iterations)",
    ]
    assert run(path, "alice", "--delete") == (0, f"Removed the user 'alice' from {path}.\n", "")
    code, out, problem = run(path, "alice", "-D")
    assert (code, out) == (2, "")
    assert problem.startswith(f"Error: There is no user 'alice' in {path}: `tmqtt passwd")
    run(path, "b\x1b[2Jb", "-D")
    assert "Warning: The password file" in run(path, "--list")[2]


@pytest.mark.parametrize(
    ("arguments", "stdin", "sentence"),
    [
        (("FILE", "alice"), "x", "There is no password file FILE: add --create to make it."),
        (("FILE", "alice", "--delete"), "", "There is no password file FILE: --create makes it."),
        (("FILE", "--list"), "", "There is no password file FILE: `tmqtt passwd FILE USER --c"),
        (("FILE", "a:b", "--create"), "x", "The user name 'a:b' holds a colon"),
        (("FILE", "alice", "--create"), "", "There is no password: stdin has an empty line"),
        (("FILE", "alice", "--create"), "a\nb\n", "one line, and stdin has 2."),
        (("FILE/x/y", "alice", "--create"), "x", "The folder FILE/x cannot be opened"),
        (("FILE", "a", "-c", "--password-file", "FILE"), "", "There is no password file FILE"),
        (("FILE",), "", "whose password?"),
        (("FILE", "alice", "--list"), "", "exclude each other"),
        (("FILE", "alice", "--check", "--delete"), "", "exclude each other"),
        (("FILE", "alice", "--kind", "md5"), "", "there is no kind 'md5'"),
        (("FILE", "alice", "--password", "x"), "", "No such option: --password"),
    ],
)
def test_what_is_wrong_ends_in_a_sentence(
    path: Path, arguments: tuple[str, ...], stdin: str, sentence: str
) -> None:
    here = (argument.replace("FILE", str(path)) for argument in arguments)
    code, out, problem = run(*here, stdin=stdin)
    assert (code, out) == (2, "")
    assert sentence.replace("FILE", str(path), 1) in problem
    assert not path.exists()


def test_what_is_no_password_file_is_left_alone(path: Path) -> None:
    path.write_text("[a]\n")
    code, _, problem = run(path, "alice", stdin="x\n")
    assert code == 2
    assert f"Line 1 of the password file {path} is not NAME:HASH" in problem
    assert path.read_text() == "[a]\n"
