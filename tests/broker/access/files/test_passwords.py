"""Password files: what is read, what is refused, and that checking tells nobody who is known."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt import ConfigurationError
from trio_mqtt.broker.access.files import hashes, remembered
from trio_mqtt.broker.access.files.hashes import Argon2id, Pbkdf2, make_hash, read_hash
from trio_mqtt.broker.access.files.password_changes import remove_user, set_password
from trio_mqtt.broker.access.files.passwords import PasswordFile

# Made by mosquitto_passwd 2.0.11, which the tests of interoperation run.
MOSQUITTO = """\
# made by mosquitto_passwd
alice:$7$101$jdkjKwX/Eb4okX+P$5yGKCRogHW/mju8N+zJz+MGc9yuj81ksBNWLtM58YrE7E0X2dwy34BrfFOPGD5gk9FKbo07WUJDe6/WsZq5JgQ==

carol:$6$3YcLqTL1aAcjBJ63$ODCs7fgAZ0BMqM12I2INw0AttnpvSm5jylx1MPQXmznNC2oBmBfi7tu1Ox/FB3XMbHgiqraNFC3ruKosIEETtQ==
"""
SALT = "MTIzNDU2Nzg5MDEy"
DIGEST = "A" * 86 + "=="


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "passwords"


def loaded(path: Path, text: str | bytes) -> PasswordFile:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return PasswordFile.load(path)


def error_of(path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(path, text)
    return str(caught.value)


def test_the_files_of_mosquitto_are_read_as_they_are(path: Path) -> None:
    file = loaded(path, MOSQUITTO.replace("\n", "\r\n"))
    assert list(file.users) == ["alice", "carol"]
    assert file.verify("alice", b"secret")
    assert file.verify("carol", b"x")
    assert not file.verify("alice", b"x")
    assert not file.verify("carol", b"secret")
    assert not file.verify("nobody", b"secret")


@pytest.mark.parametrize("kind", ["argon2id", "pbkdf2"])
def test_a_password_that_is_set_is_the_one_that_fits(path: Path, kind: hashes.HashKind) -> None:
    assert set_password(path, "alice", b"first \xff", kind=kind, create=True)
    assert not set_password(path, "alice", b"second", kind=kind)
    file = PasswordFile.load(path)
    assert file.verify("alice", b"second")
    assert not file.verify("alice", b"first \xff")
    assert not file.verify("alice", b"")
    assert not file.verify("alice", None)
    assert not file.verify("Alice", b"second")
    assert file.users["alice"].work[0] == {"argon2id": "argon2id", "pbkdf2": "PBKDF2-SHA512"}[kind]
    assert "second" not in repr(file.users)
    assert file.users["alice"].text not in repr(file.users)


def test_the_same_password_never_has_the_same_hash() -> None:
    assert make_hash(b"x").text != make_hash(b"x").text
    assert make_hash(b"x", "pbkdf2").text != make_hash(b"x", "pbkdf2").text


@settings(deadline=None)
@given(st.binary(), st.sampled_from(["argon2id", "pbkdf2"]))
def test_each_hash_is_read_back(password: bytes, kind: hashes.HashKind) -> None:
    made = make_hash(password, kind)
    read = read_hash(made.text)
    assert read == made
    assert read.fits(password)
    assert not read.fits(b"x" + password)


@given(st.text())
def test_any_other_text_is_no_hash(text: str) -> None:
    for start in ("", "$7$", "$6$", "$argon2id$v=19$m=16,t=1,p=1$"):
        with pytest.raises(ValueError, match=r"holds|damaged|asks|unknown"):
            read_hash(start + text)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("alice:secret", "holds no hash but a password in plain text, or part of one."),
        ("alice:", "holds no hash but a password in plain text"),
        ("alice", "is not NAME:HASH. Remove it, or begin it with # if it is a comment."),
        (":$7$", "has a user name that is empty"),
        ("a\0b:$7$", "has a user name that holds a line break or the null character"),
        ("alice:$7$101$x", "is cut off or damaged"),
        (f"alice:$7$101${SALT}$AAAA", "its hash has 3 bytes, not 64"),
        (f"alice:$7$101${SALT}${DIGEST[:-3]}", "is not Base64"),
        (f"alice:$7$0${SALT}${DIGEST}", "'0' is no number of iterations"),
        (f"alice:$7$-1${SALT}${DIGEST}", "'-1' is no number of iterations"),
        (f"alice:$7$99999999999${SALT}${DIGEST}", "asks for 99,999,999,999 iterations"),
        (f"alice:$6${SALT}", "is cut off or damaged"),
        (f"alice:$6${SALT}${DIGEST}$x", "is cut off or damaged"),
        ("alice:$1$abc$def", "holds a hash of an unknown kind, $1$"),
        ("alice:$argon2i$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "unknown kind, $argon2i$"),
        ("alice:$argon2id$v=19$m=16,t=1$c2FsdHNhbHQ$aGFzaA", "damaged"),
        ("alice:$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "KiB of memory; the most"),
        ("alice:$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "less than argon2 can do with"),
        ("alice:$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaA", "damaged"),
        (b"\xff:$7$", "is not UTF-8: save the file as UTF-8."),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_a_remedy(
    path: Path, line: str | bytes, sentence: str
) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    error = error_of(path, b"# comment\n\n" + data)
    assert error.startswith("Line 3 of the password file ")
    assert str(path) in error
    assert sentence in error
    assert error.endswith(".")


def test_a_password_in_plain_text_is_not_repeated(path: Path) -> None:
    error = error_of(path, "alice:hunter2\n")
    assert "hunter2" not in error
    assert error.endswith("Set the password again: `tmqtt passwd FILE USER`.")


def test_a_user_that_is_named_twice_is_refused(path: Path) -> None:
    line = f"alice:{make_hash(b'x').text}\n"
    assert error_of(path, line + "# \n" + line) == (
        f"Line 3 of the password file {path} names the user 'alice' again, as line 1 does:"
        " remove one of them."
    )


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no password file .*--create` makes"):
        PasswordFile.load(path)
    with pytest.raises(ConfigurationError, match="is a folder, not a password file"):
        PasswordFile.load(path.parent)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        PasswordFile.load("a\0b")


def test_a_file_without_users_lets_nobody_in_and_says_so(path: Path) -> None:
    file = loaded(path, "# nobody\n")
    assert not file.verify("alice", b"")
    assert file.warnings == (
        f"The password file {path} has no users: nobody can connect with a password.",
    )


@pytest.mark.posix
def test_what_weakens_a_file_is_told(path: Path) -> None:
    path.write_text(MOSQUITTO)
    path.chmod(0o646)
    kinds = [Pbkdf2(number, b"salt", b"x" * 64).text for number in (1, 2, 3)]
    with path.open("a") as file:
        file.writelines(f"user{number}:{text}\n" for number, text in enumerate(kinds))
    read, written, many, weak = PasswordFile.load(path).warnings
    assert "can read the password file" in read
    assert f"`chmod o= {path}`" in read
    assert "can write to the password file" in written
    assert "of 5 kinds" in many
    assert "1 of the passwords" in weak
    assert loaded(path, f"a:{make_hash(b'x').text}\n").warnings == ()


def test_who_is_unknown_costs_the_same_work_as_who_is_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, ...]] = []
    for kind in (Argon2id, Pbkdf2):
        fits = kind.fits

        def counted(self: Argon2id | Pbkdf2, password: bytes, fits: object = fits) -> bool:
            done.append(self.work)
            return bool(fits(self, password))  # type: ignore[operator] # either kind's own

        monkeypatch.setattr(kind, "fits", counted)
    set_password(path, "alice", b"a", create=True)
    set_password(path, "bob", b"b", kind="pbkdf2")
    set_password(path, "carol", b"c")
    file = PasswordFile.load(path)
    work: dict[tuple[str, bool], list[tuple[str, ...]]] = {}
    for name, password in (("alice", b"a"), ("bob", b"b"), ("bob", b"x"), ("eve", b"x")):
        done.clear()
        right = file.verify(name, password)
        work[name, right] = sorted(done)
    assert set(work) == {("alice", True), ("bob", True), ("bob", False), ("eve", False)}
    assert len({tuple(kinds) for kinds in work.values()}) == 1
    assert [kind for kind, *_ in work["eve", False]] == ["PBKDF2-SHA512", "argon2id"]


def test_no_password_fits_a_dummy(path: Path) -> None:
    for kind in ("argon2id", "pbkdf2"):
        dummy = make_hash(b"x", kind).dummy()
        assert dummy.work == make_hash(b"x", kind).work
        assert read_hash(dummy.text).work == dummy.work
        assert not dummy.fits(b"x")


def test_a_success_is_remembered_and_a_failure_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_password(path, "alice", b"a", create=True)
    set_password(path, "alic", b"b")
    file = PasswordFile.load(path)
    assert not file.remembers("alice", b"a")
    assert file.verify("alice", b"a")
    assert file.remembers("alice", b"a")
    assert not file.remembers("alice", None)
    assert not file.verify("alice", b"wrong")
    for name, password in (("alice", b"wrong"), ("alic", b"ea"), ("alic", b"b")):
        assert not file.remembers(name, password)
    monkeypatch.setattr(Argon2id, "fits", None)
    assert file.verify("alice", b"a")
    # A new password takes effect where the file is loaded again.
    assert not PasswordFile.load(path).remembers("alice", b"a")


def test_what_is_kept_of_a_user_differs_once_the_password_is_set_again(path: Path) -> None:
    set_password(path, "alice", b"a", create=True)
    before = PasswordFile.load(path).entry("alice")
    assert before == PasswordFile.load(path).entry("alice")
    set_password(path, "alice", b"a")
    assert before != PasswordFile.load(path).entry("alice")
    assert PasswordFile.load(path).entry("bob") is None


def test_what_is_remembered_has_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_MOST_REMEMBERED", 2)
    for name in "abc":
        set_password(path, name, b"x", create=True)
    file = PasswordFile.load(path)
    assert file.verify("a", b"x")
    assert file.verify("b", b"x")
    assert file.verify("a", b"x")
    assert file.verify("c", b"x")
    assert [file.remembers(name, b"x") for name in "abc"] == [True, False, True]


def test_threads_may_check_at_the_same_time(path: Path) -> None:
    for name in "abcd":
        set_password(path, name, name.encode(), create=True)
    file = PasswordFile.load(path)
    right: list[bool] = []

    def check(name: str) -> None:
        right.extend(file.verify(name, other.encode()) == (name == other) for other in "abcd" * 5)

    threads = [threading.Thread(target=check, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 80


def test_a_change_keeps_all_other_lines(path: Path) -> None:
    path.write_text(MOSQUITTO.removesuffix("\n"))
    set_password(path, "alice", b"new")
    set_password(path, "dan", b"d")
    lines = path.read_text().split("\n")
    assert [line for number, line in enumerate(lines) if number in (0, 2, 3)] == [
        line for number, line in enumerate(MOSQUITTO.split("\n")) if number in (0, 2, 3)
    ]
    assert lines[1].startswith("alice:$argon2id$")
    assert lines[4].startswith("dan:$argon2id$")
    assert lines[5:] == [""]
    remove_user(path, "carol")
    remove_user(path, "alice")
    assert path.read_text() == f"# made by mosquitto_passwd\n\n{lines[4]}\n"
    assert os.listdir(path.parent) == [path.name]


def test_a_password_in_plain_text_can_be_replaced(path: Path) -> None:
    path.write_text("alice:secret\n")
    set_password(path, "alice", b"secret")
    assert PasswordFile.load(path).verify("alice", b"secret")


@pytest.mark.parametrize("text", ["root:x:0:0:root:/root:/bin/sh\n", "[section]\nkey=value\n"])
def test_what_is_no_password_file_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    for change in (lambda: set_password(path, "new", b"x"), lambda: remove_user(path, "new")):
        with pytest.raises(ConfigurationError, match="Line 1 of the password file"):
            change()
    assert path.read_text() == text


@pytest.mark.posix
def test_a_missing_file_is_made_only_on_request(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no password file .*: --create makes"):
        set_password(path, "alice", b"x")
    with pytest.raises(ConfigurationError, match="There is no password file"):
        remove_user(path, "alice")
    assert not path.exists()
    set_password(path, "alice", b"x", create=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.posix
def test_a_file_that_was_there_keeps_its_mode_but_for_everybody(path: Path) -> None:
    path.touch(0o600)
    path.chmod(0o644)
    set_password(path, "alice", b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_one(path: Path) -> None:
    path.touch()
    link = path.with_name("link")
    link.symlink_to(path)
    set_password(link, "alice", b"x")
    assert link.is_symlink()
    assert PasswordFile.load(path).verify("alice", b"x")


def test_removing_somebody_who_is_not_there_says_so(path: Path) -> None:
    set_password(path, "alice", b"x", create=True)
    with pytest.raises(ConfigurationError, match=r"There is no user 'bob' in .*--list"):
        remove_user(path, "bob")


@pytest.mark.parametrize(
    "name", ["", "a:b", "a\nb", "a\rb", "a\0b", "#a", " a", "a ", "\ud800", "x" * 65_536]
)
def test_a_name_that_a_line_cannot_hold_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="choose another"):
        set_password(path, name, b"x", create=True)
    assert not path.exists()


def test_a_password_that_cannot_be_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="is empty"):
        set_password(path, "alice", b"", create=True)
    with pytest.raises(ValueError, match="longer than MQTT can carry"):
        set_password(path, "alice", b"x" * 65_536, create=True)


def test_a_write_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_password(path, "alice", b"x", create=True)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigurationError, match=r"cannot be written \(No space left on device\)"):
        set_password(path, "bob", b"x")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_changes_at_the_same_time_are_all_made(path: Path) -> None:
    path.touch(0o600)
    names = [f"user{number}" for number in range(8)]
    threads = [threading.Thread(target=set_password, args=(path, name, b"x")) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(PasswordFile.load(path).users) == names


@pytest.mark.parametrize("kind", ["argon2id", "pbkdf2"])
def test_the_hash_of_the_empty_password_lets_nobody_in(path: Path, kind: hashes.HashKind) -> None:
    file = loaded(path, f"alice:{make_hash(b'', kind).text}\n")
    assert not file.verify("alice", b"")
    assert not file.verify("alice", None)
    assert not file.remembers("alice", b"")
    assert not file.verify("alice", b"x")
