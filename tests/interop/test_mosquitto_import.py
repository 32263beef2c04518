"""A configuration of Mosquitto and what `tmqtt config import` makes of it answer alike."""

from __future__ import annotations

import gzip
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio
from anyio.from_thread import BlockingPortal
from tmqtt.config.mosquitto.importing import import_file
from tmqtt.config.mosquitto.statements import WrongLineError

import trio_mqtt
from tests.cli.config.mosquitto_options import NAMES
from tests.transport.dialing import Certificates
from trio_mqtt import Listen, MqttError, TlsOptions, configuration
from trio_mqtt.broker.access.files.password_changes import set_password

from .brokers import mosquitto_program, run_mosquitto_as
from .peers import DEADLINE

PAGE = Path("/usr/share/man/man5/mosquitto.conf.5.gz")
EXAMPLE = Path("/usr/share/doc/mosquitto/examples/mosquitto.conf")

pytestmark = pytest.mark.skipif(
    mosquitto_program() is None, reason="Mosquitto is not installed: apt-get install mosquitto"
)


@dataclass(frozen=True, slots=True)
class Who:
    """A client, and what it tries."""

    username: str | None = None
    password: str | None = None
    certificate: str | None = None  # of a client that shows one, by its name
    listener: int = 0
    publishes: tuple[str, ...] = ("t",)
    subscribes: tuple[str, ...] = ("t",)
    size: int = 1
    retains: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """A configuration as people have them, and who comes."""

    text: str
    clients: tuple[Who, ...]
    ports: int = 1
    options: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


NOBODY, ALICE, BOB = Who(), Who("alice", "right"), Who("bob", "his")
WRONG, UNKNOWN, CLAIMS = Who("alice", "wrong"), Who("carol", "x"), Who("carol")
EVERYBODY = (NOBODY, ALICE, BOB, WRONG, UNKNOWN, CLAIMS)
PASSWORDS = "password_file {folder}/passwords\n"
PATTERNS = """\
topic read news/#
user alice
topic readwrite home/#
topic deny home/secret
pattern write status/%u
pattern readwrite clients/%c/#
"""
RIGHTS = ("news/1", "home/x", "home/secret", "status/alice", "status/bob", "clients/c/x", "other")


def with_rights(who: Who) -> Who:
    # Mosquitto grants all subscriptions and sends nothing, where we refuse them: which messages
    # come is compared where files of access are (`test_mosquitto_files.py`).
    return replace(who, publishes=RIGHTS, subscribes=())


TLS = "certfile {folder}/server.pem\nkeyfile {folder}/server.key\ncafile {folder}/ca.pem\n"

