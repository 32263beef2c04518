"""`tmqtt broker --workers`: several processes that are one broker."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.broker.wire import Wire
from tests.cli.programs import DEADLINE, Program, Run
from tests.ports import free_port
from trio_mqtt.protocol.packets import Publish

pytestmark = pytest.mark.slow

FORGETS = "Sessions and retained messages end with this broker: --data DIR keeps them.\n"


@contextmanager
def workers(*options: str) -> Iterator[tuple[Program, str]]:
    """A broker of two workers, once both serve, and its address."""
    with Program("broker", "mqtt://127.0.0.1:0", "--workers", "2", *options) as broker:
        url = broker.out.expect(r"\[1\] Listening at (\S+)\n")[1]
        broker.err.expect("2 workers serve.\n")
        yield broker, url


def children(broker: Program) -> dict[int, str]:
    """The living processes below the broker's, with their commands."""
    found: dict[int, str] = {}
    waiting = [broker.process.pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                waiting.append(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end_of(pids: dict[int, str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while alive := [pids[pid] for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)


def until_said(broker: Program, *patterns: str) -> None:
    """Wait until all of these were said, in whatever order."""
    deadline = time.monotonic() + DEADLINE
    while not all(re.search(pattern, broker.err.text) for pattern in patterns):
        assert time.monotonic() < deadline, broker.err.text
        time.sleep(0.02)


def connected_to_both(broker: Program, url: str, stack: ExitStack) -> dict[str, Wire]:
    """A client at each worker: the kernel chooses which one a connection comes to."""
    clients: dict[str, Wire] = {}
    for number in range(64):
        name = f"client-{number}"
        client = stack.enter_context(Wire(url, name))
        worker = broker.out.expect(rf"\[(\d)\] {name} connected")[1]
        clients.setdefault(worker, client)
        if len(clients) == 2:
            return clients
    raise AssertionError("all clients came to one of two workers")


def test_clients_of_all_workers_are_clients_of_one_broker() -> None:
    with workers() as (broker, url), ExitStack() as stack:
        broker.err.expect(FORGETS)
        clients = connected_to_both(broker, url, stack)
        assert clients["1"].subscribe("lamp/#", 1) == 1
        assert clients["2"].publish("lamp/1", b"on") == 0
        assert clients["1"].expect(Publish).payload == b"on"
        left = children(broker)
        assert sum("tmqtt.broker.worker" in command for command in left.values()) == 2
        assert broker.stop() == 0
        wait_for_the_end_of(left)
    assert re.search(r"\[1\] Stopped.\n", broker.out.text)
    assert re.search(r"\[2\] Stopped.\n", broker.out.text)
    assert broker.err.text.endswith("\nStopped.\n")
    assert broker.out.text.count("Listening at") == 1


def test_a_worker_that_dies_is_replaced_and_all_end_with_the_one_that_started_them() -> None:
    with workers() as (broker, url):
        killed = next(
            pid for pid, command in children(broker).items() if "broker.worker" in command
        )
        os.kill(killed, signal.SIGKILL)
        said = broker.err.expect(
            rf"Warning: Worker (\d) \(process {killed}\) has ended \(SIGKILL\)"
        )
        broker.err.expect(": another one is started.\n")
        deadline = time.monotonic() + DEADLINE
        with ExitStack() as stack:
            for number in range(1_000):
                name = f"later-{number}"
                stack.enter_context(Wire(url, name))
                if broker.out.expect(rf"\[(\d)\] {name} connected")[1] == said[1]:
                    break
                assert time.monotonic() < deadline
        left = children(broker)
        assert any("redis-server" in command or "valkey" in command for command in left.values())
        broker.process.kill()
        wait_for_the_end_of(left)


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_engine_that_dies_is_started_again(tmp_path: Path, is_kept: bool) -> None:
    options = ("--data", str(tmp_path)) if is_kept else ()
    with workers(*options) as (broker, url), ExitStack() as stack:
        clients = connected_to_both(broker, url, stack)
        assert clients["1"].subscribe("lamp/#", 1) == 1
        if is_kept:
            assert clients["2"].publish("lamp/kept", b"1", retain=True) == 0
            assert clients["1"].expect(Publish).payload == b"1"
        (engine,) = [
            pid
            for pid, command in children(broker).items()
            if re.match(r"\S*(redis|valkey)-server ", command)
        ]
        os.kill(engine, signal.SIGKILL)
        said = (
            "Warning: The engine that the workers share has ended (SIGKILL): it is started again."
        )
        broker.err.expect(re.escape(said))
        if not is_kept:
            broker.err.expect("What it held is lost, as no --data DIR keeps it.\n")
            until_said(
                broker, *(rf"\[{worker}\] Warning: .* in the cluster again" for worker in "12")
            )
        # Clients stay, and what comes then is acknowledged and arrives.
        deadline = time.monotonic() + DEADLINE
        while clients["2"].publish("lamp/1", b"on"):  # what is wanted is not known everywhere yet
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert clients["1"].expect(Publish).payload == b"on"
        if is_kept:
            with Wire(url, "late") as late:
                assert late.subscribe("lamp/kept", 1) == 1
                assert late.expect(Publish).payload == b"1"
        assert broker.stop() == 0


def test_each_reads_its_settings_again_and_has_a_log_and_metrics_of_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "broker.toml"
    file.write_text("[limits]\nmaximum_connections = 10\n")
    port = free_port()
    log = tmp_path / "broker.log"
    options = ("--log-file", str(log), "--metrics", f"127.0.0.1:{port}", "--log-level", "info")
    with workers("--config", str(file), *options) as (broker, _):
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        socket.create_connection(("127.0.0.1", port + 1), DEADLINE).close()
        file.write_text("[limits]\nmaximum_connections = 11\n")
        broker.process.send_signal(signal.SIGHUP)
        for worker in (1, 2):
            broker.out.expect(rf"\[{worker}\] limits.maximum_connections is 11 ")
            broker.out.expect(rf"\[{worker}\] The settings were read again")
        assert broker.stop() == 0
    for worker in (1, 2):
        assert "Listening at" in (tmp_path / f"broker-{worker}.log").read_text()


def test_a_folder_is_one_brokers_alone(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"))
    with workers(*options) as (broker, _):
        with Program("broker", "mqtt://127.0.0.1:0", "--workers", "1", *options) as second:
            assert second.ended() == 1
            assert "is used by another broker already." in second.err.text
        assert broker.stop() == 0
    assert FORGETS not in broker.err.text
    assert (tmp_path / "data" / "engine" / "appendonlydir").is_dir()
    with Program("broker", "mqtt://127.0.0.1:0", *options) as alone:
        assert alone.ended() == 1
    assert "holds what a broker with --workers keeps" in alone.err.text


def test_workers_begin_with_nothing_in_no_folder_of_one_broker(tmp_path: Path) -> None:
    """They could not read what is there, and who comes back to it would not be known."""
    options = ("broker", "mqtt://127.0.0.1:0", "--data", str(tmp_path))
    with Program(*options) as broker:
        broker.out.expect(r"Listening at (\S+)\n")
        assert broker.stop() == 0
    with Program(*options, "--workers", "2") as others:
        assert others.ended() == 1
    assert others.err.text == (
        f"Error: {tmp_path} holds what a broker without --workers keeps, which one with them cannot"
        " read: leave out --workers, or give another folder.\n"
    )


def test_where_a_worker_cannot_start_all_of_it_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Program("broker", f"mqtt://127.0.0.1:{port}", "--workers", "2") as broker:
            assert broker.ended() == 1
    assert f"Error: Port {port} of 127.0.0.1 is in use" in broker.err.text
    assert re.search(r"Error: Worker \d \(process \d+\) did not start.\n", broker.err.text)
    assert "Traceback" not in broker.err.text


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--workers", "0"), 2, "0 is not possible: write a number from 1 to 256."),
        (("--workers", "some"), 2, "'some' is not a whole number."),
        (("--workers", "2", "--set", "storage.path=x"), 2, "give --data DIR, and not storage.path"),
    ],
)
def test_what_cannot_be_is_said(
    options: tuple[str, ...], code: int, sentence: str, in_process: Run
) -> None:
    ended = in_process("broker", "mqtt://127.0.0.1:0", *options)
    assert ended.code == code
    assert sentence in ended.err


def test_where_there_is_no_engine_what_to_install_is_said(
    in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ended = in_process("broker", "mqtt://127.0.0.1:0", "--workers", "2")
    assert ended.code == 1
    assert ended.err == (
        "Error: Workers share an engine, and neither redis-server nor valkey-server is installed"
        " here (Debian: apt install redis-server). --cluster URL names one that runs elsewhere.\n"
    )


def test_a_terminal_shows_how_all_of_them_fare() -> None:
    options = ("mqtt://127.0.0.1:0", "--workers", "2")
    with Program("broker", *options, terminal=True) as broker:
        url = broker.out.expect(r"\[1\] Listening at (\S+)\n")[1]
        broker.out.expect("2 workers serve.\n")
        broker.out.expect("2 workers · 0 clients · 0/s in, 0/s out")
        with Wire(url, "seen"):
            broker.out.expect(r"\[\d\] seen connected")
            broker.out.expect("2 workers · 1 client · ")
        broker.press_ctrl_c()
        assert broker.ended() == 0
    assert "Traceback" not in broker.out.text
    assert broker.out.text.endswith("Stopped.\n")
