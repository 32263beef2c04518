"""Access of mosquitto_pub and mosquitto_sub at our broker, and what changes while it runs."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.programs import Program
from trio_mqtt.broker.access.files.password_changes import remove_user, set_password

from .peers import DEADLINE
from .test_mosquitto_clients import program


def mosquitto(command: str, port: str, *arguments: str) -> tuple[int, str, str]:
    ran = subprocess.run(
        [program(command), "-h", "127.0.0.1", "-p", port, "-V", "mqttv5", *arguments],
        timeout=DEADLINE,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the broker does by itself soon."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline


def test_rights_and_passwords_change_while_the_broker_runs(tmp_path: Path) -> None:
    users, access = tmp_path / "users", tmp_path / "access"
    set_password(users, "alice", b"hers", create=True)
    set_password(users, "bob", b"his", kind="pbkdf2")
    access.write_text("user alice\ntopic home/#\nuser bob\ntopic read home/#\n")
    alice, bob = ("-u", "alice", "-P", "hers"), ("-u", "bob", "-P", "his")
    command = ("--password-file", str(users), "--access-file", str(access))
    with Program("broker", "mqtt://127.0.0.1:0", *command) as broker:
        port = broker.out.expect(r"Listening at \S+:(\d+)\n")[1]

        def publish(*who: str) -> bool:
            code, _, problem = mosquitto(
                "mosquitto_pub", port, *who, "-t", "home/lamp", "-m", "on", "-q", "1", "-r"
            )
            return code == 0 and not problem

        def heard(*who: str, seconds: int = 1) -> str:
            options = ("-t", "#", "-C", "1", "-W", str(seconds))
            return mosquitto("mosquitto_sub", port, *who, *options)[1]

        assert publish(*alice)
        assert heard(*bob, seconds=60) == "on\n"
        assert not publish(*bob)
        assert not publish("-u", "alice", "-P", "his")
        assert not publish("-u", "nobody", "-P", "hers")
        assert not publish()

        # What is wrong changes nothing.
        access.write_text("user bob\ntopic rw home/#\n")
        broker.process.send_signal(signal.SIGHUP)
        broker.err.expect(r"Line 2 of the access file .* has 'rw'.*stay as they were")
        assert publish(*alice)

        access.write_text("user bob\ntopic home/#\n")
        remove_user(users, "alice")
        broker.process.send_signal(signal.SIGHUP)
        until(lambda: not publish(*alice))
        assert publish(*bob)

        access.write_text("user bob\ntopic write home/#\n")
        broker.process.send_signal(signal.SIGHUP)
        until(lambda: heard(*bob) == "")
        assert broker.stop() == 0
