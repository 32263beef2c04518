"""The unit's own ExecStart line as a process, with what systemd gives it and takes from it."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Unpack

import pytest
from tmqtt.app import app
from typer.testing import CliRunner

from tests.cli.programs import DEADLINE
from trio_mqtt import sync
from trio_mqtt.access import set_password
from trio_mqtt.client.open_arguments import ClientArguments
from trio_mqtt.errors import RefusedError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not there"
    ),
]

# Becomes the program with sockets from descriptor 3 on, as systemd does it, and with what of the
# unit any process can ask of the kernel: no new privileges, no memory that is written and executed
# (PR_SET_NO_NEW_PRIVS, PR_SET_MDWE of Linux 6.3), its umask, its number of descriptors.
_BECOME = """
import ctypes, os, resource, sys
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0
prctl(65, 1, 0, 0, 0)
os.umask(0o077)
count = int(sys.argv[1])
high = [os.dup2(int(fd), 100 + n) for n, fd in enumerate(sys.argv[2].split(",")) if fd]
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
os.environ["WATCHDOG_PID"] = str(os.getpid())
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
os.execv(sys.argv[3], sys.argv[3:])
"""


class Installed(NamedTuple):
    """A service below a root of the test."""

    root: Path
    unit: Mapping[str, str]

    @property
    def command(self) -> list[str]:
        """ExecStart as systemd makes a command line of it (systemd.service(5))."""
        etc = str(self.root / "etc")
        return [word.replace("%E", etc) for word in shlex.split(self.unit["ExecStart"])]

    @property
    def settings(self) -> Path:
        """The configuration that the unit names."""
        return Path(self.command[self.command.index("--config") + 1])

    @property
    def environment(self) -> Path:
        """The environment file that the unit names."""
        name = self.unit["EnvironmentFile"].removeprefix("-")
        return Path(name.replace("%E", str(self.root / "etc")))


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    program = Path(sys.executable).parent / "tmqtt"
    if not program.exists():
        pytest.skip("the command is not installed beside the interpreter")
    root = tmp_path / "root"
    root.mkdir()
    words = ["service", "install", "--root", str(root), "--program", str(program)]
    assert CliRunner().invoke(app, words).exit_code == 0
    text = (root / "etc/systemd/system/tmqtt.service").read_text(encoding="utf-8")
    unit = dict(line.split("=", 1) for line in text.splitlines() if line[:1].isalpha())
    service = Installed(root, unit)
    # Neither the folder nor the journal of the system that runs is the test's.
    service.environment.write_text(
        f"# ours\nTMQTT_STORAGE__PATH={root}/var/lib/tmqtt\nTMQTT_LOGGING__DESTINATION=stderr\n"
    )
    return service


class Service(NamedTuple):
    process: subprocess.Popen[bytes]
    notices: socket.socket

    def expect(self, state: bytes) -> None:
        """Wait until systemd is told `state`."""
        deadline = time.monotonic() + DEADLINE
        while not self.notices.recv(1000).startswith(state):
            assert time.monotonic() < deadline, state  # the watchdog goes on telling


@contextmanager
def started(installed: Installed, sockets: Sequence[socket.socket] = ()) -> Iterator[Service]:
    """The service, begun as its unit says."""
    state = installed.root / "var/lib/tmqtt"  # StateDirectory=
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(int(installed.unit["StateDirectoryMode"], 8))
    environment = {"PATH": os.environ["PATH"]}
    for line in installed.environment.read_text(encoding="utf-8").splitlines():
        if line[:1].isalpha():
            name, value = line.split("=", 1)
            environment[name] = value
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(installed.root / "notify"))
        notices.settimeout(DEADLINE)
        # Of the interval, only the presence counts: a test does not wait for half of 30 s.
        assert installed.unit["WatchdogSec"] == "30"
        environment |= {
            "NOTIFY_SOCKET": str(installed.root / "notify"),
            "WATCHDOG_USEC": "200000",
        }
        descriptors = [sock.fileno() for sock in sockets]
        process = subprocess.Popen(
            [
                sys.executable, "-c", _BECOME, installed.unit["LimitNOFILE"],
                ",".join(map(str, descriptors)), *installed.command,
            ],
            env=environment | {"PYTHONWARNINGS": "error"},
            pass_fds=descriptors,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
        )  # fmt: skip
        try:
            yield Service(process, notices)
        finally:
            process.kill()
            process.communicate()
            (installed.root / "notify").unlink()


def reload(installed: Installed, service: Service) -> None:
    """ExecReload as systemd runs it."""
    pid = str(service.process.pid)
    words = [pid if word == "$MAINPID" else word for word in installed.unit["ExecReload"].split()]
    subprocess.run(words, check=True, timeout=DEADLINE)


def publish(port: int, payload: str, **options: Unpack[ClientArguments]) -> None:
    with sync.open_client(f"mqtt://127.0.0.1:{port}", **options) as client:
        client.publish("kept", payload, qos=1, retain=True)


def test_it_begins_reloads_and_ends_as_systemd_wants_to_hear_it(installed: Installed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with started(installed, [listening]) as service:
            service.expect(b"READY=1")
            limits = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
            assert limits[0] == min(131_072, limits[1])
            publish(port, "before")
            service.expect(b"WATCHDOG=1")
            service.expect(b"WATCHDOG=1")
            reload(installed, service)
            service.expect(b"RELOADING=1\nMONOTONIC_USEC=")
            service.expect(b"READY=1")
            publish(port, "after")
            service.process.send_signal(signal.SIGTERM)
            service.expect(b"STOPPING=1")
            assert service.process.wait(DEADLINE) == 0
        # The socket was systemd's all the time: the next one has it, and what was kept.
        with started(installed, [listening]) as service:
            service.expect(b"READY=1")
            with (
                sync.open_client(f"mqtt://127.0.0.1:{port}") as client,
                client.subscribe("kept") as messages,
            ):
                assert next(iter(messages)).text == "after"
            service.process.kill()
    kept = installed.root / "var/lib/tmqtt"
    assert {path.stat().st_mode & 0o077 for path in kept.iterdir()} == {0}


def test_its_settings_are_those_of_its_file(installed: Installed) -> None:
    set_password(installed.settings.with_name("users"), "ann", b"right", create=True)
    shown = installed.settings.read_text(encoding="utf-8")
    assert "\n# [access]\n# passwords = " in shown
    installed.settings.write_text(shown.replace("# [access]\n# passwords", "[access]\npasswords"))
    with (
        socket.create_server(("0.0.0.0", 0)) as listening,  # noqa: S104 # it asks for passwords
        started(installed, [listening]) as service,
    ):
        service.expect(b"READY=1")
        publish(listening.getsockname()[1], "on", username="ann", password="right")


def test_a_reload_takes_other_settings_or_none(installed: Installed) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        started(installed, [listening]) as service,
    ):
        port = listening.getsockname()[1]
        service.expect(b"READY=1")
        publish(port, "anybody")
        set_password(installed.settings.with_name("users"), "ann", b"right", create=True)
        before = installed.settings.read_text(encoding="utf-8")
        after = before.replace("# [access]\n# passwords", "[access]\npasswords")
        for text in (after, f"{after}\nnonsense\n"):
            installed.settings.write_text(text, encoding="utf-8")
            reload(installed, service)
            service.expect(b"RELOADING=1")
            service.expect(b"READY=1")
            with pytest.raises(RefusedError):
                publish(port, "nobody")
            publish(port, "ann", username="ann", password="right")


def test_for_others_it_is_not_open_unless_told_so(installed: Installed) -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as listening,  # noqa: S104 # it does not come to that
        started(installed, [listening]) as service,
    ):
        said, _ = service.process.communicate(timeout=DEADLINE)
        assert service.process.returncode == 1
        assert said.startswith(b"Error: Anybody who can reach ")


@pytest.mark.parametrize("text", [None, "[limits]\nmaximum_connections = -1\n", "no TOML"])
def test_wrong_settings_end_it_by_the_code_after_which_it_is_not_begun_again(
    text: str | None, installed: Installed
) -> None:
    if text is None:
        installed.settings.unlink()
    else:
        installed.settings.write_text(text)
    with started(installed) as service:
        said, _ = service.process.communicate(timeout=DEADLINE)
    assert str(service.process.returncode) == installed.unit["RestartPreventExitStatus"]
    assert said.startswith(b"Error: ")
    assert b"broker.toml" in said
