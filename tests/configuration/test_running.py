"""A configuration that is read again while its broker runs: all of it holds, or nothing."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import trio

import trio_mqtt
from tests.inside import core_of
from trio_mqtt.access import AccessHooks
from trio_mqtt.configuration import InvalidConfiguration, differences, load
from trio_mqtt.monitoring import LogOptions, log_writer, logging_to
from trio_mqtt.monitoring.log_destinations import open_destination

pytestmark = pytest.mark.trio
Write = Callable[[str], Path]

LOCAL = "mqtt://127.0.0.1:0"
BASE = """\
[[listeners]]
url = "mqtt://127.0.0.1:0"
[limits]
maximum_connections = 5
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        file = tmp_path / "broker.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write_file


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again: what happens in a thread tells nobody."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_what_the_file_says_otherwise_holds_from_then_on(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_mqtt.broker")
    file = write(BASE)
    async with load(file, environment={}).run() as running:
        broker = running.broker
        urls = broker.urls
        async with trio_mqtt.open_client(broker.url) as client:
            write(BASE.replace("5", "7") + "[options]\nmaximum_qos = 1\n")
            assert await running.try_reload()
            await client.publish("still", "here", qos=1)
        assert broker.limits.maximum_connections == 7
        assert broker.options.maximum_qos == 1
        assert broker.urls == urls
        said = [
            f"limits.maximum_connections is 7 ({file}, line 4); it was 5 before.",
            f"options.maximum_qos is 1 ({file}, line 6); it was 2 before.",
        ]
        assert [str(change) for change in running.changes] == said
        assert running.configuration.settings.limits.maximum_connections == 7
        messages = [record.getMessage() for record in caplog.records]
        assert [text for text in messages if text in said] == said
        about = [record.__dict__.get("setting") for record in caplog.records]
        assert [setting for setting in about if setting] == [
            "limits.maximum_connections", "options.maximum_qos"
        ]  # fmt: skip
        await running.reload()
        assert running.changes == ()


async def test_listeners_come_and_go(write: Write, tmp_path: Path) -> None:
    first, second = (f"unix://{tmp_path}/{name}" for name in ("one", "two"))
    one = f'[[listeners]]\nurl = "{first}"\n'
    two = f'[[listeners]]\nurl = "{second}"\nmode = 0o600\n'
    async with load(write(one), environment={}).run() as running:
        write(two + one)
        await running.reload()
        assert set(running.broker.urls) == {first, second}
        (change,) = running.changes
        assert str(change).startswith(f"The listener {second} is new (")
        async with trio_mqtt.open_client(second) as client:
            write(two)
            await running.reload()
            assert running.broker.urls == (second,)
            await client.publish("still", "here", qos=1)
        (change,) = running.changes
        assert str(change) == f"The listener {first} is gone."
        with pytest.raises(trio_mqtt.ConnectionFailedError):
            async with trio_mqtt.open_client(first, reconnect=False):
                pass


async def test_a_listener_in_place_of_the_default_is_told(write: Write) -> None:
    without = load(write("[limits]\n"), environment={})
    changes = differences(without, load(write(BASE), environment={}))
    assert [change.setting for change in changes] == [
        "listeners[mqtt://127.0.0.1:0].url",
        "limits.maximum_connections",
        "listeners[mqtt://127.0.0.1:1883].url",
    ]
    explicit = '[[listeners]]\nurl = "mqtt://127.0.0.1:1883"\n'
    assert differences(without, load(write(explicit), environment={})) == ()


