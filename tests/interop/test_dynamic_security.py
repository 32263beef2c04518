"""Dynamic security beside Mosquitto's plugin: the same commands, the same answers and effects.

`mosquitto_ctrl` gives its commands to both brokers, and says the same of both. What is not
compared is what we refuse and Mosquitto takes without a word, such as a rule of an unknown kind:
`docs/how-to/dynamic-security.md` has the list, and `tests/broker/access/dynamic` the answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from anyio.from_thread import BlockingPortal

import trio_mqtt
from trio_mqtt import Security
from trio_mqtt.broker.access.dynamic.document import load
from trio_mqtt.broker.access.dynamic.records import State

from .brokers import run_mosquitto
from .peers import Server

TOPIC = "$CONTROL/dynamic-security/v1"
FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib")
PLUGIN = next(
    (path for path in (f"{one}/mosquitto_dynamic_security.so" for one in FOLDERS)
     if os.path.exists(path)),
    None,
)  # fmt: skip
CTRL = shutil.which("mosquitto_ctrl")

pytestmark = pytest.mark.skipif(
    PLUGIN is None or CTRL is None, reason="Mosquitto has no dynamic security here"
)


class Broker(NamedTuple):
    port: int
    file: Path

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


class Both(NamedTuple):
    ours: Broker
    mosquitto: Broker


def dynsec(port: int, *arguments: str) -> tuple[int, str]:
    """What mosquitto_ctrl says of a command, and how it ends."""
    assert CTRL is not None
    who = ["-h", "127.0.0.1", "-p", str(port), "-u", "admin", "-P", "pw"]
    run = subprocess.run(  # as it is found
        [CTRL, *who, "dynsec", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    told = [line for line in run.stderr.splitlines() if "encryption" not in line]
    return run.returncode, run.stdout + "\n".join(told[1:] if told else [])


def run_plugin(folder: Path, file: Path) -> AbstractContextManager[Server]:
    access = f"allow_anonymous true\nplugin {PLUGIN}\nplugin_opt_config_file {file}"
    return run_mosquitto(folder, access)


@pytest.fixture
def both(tmp_path: Path, trio_portal: BlockingPortal) -> Iterator[Both]:
    """Both brokers, with the file that mosquitto_ctrl makes for each."""
    assert CTRL is not None
    files = [tmp_path / "ours.json", tmp_path / "mosquitto.json"]
    init = [CTRL, "dynsec", "init", str(files[0]), "admin", "pw"]
    subprocess.run(init, check=True, capture_output=True, timeout=60)  # as it is found
    files[0].chmod(0o600)
    shutil.copy(*files)
    security = Security(dynamic=files[0], allow_anonymous=True)
    opening = trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security)
    with (
        trio_portal.wrap_async_context_manager(opening) as ours,
        run_plugin(tmp_path, files[1]) as server,
    ):
        port = int(ours.url.rpartition(":")[2])
        yield Both(Broker(port, files[0]), Broker(server.port, files[1]))


CTRL_COMMANDS = """\
createRole sensors
createRole readers
createRole sensors
addRoleACL sensors publishClientSend sensors/# allow 5
addRoleACL sensors publishClientSend sensors/secret/# deny 9
addRoleACL sensors publishClientReceive sensors/# allow
addRoleACL sensors subscribeLiteral sensors/one allow
addRoleACL sensors subscribePattern sensors/+/state allow 3
addRoleACL sensors unsubscribeLiteral sensors/one deny
addRoleACL sensors unsubscribePattern # allow
addRoleACL sensors publishClientSend sensors/# allow
addRoleACL nobody publishClientSend a allow
addRoleACL sensors publishClientSend a/#/b allow
getRole sensors
removeRoleACL sensors publishClientSend sensors/secret/#
removeRoleACL sensors publishClientSend sensors/secret/#
getRole sensors
getRole nobody
listRoles
listRoles 1
listRoles 1 1
createClient alice -p hers
createClient bob -c bobs-device -p his
createClient alice -p again
getClient bob
getClient nobody
listClients
listClients 1 1
setClientPassword alice other
setClientPassword nobody other
setClientId alice a-device
getClient alice
setClientId alice
getClient alice
disableClient bob
getClient bob
disableClient nobody
enableClient bob
enableClient nobody
getClient bob
addClientRole alice sensors 4
addClientRole alice readers
addClientRole nobody readers
addClientRole alice nothing
getClient alice
removeClientRole alice readers
removeClientRole alice nothing
getClient alice
createGroup house
createGroup garden
createGroup house
addGroupRole house sensors 3
addGroupRole house readers
addGroupRole house readers
addGroupRole nowhere readers
addGroupClient house alice 2
addGroupClient house bob
addGroupClient house bob
addGroupClient nowhere bob
addGroupClient house nobody
getGroup house
getGroup nowhere
getClient bob
listGroups
listGroups 1
removeGroupClient house bob
removeGroupRole house readers
getGroup house
getAnonymousGroup
setAnonymousGroup garden
setAnonymousGroup nowhere
getAnonymousGroup
getDefaultACLAccess
deleteRole readers
deleteRole readers
deleteGroup house
deleteGroup house
getClient alice
deleteClient bob
deleteClient bob
listClients
""".splitlines()


def test_mosquitto_ctrl_says_the_same_of_both(both: Both) -> None:
    for line in CTRL_COMMANDS:
        arguments = line.split()
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(dynsec, broker.port, *arguments) for broker in both]
            ours, theirs = (one.result() for one in running)
        assert ours == theirs, line
    states = [without_passwords(load(broker.file)[0]) for broker in both]
    assert states[0] == states[1]


def test_each_command_that_mosquitto_ctrl_has_is_tried() -> None:
    assert CTRL is not None
    ran = subprocess.run(  # as it is found
        [CTRL, "dynsec", "help"], capture_output=True, text=True, timeout=60, check=False
    )
    told = set(re.findall(r"^[A-Z].*: +([a-z]\w+)(?: |$)", ran.stdout, re.M))
    assert "addRoleACL" in told
    tried = {line.split()[0] for line in CTRL_COMMANDS} | {"setDefaultACLAccess"}
    assert told == tried


def test_mosquitto_ctrl_changes_the_default_access(both: Both) -> None:
    """Which Mosquitto 2.0 takes without doing it, as its tool writes it otherwise than it reads."""
    port = both.ours.port
    for kind, word in (("subscribe", "allow"), ("unsubscribe", "deny")):
        for broker in both:
            assert dynsec(broker.port, "setDefaultACLAccess", kind, word) == (0, "")
    assert load(both.ours.file)[0].default_access == {
        "publishClientSend": False,
        "publishClientReceive": True,
        "subscribe": True,
        "unsubscribe": False,
    }
    lines = [line.split() for line in dynsec(port, "getDefaultACLAccess")[1].splitlines()]
    assert [words[-1] for words in lines if words] == ["deny", "allow", "allow", "deny"]
    code, told = dynsec(port, "setDefaultACLAccess", "subscribe", "perhaps")
    assert code != 0 or "Error" in told or "nvalid" in told


def without_passwords(state: State) -> State:
    clients = {name: replace(one, password=None) for name, one in state.clients.items()}
    return replace(state, clients=clients)


def c(name: str, **fields: object) -> dict[str, object]:
    return {"command": name, **fields}


ACLS = [
    {"acltype": "publishClientSend", "topic": "a/#", "priority": 5, "allow": True},
    {"acltype": "subscribePattern", "topic": "a/#", "priority": 1, "allow": True},
    {"acltype": "subscribeLiteral", "topic": "#", "allow": False},
]
REQUESTS: list[object] = [
    [c("createClient")],
    [c("createClient", username=5)],
    [c("createClient", username="a", password="p", textname="A", textdescription="d")],
    [c("createClient", username="a", correlationData="x1")],
    [c("createClient", username="b", roles=[{"rolename": "none"}])],
    [c("createClient", username="b", groups=[{"groupname": "none"}])],
    [c("createClient", username="b", clientid=7)],
    [c("createClient", username="b", password=7)],
    [c("createClient", username="b", textname=7)],
    [c("createClient", username="b", roles=[{"rolename": "admin", "priority": 3}])],
    [c("getClient", username="b"), c("getClient", username="a"), c("getClient", username="none")],
    [c("getClient"), c("enableClient"), c("disableClient"), c("setClientId"), c("deleteClient")],
    [c("setClientPassword"), c("setClientPassword", username="a")],
    [c("setClientPassword", username="a", password="")],
    [c("listClients"), c("listClients", verbose=True), c("listClients", count=1, offset=1)],
    [c("createRole", rolename="r", textname="R", textdescription="d", acls=ACLS)],
    [c("getRole", rolename="r"), c("getRole"), c("createRole"), c("deleteRole")],
    [c("addRoleACL", rolename="r", acltype="all", topic="b"), c("addRoleACL", rolename="r")],
    [c("addRoleACL", rolename="r", acltype="publishClientSend"), c("addRoleACL")],
    [c("removeRoleACL", rolename="r", acltype="all", topic="b"), c("removeRoleACL")],
    [c("removeRoleACL", rolename="r", topic="b")],
    [c("modifyRole", rolename="r", textname="S"), c("modifyRole", rolename="none")],
    [c("modifyRole", rolename="r", acls=ACLS[1:]), c("getRole", rolename="r"), c("modifyRole")],
    [c("createGroup", groupname="g", textname="G", roles=[{"rolename": "r", "priority": 2}])],
    [c("createGroup", groupname="h", roles=[{"rolename": "none"}]), c("createGroup")],
    [c("getGroup", groupname="g"), c("getGroup"), c("deleteGroup")],
    [c("addGroupClient", groupname="g"), c("addGroupClient", username="a")],
    [c("addGroupRole", groupname="g"), c("addGroupRole", rolename="r")],
    [c("addGroupRole", groupname="g", rolename="r"), c("removeGroupRole", groupname="g")],
    [c("modifyGroup", groupname="g", textdescription="d", clients=[{"username": "a"}])],
    [c("getGroup", groupname="g"), c("getClient", username="a")],
    [c("modifyGroup", groupname="g", roles=[{"rolename": "none"}]), c("modifyGroup")],
    [c("modifyGroup", groupname="g", roles=[{"rolename": "r", "priority": 0}])],
    [c("modifyGroup", groupname="none"), c("listGroups", verbose=True)],
    [c("removeGroupClient", groupname="g", username="b"), c("removeGroupClient", groupname="g")],
    [c("modifyClient", username="a", clientid="i", textname="B", roles=[{"rolename": "r"}])],
    [c("modifyClient", username="a", groups=[{"groupname": "g", "priority": -5}])],
    [c("getClient", username="a"), c("modifyClient"), c("modifyClient", username="none")],
    [c("modifyClient", username="a", roles=[{"rolename": "none"}])],
    [c("modifyClient", username="a", clientid="", groups=[], password="new")],
    [c("getClient", username="a")],
    [c("addClientRole", username="a"), c("addClientRole", rolename="r"), c("removeClientRole")],
    [c("removeClientRole", username="a", rolename="r")] * 2,
    [c("setAnonymousGroup"), c("getAnonymousGroup"), c("getDefaultACLAccess")],
    [c("setDefaultACLAccess"), c("setDefaultACLAccess", acls=5)],
    [c("setDefaultACLAccess", acls=[]), c("nonsense"), c("nonsense", correlationData="x")],
    [{"command": 7}, {}, "text", 5, c("listRoles", correlationData=5)],
    [],
    5,
    None,
]


@pytest.mark.trio
async def test_all_requests_are_answered_alike(both: Both) -> None:
    async with administered(both.ours) as ours, administered(both.mosquitto) as mosquitto:
        for request in REQUESTS:
            payload = json.dumps({"commands": request})
            assert await ours(payload) == await mosquitto(payload), payload
        for payload in ("no json", "[]", "{}", '{"commands": {}}'):
            assert await ours(payload) == await mosquitto(payload), payload
    assert without_passwords(load(both.ours.file)[0]) == without_passwords(
        load(both.mosquitto.file)[0]
    )


@asynccontextmanager
async def administered(broker: Broker) -> AsyncIterator[Any]:
    """What gives one request to a broker, and returns the answer."""
    async with (
        trio_mqtt.open_client(broker.url, username="admin", password="pw") as client,
        client.subscribe(f"{TOPIC}/response") as answers,
    ):
        following = aiter(answers)

        async def ask(payload: str) -> object:
            with trio.fail_after(60):
                await client.publish(TOPIC, payload, qos=1)
                return json.loads((await anext(following)).payload)

        yield ask


RULES = [
    ("subscribePattern", "p/+/x", 5, True),
    ("subscribePattern", "q/#", 0, True),
    ("subscribePattern", "q/deny/#", 9, False),
    ("subscribeLiteral", "lit/+", 0, True),
    ("subscribeLiteral", "q/deny/1", 0, True),
    ("publishClientSend", "s/#", 1, True),
    ("publishClientSend", "s/no/#", 2, False),
    ("publishClientSend", "s/no/yes", 3, True),
    ("publishClientSend", "+/plus", 0, True),
]
FILTERS = [
    "p/a/x", "p/+/x", "p/#", "p/a/b/x", "q/#", "q/a/#", "q", "q/deny/1", "q/deny/2", "q/deny/#",
    "q/+/1", "lit/+", "lit/a", "$SYS/#", "#", "+/#", "lit/#", f"{TOPIC}/response", "$CONTROL/#",
]  # fmt: skip
TOPICS = ["s", "s/a", "s/a/b", "s/no", "s/no/a", "s/no/yes", "x/plus", "$SYS/plus", "x", TOPIC]


@pytest.mark.trio
async def test_rules_decide_alike(both: Both) -> None:
    role = [
        {"acltype": kind, "topic": topic, "priority": priority, "allow": allow}
        for kind, topic, priority, allow in RULES
    ]
    commands = [
        c("createRole", rolename="r", acls=role),
        c("createClient", username="u", password="pw", roles=[{"rolename": "r"}]),
    ]
    found = []
    for broker in both:
        async with administered(broker) as ask:
            await ask(json.dumps({"commands": commands}))
        found.append(await allowed(broker))
    assert found[0] == found[1]
    assert any(found[0].values())


async def allowed(broker: Broker) -> dict[str, bool]:
    """What the user may do: to which filters it may subscribe, and to which topics publish."""
    found = {}
    async with trio_mqtt.open_client(broker.url, username="u", password="pw") as client:
        for topic_filter in FILTERS:
            try:
                async with client.subscribe(topic_filter):
                    found[f"subscribe {topic_filter}"] = True
            except trio_mqtt.RequestRefusedError:
                found[f"subscribe {topic_filter}"] = False
        for topic in TOPICS:
            try:
                await client.publish(topic, "x", qos=1)
                found[f"publish {topic}"] = True
            except trio_mqtt.RequestRefusedError:
                found[f"publish {topic}"] = False
    return found


@pytest.mark.trio
async def test_each_can_go_on_with_the_file_of_the_other(both: Both, tmp_path: Path) -> None:
    for broker in both:
        async with administered(broker) as ask:
            create = c("createClient", username="u", password="word")
            await ask(json.dumps({"commands": [create]}))
    security = Security(dynamic=both.mosquitto.file)
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security) as ours:
        assert await may_connect(ours.url, "word")
        assert not await may_connect(ours.url, "other")
    folder = tmp_path / "other"
    folder.mkdir()
    copied = shutil.copy(both.ours.file, folder / "copy.json")
    with run_plugin(folder, Path(copied)) as server:
        url = f"mqtt://127.0.0.1:{server.port}"
        assert await may_connect(url, "word")
        assert not await may_connect(url, "other")


async def may_connect(url: str, password: str) -> bool:
    try:
        async with trio_mqtt.open_client(url, username="u", password=password, reconnect=False):
            return True
    except trio_mqtt.MqttError:
        return False
