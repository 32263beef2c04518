"""The client and the broker authenticate each other by SCRAM-SHA-256, over real sockets."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import anyio
import pytest
import trio

import trio_mqtt
from trio_mqtt import ReasonCode, ScramClient
from trio_mqtt.access import ScramAuthenticator, ScramCredentials
from trio_mqtt.client.scram import ScramExchange

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class RunningBroker:
    """A broker in a thread of its own, so that the client may run on another event loop."""

    def __init__(self, authenticator: ScramAuthenticator) -> None:
        self._authenticator = authenticator
        self._said: SimpleQueue[tuple[str, trio.lowlevel.TrioToken]] = SimpleQueue()
        self._stop = trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        methods = {"SCRAM-SHA-256": self._authenticator}
        security = trio_mqtt.Security(authenticators=methods)
        async with trio_mqtt.open_broker("mqtt://127.0.0.1:0", security=security) as broker:
            self._said.put((broker.url, trio.lowlevel.current_trio_token()))
            await self._stop.wait()

    def __enter__(self) -> str:
        self._thread.start()
        url, self._token = self._said.get(timeout=60)
        return url

    def __exit__(self, *_error: object) -> None:
        self._token.run_sync_soon(self._stop.set)
        self._thread.join(timeout=60)


@pytest.fixture
def url() -> Iterator[str]:
    users: dict[str, str | ScramCredentials] = {
        "alice": "her password",
        "bob, = and \u00e9": ScramCredentials.of("his \u00aa", iterations=50_000),
    }
    with RunningBroker(ScramAuthenticator(users)) as url:
        yield url


@pytest.mark.normative("MQTT-4.12.0-2", "MQTT-4.12.0-5", "MQTT-4.12.1-1")
@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "her password"), ("bob, = and e\u0301", "his a")],
    ids=["plain", "prepared, and with many iterations"],
)
async def test_who_knows_the_password_is_let_in(url: str, name: str, password: str) -> None:
    with anyio.fail_after(60):
        async with (
            trio_mqtt.open_client(url, authentication=ScramClient(name, password)) as client,
            client.subscribe("t", qos=1) as messages,
        ):
            assert client.server_properties["authentication_method"] == "SCRAM-SHA-256"
            for payload in (b"1", b"2"):
                await client.publish("t", payload, qos=1)
                assert (await anext(messages)).payload == payload
                await client.reauthenticate()


async def test_messages_go_on_while_it_authenticates_again(url: str) -> None:
    authentication = ScramClient("alice", "her password")
    with anyio.fail_after(60):
        async with (
            trio_mqtt.open_client(url, authentication=authentication) as client,
            client.subscribe("t", qos=2) as messages,
        ):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(client.reauthenticate)
                for number in range(50):
                    await client.publish("t", str(number), qos=2)
            assert [(await anext(messages)).text for _ in range(50)] == [
                str(number) for number in range(50)
            ]


@pytest.mark.normative("MQTT-4.12.0-4")
@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_who_does_not_know_it_is_not(url: str, name: str) -> None:
    with anyio.fail_after(60):
        with pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError) as raised:
            async with trio_mqtt.open_client(url, authentication=ScramClient(name, "wrong")):
                pass
    assert raised.value.reason_code == ReasonCode.BAD_USER_NAME_OR_PASSWORD


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scramp", None)
    for make in (
        lambda: ScramClient("alice", "x"),
        lambda: ScramAuthenticator({}),
        lambda: ScramCredentials.of("x"),
    ):
        with pytest.raises(ImportError, match=r"install 'scramp"):
            make()


class Changing:
    """A user who, after some time, has another password."""

    method = "SCRAM-SHA-256"

    def __init__(self) -> None:
        self.password = "her password"

    def begin(self) -> ScramExchange:
        return ScramClient("alice", self.password).begin()


async def lose_the_password(url: str) -> None:
    authentication = Changing()
    async with trio_mqtt.open_client(url, authentication=authentication) as client:
        authentication.password = "wrong"
        await client.reauthenticate()


@pytest.mark.normative("MQTT-4.12.1-2")
async def test_who_fails_to_authenticate_again_is_disconnected(url: str) -> None:
    with anyio.fail_after(60):
        with pytest.raises(trio_mqtt.DisconnectedByBrokerError) as raised:
            await lose_the_password(url)
    assert raised.value.reason_code == ReasonCode.NOT_AUTHORIZED