FOLDER, CLOSED = "files of a folder", "a listener and nothing else"
SHAPES = {
    "nothing said": Shape("", EVERYBODY, options=("-p", "{port}")),
    "anonymous in the house": Shape("listener {port}\nallow_anonymous true\n", EVERYBODY),
    CLOSED: Shape("listener {port} 127.0.0.1\n", EVERYBODY),
    "of old": Shape("port {port}\nbind_address 127.0.0.1\n" + PASSWORDS, EVERYBODY),
    "Docker": Shape(
        "persistence true\npersistence_location {folder}/data/\nlog_dest stdout\n"
        "listener {port} 0.0.0.0\nallow_anonymous false\n" + PASSWORDS,
        EVERYBODY,
    ),
    "Home Assistant's add-on": Shape(
        "user root\nlog_dest stdout\nlog_type error\nlog_type warning\nlog_type notice\n"
        "log_type information\npersistence true\npersistence_location {folder}/data/\n"
        "max_queued_messages 8192\nallow_anonymous false\n" + PASSWORDS
        + "acl_file {folder}/acl\nlistener {port}\nprotocol mqtt\n"
        "listener {port2}\nprotocol websockets\n",
        (NOBODY, with_rights(ALICE), with_rights(BOB), WRONG,
         replace(with_rights(ALICE), listener=1), replace(NOBODY, listener=1)),
        ports=2,
        files={"acl": "user alice\ntopic readwrite #\nuser bob\ntopic read home/#\n"},
    ),
    "rights with patterns": Shape(
        "listener {port}\nallow_anonymous true\n" + PASSWORDS + "acl_file {folder}/acl\n",
        tuple(map(with_rights, (NOBODY, ALICE, BOB))),
        files={"acl": PATTERNS},
    ),
    "two listeners with settings of their own": Shape(
        "per_listener_settings true\nlistener {port} 127.0.0.1\nallow_anonymous true\n"
        "listener {port2}\nallow_anonymous false\n" + PASSWORDS + "acl_file {folder}/acl\n",
        (*EVERYBODY, *(replace(with_rights(who), listener=1) for who in EVERYBODY)),
        ports=2,
        files={"acl": PATTERNS},
    ),
    "TLS": Shape("listener {port}\nallow_anonymous true\n" + TLS, (NOBODY, ALICE)),
    "TLS with client certificates": Shape(
        "listener {port}\nrequire_certificate true\nuse_identity_as_username true\n" + TLS
        + "acl_file {folder}/acl\n",
        (NOBODY, *(with_rights(Who(certificate=name)) for name in ("alice", "bob"))),
        files={"acl": PATTERNS},
    ),
    "certificates and passwords": Shape(
        "listener {port}\nrequire_certificate true\n" + TLS + PASSWORDS,
        (ALICE, replace(ALICE, certificate="bob"), replace(NOBODY, certificate="bob")),
    ),
    "WebSocket": Shape(
        "allow_anonymous true\nlistener {port}\nlistener {port2}\nprotocol websockets\n",
        (NOBODY, replace(NOBODY, listener=1)),
        ports=2,
    ),
    "a Unix socket": Shape(
        "allow_anonymous true\nlistener {port}\nlistener 0 {folder}/{side}.sock\n",
        (NOBODY, replace(NOBODY, listener=1), replace(ALICE, listener=1)),
    ),
    "bounds": Shape(
        "listener {port}\nallow_anonymous true\nmax_packet_size 2000\nmax_qos 1\n"
        "max_inflight_messages 5\nmax_queued_messages 50\nmax_keepalive 30\n"
        "retain_available false\nmemory_limit 10000000000\n",
        (NOBODY, replace(NOBODY, size=1_900), replace(NOBODY, size=2_000),
         replace(NOBODY, retains=True)),
    ),
    "large payloads": Shape(
        "listener {port}\nallow_anonymous true\nmessage_size_limit 1000\n",
        (replace(NOBODY, size=1_000), replace(NOBODY, size=70_000)),
    ),
    "a mount point": Shape(
        "allow_anonymous true\nlistener {port}\nlistener {port2}\nmount_point site/\n",
        (replace(NOBODY, retains=True, publishes=("site/t", "t")),
         replace(NOBODY, listener=1, publishes=("x",), subscribes=("t", "#", "site/#"))),
        ports=2,
    ),
    "a bridge": Shape(
        "listener {port} 127.0.0.1\nallow_anonymous true\nconnection cloud\n"
        "address 127.0.0.1:1\ntopic # out 1\nstart_type lazy\n",
        EVERYBODY,
    ),
    FOLDER: Shape(
        "include_dir {folder}/conf.d\n",
        EVERYBODY,
        files={
            "conf.d/10-listener.conf": "listener {port}\n",
            "conf.d/20-access.conf": "allow_anonymous false\n" + PASSWORDS,
            "conf.d/README": "no configuration",
        },
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class House:
    """The files that configurations name."""

    folder: Path
    certificates: Certificates

    def prepare(self, shape: Shape, side: str, ports: list[str]) -> str:
        """Write the files of a shape for one of the brokers; the text of its configuration."""
        names = {"port" if not at else f"port{at + 1}": port for at, port in enumerate(ports)}
        names |= {"folder": str(self.folder), "side": side}
        for name, text in shape.files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.format(**names) if name.endswith(".conf") else text)
            path.chmod(0o600)
        return ("" if shape.text.startswith("user ") else "user root\n") + shape.text.format(
            **names
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    set_password(folder / "passwords", "alice", b"right", kind="pbkdf2", create=True)
    set_password(folder / "passwords", "bob", b"his", kind="pbkdf2")
    certificates = Certificates(folder)
    key, chain = certificates.parts(certificates.server())
    (folder / "server.key").write_text(key)
    (folder / "server.pem").write_text(chain)
    (folder / "data").mkdir()
    return House(folder, certificates)


async def answers(url: str, who: Who, house: House) -> list[object]:
    """What a broker lets a client do, one after the other, until it is turned away."""
    tls = None
    if urlsplit(url).scheme in ("mqtts", "wss"):
        file = None if who.certificate is None else house.certificates.client(who.certificate)
        tls = TlsOptions(ca=house.certificates.ca_file, certificate=file)
    found: list[object] = []
    try:
        with trio.fail_after(DEADLINE):
            async with trio_mqtt.open_client(
                url, client_id="c", username=who.username, password=who.password, tls=tls,
                reconnect=False, keep_alive=60,
            ) as client:  # fmt: skip
                properties = client.server_properties
                found.append({
                    name: properties.get(name)
                    for name in ("server_keep_alive", "maximum_qos", "retain_available")
                })  # fmt: skip
                for topic_filter in who.subscribes:
                    found.append(await _allowed(_subscribed, client, topic_filter))
                for topic in who.publishes:
                    found.append(await _allowed(_published, client, topic, who))
                if who.retains:
                    found.append(sorted(await _retained(client)))
    except* MqttError:
        found.append("turned away")
    return found


async def _allowed(what: Callable[..., Awaitable[object]], *arguments: object) -> bool:
    try:
        await what(*arguments)
    except trio_mqtt.RefusedError:
        return False
    return True


async def _subscribed(client: trio_mqtt.Client, topic_filter: str) -> None:
    async with client.subscribe(topic_filter, qos=1):
        pass


async def _published(client: trio_mqtt.Client, topic: str, who: Who) -> None:
    await client.publish(topic, bytes(who.size), qos=1, retain=who.retains)


async def _retained(client: trio_mqtt.Client) -> list[str]:
    topics = []
    async with client.subscribe("#", qos=1) as messages:
        await client.publish("end", qos=1)
        async for message in messages:
            if message.topic == "end":
                break
            topics.append(message.topic)
    return topics


@contextmanager
def our_broker(text: str, folder: Path, portal: BlockingPortal) -> Iterator[trio_mqtt.Broker]:
    """The broker of an imported configuration, on free ports."""
    source, target = folder / "theirs.conf", folder / "broker.toml"
    source.write_text(text)
    target.write_text(import_file(source).text())
    loaded = configuration.load(target, environment={})

    def on_free_ports(listens: object) -> list[str | Listen]:
        assert isinstance(listens, tuple | list)
        return [replace(one, url=re.sub(r":\d+(?=/|$)", ":0", one.url)) for one in listens]

    with portal.wrap_async_context_manager(loaded.run(listeners=on_free_ports)) as running:
        yield running.broker


@pytest.mark.parametrize("name", [name for name in SHAPES if name != FOLDER])
def test_both_answer_alike(name: str, house: House, trio_portal: BlockingPortal) -> None:
    shape = SHAPES[name]
    theirs = house.prepare(shape, "theirs", ["{port}", "{port2}"][: shape.ports])
    with our_broker(house.prepare(shape, "ours", ["1", "2"]), house.folder, trio_portal) as broker:
        urls = broker.urls
        got = [
            trio_portal.call(answers, _reachable(urls[who.listener]), who, house)
            for who in shape.clients
        ]
    expected = []
    with run_mosquitto_as(house.folder, theirs, *shape.options, ports=shape.ports) as ports:
        for who in shape.clients:
            scheme = urlsplit(urls[who.listener]).scheme
            port = ports[min(who.listener, len(ports) - 1)]
            url = f"{scheme}://127.0.0.1:{port}" + "/" * scheme.startswith("ws")
            if scheme == "unix":
                url = f"unix://{house.folder}/theirs.sock"
            expected.append(trio_portal.call(answers, url, who, house))
    for who, ours, mosquittos in zip(shape.clients, got, expected, strict=True):
        assert ours == mosquittos, who
    let_in = {
        who.listener
        for who, ours in zip(shape.clients, got, strict=True)
        if ours != ["turned away"]
    }
    wanted = set() if name == CLOSED else {who.listener for who in shape.clients}
    assert let_in == wanted  # else it would compare nothing


def test_both_include_the_files_of_a_folder(house: House, trio_portal: BlockingPortal) -> None:
    _with_files(SHAPES[FOLDER], house, trio_portal)


def _with_files(shape: Shape, house: House, portal: BlockingPortal) -> None:
    """The same, where the port stands in a file that is included."""
    with our_broker(house.prepare(shape, "ours", ["1"]), house.folder, portal) as broker:
        url = broker.url
        got = [portal.call(answers, _reachable(url), who, house) for who in shape.clients]
    # The port is that of an option instead: the file says nothing of it.
    listener = house.folder / "conf.d/10-listener.conf"
    listener.unlink()
    with run_mosquitto_as(
        house.folder, f"user root\nlistener {{port}}\ninclude_dir {house.folder}/conf.d\n"
    ) as (port,):
        expected = [
            portal.call(answers, f"mqtt://127.0.0.1:{port}", who, house) for who in shape.clients
        ]
    assert got == expected


def _reachable(url: str) -> str:
    return url.replace("0.0.0.0", "127.0.0.1").replace("/*", "/")  # noqa: S104


@pytest.mark.skipif(not EXAMPLE.exists(), reason="Mosquitto's package has no example here")
def test_each_option_of_mosquittos_own_example_is_known(tmp_path: Path) -> None:
    """The example is all comments: each option in it is tried, with its value or one that fits."""
    draft = import_file(EXAMPLE)
    assert [one.settings["url"][0] for one in draft.listeners] == ["mqtt://127.0.0.1:1883"]
    values = {"listener": "1883", "connection": "cloud", "max_packet_size": "1000",
              "websockets_headers_size": "1024", "include_dir": str(tmp_path)}  # fmt: skip
    text = EXAMPLE.read_text(encoding="utf-8")
    found = re.findall(r"^#([a-z][a-z0-9_.]+)(?: (\S+))?$", text, re.MULTILINE)
    assert len(found) > 80
    for name, value in dict(found).items():
        if name == "auth_opt_":
            continue
        known = values.get(name) or value or "x"
        refusals = [_refusal(tmp_path, name, each) for each in (known, "true", "1", "1d", "mqtt")]
        assert not any("is no option of Mosquitto" in each for each in refusals), name


@pytest.mark.skipif(not PAGE.exists(), reason="Mosquitto's package has no page here")
def test_each_option_of_mosquittos_own_page_is_in_the_list() -> None:
    """That each of them is taken over or told, tests/cli/config shows."""
    text = gzip.decompress(PAGE.read_bytes()).decode().replace("\\&", "")
    terms = re.findall(r"^\.PP\n\\fB([^\n]+)\n\.RS 4", text, re.MULTILINE)
    found = {name for term in terms for name in re.findall(r"(?:^|, \\fB)([a-z][\w.]+)", term)}
    assert len(found) > 100
    # Those of plugins begin so, and go on as the plugin wants.
    assert found.difference(NAMES) <= {"auth_opt_", "plugin_opt_"}


def _refusal(folder: Path, name: str, value: str) -> str:
    """Why a line is refused; empty if it is not."""
    file = folder / "one.txt"
    file.write_text(f"listener 1 h\nconnection cloud\n{name} {value}\n")
    try:
        import_file(file)
    except WrongLineError as error:
        return str(error)
    return ""


def test_what_is_retained_stays_where_persistence_says_so(
    house: House, trio_portal: BlockingPortal, tmp_path: Path
) -> None:
    for persistence, stays in (("true", ["kept"]), ("false", [])):
        (tmp_path / persistence).mkdir()
        text = (
            "user root\nallow_anonymous true\nlistener {port}\n"
            f"persistence {persistence}\npersistence_location {tmp_path}/{persistence}/\n"
        )
        who = Who(publishes=("kept",), retains=True)
        looking = Who(publishes=(), retains=True)
        for attempt in (who, looking):
            with our_broker(text.format(port=1), tmp_path, trio_portal) as broker:
                ours = trio_portal.call(answers, _reachable(broker.url), attempt, house)
        for attempt in (who, looking):
            with run_mosquitto_as(tmp_path, text) as (port,):
                theirs = trio_portal.call(answers, f"mqtt://127.0.0.1:{port}", attempt, house)
        assert ours == theirs
        assert ours[-1] == stays