async def test_a_user_of_scram_that_a_listener_has_no_more_is_disconnected(write: Write) -> None:
    def users(*names: str) -> str:
        own = "".join(f"{name} = '{name}'\n" for name in names)
        return f"{BASE}[[listeners]]\nurl = '{LOCAL}'\n[listeners.access.scram.users]\n{own}"

    async def stay(name: str) -> None:
        proof = trio_mqtt.ScramClient(name, name)
        async with (
            trio_mqtt.open_client(url, authentication=proof, reconnect=False) as client,
            client.subscribe("never"),
        ):
            write(users("bob", "carol"))
            await running.reload()
            if name == "alice":
                await trio.sleep_forever()  # until it is told to go
            await client.publish("still", "here", qos=1)

    async with load(write(users("bob")), environment={}).run() as running:
        url = running.broker.urls[1]
        await stay("bob")
        write(users("alice"))
        await running.reload()
        with pytest.raises(trio_mqtt.DisconnectedByBrokerError, match="no longer valid"):
            await stay("alice")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BASE + "colour = 1\n", "line 5: There is no setting limits.colour: "),
        (BASE + "[access]\npasswords = 'none'\n", "There is no password file "),
        (BASE + "[plugins]\nhooks = 'nowhere:x'\n", "line 6: plugins.hooks: nowhere:x cannot be"),
        (BASE + "[storage]\npath = 'data'\n", '/data" ('),
        (BASE.replace("127.0.0.1:0", "192.0.2.1:1"), "192.0.2.1:1"),
        ("[limits", "line 1: This is no TOML"),
    ],
)
async def test_where_anything_is_wrong_nothing_changes(
    text: str, sentence: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    async with load(write(BASE), environment={}).run() as running:
        before = running.broker.urls
        write(text.replace("= 5", "= 7"))
        assert not await running.try_reload()
        assert running.broker.limits.maximum_connections == 5
        assert running.broker.urls == before
        assert running.configuration.settings.limits.maximum_connections == 5
        (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert sentence in record.getMessage()
        assert "The settings stay as they were." in record.getMessage()
        write(BASE)
        assert await running.try_reload()


async def test_what_holds_only_after_a_new_start_is_said_before_anything_changes(
    write: Write,
) -> None:
    async with load(write(BASE), environment={}).run() as running:
        write(BASE.replace("5", "7") + "[storage]\npath = 'data'\n")
        with pytest.raises(InvalidConfiguration, match=r"holds only after a new start\.$"):
            await running.reload()
        assert running.broker.limits.maximum_connections == 5


class Hooks(AccessHooks):
    made = 0

    def __init__(self, *, user: str = "") -> None:
        type(self).made += 1


async def test_a_plugin_stays_while_its_settings_do(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("house")
    vars(module)["Hooks"] = Hooks
    monkeypatch.setitem(sys.modules, "house", module)
    plugin = "[plugins.hooks]\nfactory = 'house:Hooks'\nsettings = { user = 'a' }\n"
    monkeypatch.setattr(Hooks, "made", 0)
    async with load(write(BASE + plugin), environment={}).run() as running:
        await running.reload()
        assert Hooks.made == 1
        write(BASE + plugin.replace("'a'", "'b'"))
        await running.reload()
        assert Hooks.made == 2
        (change,) = running.changes
        assert "plugins.hooks.settings has changed (" in str(change)


async def test_a_part_that_is_none_is_told_by_what_it_lacks(write: Write) -> None:
    text = "[plugins]\nhooks = 'builtins:dict'\nstorage = 'builtins:list'\n"
    with pytest.raises(InvalidConfiguration) as caught:
        async with load(write(text), environment={}).open():
            pass
    first, second = map(str, caught.value.problems)
    assert (
        "builtins:dict made a dict, which has no accept, authenticate, authorize_connect" in first
    )
    assert second.endswith("which has no load, close: what is needed is a trio_mqtt.Storage.")


PROGRAM = """
import logging, sys, trio, trio_mqtt
logging.basicConfig(level="INFO", stream=sys.stdout, format="%(message)s")
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(trio_mqtt.configuration.load(sys.argv[1]).serve)
        print("It serves.", flush=True)
trio.run(main)
"""


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
async def test_a_program_that_serves_reads_its_file_again_at_sighup(write: Write) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROGRAM, str(write(BASE))], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = b""

    async def until(text: bytes) -> None:
        nonlocal said
        assert process.stdout is not None
        while text not in said:
            more = await process.stdout.receive_some()
            assert more, said
            said += more

    with trio.fail_after(60):
        await until(b"It serves.")
        write(BASE.replace("5", "7"))
        process.send_signal(signal.SIGHUP)
        await until(b"The settings were read again.")
        assert b"limits.maximum_connections is 7 (" in said
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
async def test_a_program_ends_though_the_file_that_it_reads_again_does_not_answer(
    write: Write,
) -> None:
    file = write(BASE)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROGRAM, str(file)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with trio.fail_after(60):
        said = b""
        while b"It serves." not in said:
            more = await process.stdout.receive_some()
            assert more, said
            said += more
        file.unlink()
        os.mkfifo(file)
        process.send_signal(signal.SIGHUP)
        # Opening it succeeds when the process reads it, which then waits for what never comes.
        with await trio.to_thread.run_sync(partial(file.open, "wb"), abandon_on_cancel=True):
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def test_it_serves_until_it_is_cancelled(write: Write) -> None:
    async with trio.open_nursery() as nursery:
        broker = await nursery.start(load(write(BASE), environment={}).serve)
        async with trio_mqtt.open_client(broker.url) as client:
            await client.publish("a", "b", qos=1)
        nursery.cancel_scope.cancel()


async def test_a_log_goes_where_it_is_said_from_then_on(write: Write, tmp_path: Path) -> None:
    text = BASE + "[logging]\nfile = 'first.log'\nlevel = 'info'\n"
    configuration = load(write(text), environment={})
    with logging_to(configuration.settings.logging) as writer:
        async with configuration.run(change_log=writer.changing) as running:
            async with trio_mqtt.open_client(running.broker.url, client_id="one"):
                pass
            write(text.replace("first", "second").replace("'info'", "'debug'"))
            assert await running.try_reload()
            async with trio_mqtt.open_client(running.broker.url, client_id="two") as client:
                await client.publish("a/topic", "b", qos=1)
            write(text.replace("first.log", "nowhere/third.log"))
            assert not await running.try_reload()
            await trio.to_thread.run_sync(writer.flush_lines)
    first, second = ((tmp_path / f"{name}.log").read_text() for name in ("first", "second"))
    assert "one" in first
    assert "two" not in first
    assert 'it was "info" before.' in second
    assert "two" in second
    assert "a/topic" in second
    assert "nowhere/third.log" in second
    with logging_to(configuration.settings.logging):
        assert not logging.getLogger("trio_mqtt.messages").isEnabledFor(logging.DEBUG)


async def test_who_gives_up_in_the_last_step_leaves_all_of_it_in_force(
    write: Write, tmp_path: Path
) -> None:
    """Clients are still looked at: settings, their log and what is compared next time are new."""
    text = BASE + "[logging]\nfile = 'first.log'\n"
    configuration = load(write(text), environment={})
    with logging_to(configuration.settings.logging) as writer:
        async with configuration.run(change_log=writer.changing) as running:
            again = text.replace("first", "second").replace("= 5", "= 7")
            write(again)
            # The last step waits for what is checked before.
            hold = trio.Event()

            def held() -> Iterator[None]:
                while not hold.is_set():
                    yield

            core_of(running.broker).checks.add(held())
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(running.reload)
                    await until(lambda: running.broker.limits.maximum_connections == 7)
                    scope.cancel()
            assert scope.cancelled_caught
            hold.set()
            assert running.configuration.settings.limits.maximum_connections == 7
            changes = [running.changes]
            await running.reload()
            changes.append(running.changes)
            assert [len(one) for one in changes] == [2, 0]
            logging.getLogger("trio_mqtt.broker").info("afterwards")
            await trio.to_thread.run_sync(writer.flush_lines)
    assert "afterwards" in (tmp_path / "second.log").read_text()


class SlowDestination:
    """Opens where a log is to go when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_open = threading.Event(), threading.Event()
        self.opened: list[logging.Handler] = []
        self._open = open_destination
        monkeypatch.setattr(log_writer, "open_destination", self)

    def __call__(self, options: LogOptions) -> logging.Handler:
        self.begun.set()
        assert self.may_open.wait(60)
        handler = self._open(options)
        self.opened.append(handler)
        return handler

    async def wait_begun(self) -> None:
        assert await trio.to_thread.run_sync(self.begun.wait, 20)


@pytest.mark.parametrize("gives_up", [False, True])
async def test_a_disk_that_is_slow_to_open_a_log_holds_nobody_up(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_up: bool
) -> None:
    text = BASE + "[logging]\nfile = 'first.log'\n"
    configuration = load(write(text), environment={})
    with logging_to(configuration.settings.logging) as writer:
        async with configuration.run(change_log=writer.changing) as running:
            slow = SlowDestination(monkeypatch)
            write(text.replace("first", "second"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(running.reload)
                await slow.wait_begun()
                async with trio_mqtt.open_client(running.broker.url) as client:
                    await client.publish("a", "b", qos=1)
                if gives_up:
                    nursery.cancel_scope.cancel()
                else:
                    slow.may_open.set()
            slow.may_open.set()
            await until(lambda: bool(slow.opened))
            (handler,) = slow.opened
            assert isinstance(handler, logging.FileHandler)
            if gives_up:
                await until(lambda: handler.stream is None)
            logging.getLogger("trio_mqtt.broker").info("afterwards")
            await trio.to_thread.run_sync(writer.flush_lines)
    written_to = "first" if gives_up else "second"
    assert "afterwards" in (tmp_path / f"{written_to}.log").read_text()
