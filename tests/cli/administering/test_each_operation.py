"""Each operation by its command, in the order and with the questions of the other ways."""

from __future__ import annotations

import json
import queue
import re
import shlex
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_mqtt
from tests.cli.programs import DEADLINE, Ended, Run
from tests.web.asked import ASKED
from tests.web.conftest import OPTIONS, Served, served_with
from tests.web.test_every_way import lasting
from trio_mqtt.administration import OPERATIONS
from trio_mqtt.web.json_forms import plain

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "administration.md"

# The commands that ask what ASKED does.
COMMANDS: dict[str, str] = {
    "overview": "overview",
    "series": "overview --hour",
    "publish": "send kept/1 --file {payload} --retain --for 9999s",
    "clients": "clients c --connected --limit 5",
    "client": "client c",
    "give_subscription": "subscriptions give c given/# -q 1",
    "subscriptions": "subscriptions list --topic given/1",
    "who": "who given/1 -q 1",
    "may": "may c publish $SYS/no",
    "queue": "sessions queue c",
    "send_to_client": "send given/2 you --to c -q 1",
    "take_subscription": "subscriptions take c given/#",
    "retained": "retained list kept/#",
    "retained_message": "retained show kept/1",
    "history": "history before/+ --last 1 --api {folder}",
    "delete_history": "history none/# --remove --yes",
    "removals": "history --removals",
    "topics": "retained tree kept",
    "delete_retained": "retained delete kept/# --yes",
    "ban": "ban --address 192.0.2.0/24 --for 60s --reason 'a test'",
    "bans": "ban --list",
    "unban": "ban --address 192.0.2.0/24 --lift",
    "dynamic_security": "dynsec listRoles",
    "disconnect": "disconnect c --reason 'a test'",
    "end_session": "sessions end c",
    "trace": "trace again --count 1",
    "events": "events ClientConnected --count 1",
}
_REFUSED = {"may"}  # what the answer says no to, and the command's exit code with it
_STREAMS = {operation.name for operation in OPERATIONS if operation.streams}


class Beside:
    """A broker in a thread of its own, with a client "c", and whoever asks it from here."""

    def __init__(self, served: Served, nursery: trio.Nursery) -> None:
        self.served = served
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()

    def do(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 # whatever it answers
        async def bounded() -> Any:  # noqa: ANN401
            with trio.fail_after(DEADLINE):
                return await call()

        return trio.from_thread.run(bounded, trio_token=self._token)

    def have_somebody_come_and_go(self) -> None:
        """A client "again" connects from now on, time after time."""

        async def come_and_go() -> None:
            while True:
                async with trio_mqtt.open_client(self.served.broker.url, client_id="again"):
                    await trio.sleep(0.01)

        async def begin() -> None:
            self._nursery.start_soon(come_and_go)

        self.do(begin)


@contextmanager
def beside(folder: Path) -> Iterator[Beside]:
    """A broker in a thread of its own, as long as the context lasts."""
    begun: queue.Queue[tuple[Beside, trio.CancelScope]] = queue.Queue()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with (
                served_with(OPTIONS, folder) as served,
                trio_mqtt.open_client(
                    served.broker.url, client_id="c", session_expiry_interval=100
                ),
                trio.open_nursery() as nursery,
            ):
                begun.put((Beside(served, nursery), scope))
                await trio.sleep_forever()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    found, scope = begun.get(timeout=DEADLINE)

    async def end() -> None:
        scope.cancel()

    try:
        yield found
    finally:
        found.do(end)
        thread.join(DEADLINE)


def test_the_documentation_names_the_command_of_each() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", DOCS.read_text(encoding="utf-8"), re.M)
    assert [name for name, _ in rows] == [one.name for one in OPERATIONS]
    told = {name: found[1] for name, text in rows if (found := re.match(r"`tmqtt (.+)`$", text))}
    for name, words in COMMANDS.items():
        assert words.startswith(told.pop(name).split(" --")[0]), name
    assert told == {}


@pytest.mark.slow
def test_each_command_answers_what_python_does(
    tmp_path_factory: pytest.TempPathFactory, in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = {one.name: one for one in OPERATIONS}
    expected: dict[str, Any] = {}
    with beside(tmp_path_factory.mktemp("o")) as broker:
        administration = broker.served.broker.administration
        for name in COMMANDS:
            if name not in _STREAMS:

                async def perform(name: str = name) -> object:
                    return await administration.perform(operations[name], ASKED[name])

                expected[name] = lasting(plain(broker.do(perform)))

    folder = tmp_path_factory.mktemp("o")
    payload = folder / "payload"
    payload.write_bytes(b"\xff\x00")
    monkeypatch.setenv("TMQTT_API", str(folder))
    with beside(folder) as broker:
        for name, words in COMMANDS.items():
            if name == "trace":
                broker.have_somebody_come_and_go()
            arguments = [word.format(payload=payload, folder=folder) for word in shlex.split(words)]
            ended = in_process(*arguments, "--json")
            assert ended.code == (1 if name in _REFUSED else 0), (name, ended.err)
            _check(name, ended, expected)


def _check(name: str, ended: Ended, expected: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in ended.out.splitlines()]
    if name == "trace":
        assert [line["client_id"] for line in lines] == ["again"]
    elif name == "events":
        # "c" comes back now, too, after it was disconnected.
        ((client_id, kind),) = [(line["client_id"], line["kind"]) for line in lines]
        assert kind == "ClientConnected"
        assert client_id in {"again", "c"}
    elif name == "series":
        (series,) = lines  # whose values differ each time
        assert expected[name].keys() < series.keys()
    elif name == "history":
        (kept,) = expected[name]["messages"]
        told = [(line["topic"], line["payload_base64"]) for line in lines]
        assert told == [(kept["topic"], kept["payload"])]
    elif name == "dynamic_security":
        assert lines == expected[name]["responses"][:1]
    else:
        assert lasting(lines) == expected[name].get("items", [expected[name]]), name
