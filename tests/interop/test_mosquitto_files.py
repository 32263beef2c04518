"""Password and access files mean the same to us as to Mosquitto."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from trio_mqtt import ConfigurationError
from trio_mqtt.broker.access.files.access_file import AccessFile
from trio_mqtt.broker.access.files.password_changes import set_password
from trio_mqtt.broker.access.files.passwords import PasswordFile

from .brokers import run_mosquitto
from .peers import DEADLINE, Server
from .plain_client import connect_plainly


@pytest.fixture
def mosquitto_passwd() -> str:
    found = shutil.which("mosquitto_passwd")
    if found is None:
        raise FileNotFoundError("mosquitto_passwd is not installed: apt-get install mosquitto.")
    return found


def test_files_of_mosquitto_passwd_are_read(tmp_path: Path, mosquitto_passwd: str) -> None:
    path = tmp_path / "users"
    path.touch(0o600)
    users = {"alice": "secret", "bob smith": "pä s:$w", "carol": "x"}
    for (name, password), kind in zip(
        users.items(), ("sha512-pbkdf2", "sha512-pbkdf2", "sha512"), strict=True
    ):
        command = [mosquitto_passwd, "-H", kind, "-b", str(path), name, password]
        subprocess.run(command, check=True, timeout=DEADLINE, capture_output=True)
    file = PasswordFile.load(path)
    for name in users:
        for other, password in users.items():
            assert file.verify(name, password.encode()) is (name == other)

    # What we change in it, it goes on reading.
    set_password(path, "alice", b"another", kind="pbkdf2")
    set_password(path, "dan", b"d", kind="pbkdf2")
    command = [mosquitto_passwd, "-D", str(path), "carol"]
    subprocess.run(command, check=True, timeout=DEADLINE, capture_output=True)
    assert sorted(PasswordFile.load(path).users) == ["alice", "bob smith", "dan"]
    assert PasswordFile.load(path).verify("dan", b"d")


def test_mosquitto_lets_in_whom_we_have_given_a_password(tmp_path: Path) -> None:
    path = tmp_path / "users"
    set_password(path, "alice", "pä s:$w".encode(), kind="pbkdf2", create=True)
    with run_mosquitto(tmp_path, f"password_file {path}") as server:
        with connect_plainly(server, "c", "alice", "pä s:$w".encode()) as client:
            assert client.subscribe("a") == [True]
        for password in (b"x", b"", None):
            with (
                pytest.raises(ConnectionRefusedError, match="not authorized"),
                connect_plainly(server, "c", "alice", password),
            ):
                pass


# All may be done by this user, who hears and says what the others do not.
EVERYTHING = "user root\ntopic #\ntopic $S/#\n"
NAMED = [
    "topic read a/#\ntopic write b\nuser ann\ntopic a/+/c\ntopic deny a/b/c\n",
    "user ann\ntopic deny a/b\ntopic a/#\nuser bob\ntopic a/#\ntopic deny a/b\n",
    "topic a/b\nuser ann\ntopic read a/#\nuser ann\ntopic write b/#\nuser bob\n",
    "pattern read a/%c\npattern write b/%u\npattern deny a/b\nuser ann\ntopic a/b\n",
    "pattern deny a/#\npattern readwrite a/#\nuser ann\ntopic deny b\npattern b\n",
    "topic #\npattern deny a/%c\n",
    "pattern read #\npattern write +/b\nuser ann\ntopic read $S/a\n",
    "topic read #\ntopic write $S/#\nuser ann\ntopic read +/a\n",
    "pattern $S/%c/#\npattern read %u/%c\n",
    "pattern write dev-%c/x\npattern read a%u%c\npattern read %c\n",
    "topic   read   a/b  \n\n# mine\ntopic readwrite a b/c\ntopic read\nuser  ann \ntopic a",
    "user ann\r\ntopic read a/b\r\n",
    "user nobody\ntopic a\n",
    "topic read a/%c\ntopic write %u/b\nuser ann\ntopic %c\n",
    "topic deny #\ntopic #\nuser ann\ntopic #\ntopic deny +\nuser bob\ntopic deny a/+/#\ntopic #\n",
]
CLIENTS = [("c1", None), ("ann", "ann"), ("%u", "bob"), ("c+", "ann"), ("c1", "#"), ("b", "a")]
TOPICS = [
    "a", "a/b", "a/b/c", "a/c/c", "b", "b/a", "b/ann", "a/c1", "a/ann", "a/%c", "a/%u", "a/bob",
    "%c", "%u/b", "$S/a", "$S/c1/x", "$S", "c1", "ann/ann", "bob/%u", "dev-c1/x", "dev-ann/x",
    "aannann", "aab", "a b/c", "read", "a/", "/a", "#x".replace("#", "-"),
]  # fmt: skip


def drawn(seed: int) -> str:
    """An access file of rules that are drawn."""
    draw = random.Random(seed)  # noqa: S311 # the same each time
    lines = []
    for _ in range(draw.randint(2, 14)):
        if draw.random() < 0.25:
            lines.append(f"user {draw.choice(['ann', 'bob', 'a', 'root2'])}")
        levels = [draw.choice(["a", "b", "c", "+", "%c", "%u", "c1", "$S"]) for _ in range(3)]
        del levels[draw.randint(1, 3) :]
        topic_filter = "/".join(levels) + draw.choice(["", "", "/#"])
        word = draw.choice(["topic", "topic", "pattern"])
        access = draw.choice(["read ", "write ", "readwrite ", "deny ", ""])
        lines.append(f"{word} {access}{topic_filter}")
    return "\n".join(lines) + "\n"


def observed(server: Server, client_id: str, username: str | None) -> dict[str, tuple[bool, bool]]:
    """Which of the topics a client may publish to, and receive from."""
    published = {}
    for topic in TOPICS:  # Mosquitto 2.0 disconnects a client that is denied something
        with connect_plainly(server, client_id, username) as client:
            published[topic] = client.publish(topic)
    with (
        connect_plainly(server, client_id, username) as client,
        connect_plainly(server, "root", "root") as root,
    ):
        client.subscribe(*TOPICS)
        assert all(map(root.publish, TOPICS))
        heard = client.received()
    return {topic: (published[topic], topic in heard) for topic in TOPICS}


@pytest.mark.parametrize("text", [*NAMED, *map(drawn, range(12))])
def test_an_access_file_allows_what_it_allows_in_mosquitto(tmp_path: Path, text: str) -> None:
    path = tmp_path / "access"
    path.write_text(f"{text.rstrip()}\n{EVERYTHING}")
    file = AccessFile.load(path)
    with run_mosquitto(tmp_path, f"allow_anonymous true\nacl_file {path}") as server:
        for client_id, username in CLIENTS:
            ours = {
                topic: (
                    file.decide(
                        "publish", client_id=client_id, username=username, topic=topic
                    ).allowed,
                    file.decide(
                        "receive", client_id=client_id, username=username, topic=topic
                    ).allowed,
                )
                for topic in TOPICS
            }
            assert observed(server, client_id, username) == ours, (client_id, username)


@pytest.mark.parametrize(
    "line",
    [
        "topic",
        "user",
        "topic rw a",
        "topic a b",
        "topic read a/#/b",
        "topic read a+",
        "topic read a # mine",
        " # mine",
        "topic\tread\ta",
        "users ann",
    ],
)
def test_lines_that_mosquitto_refuses_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "access"
    path.write_text(f"topic read a\n{line}\n")
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert program is not None
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(f"user root\nlistener 1\nlog_dest stderr\nacl_file {path}\n")
    ran = subprocess.run(
        [program, "-c", str(configuration)], timeout=DEADLINE, capture_output=True, check=False
    )
    assert b"acl_file" in ran.stderr  # and not about the port
    with pytest.raises(ConfigurationError, match="Line 2 of the access file"):
        AccessFile.load(path)
