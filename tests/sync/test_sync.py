"""The client without async: the same client, waited for by threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import trio_mqtt
from trio_mqtt import (
    Backoff,
    ConnectionLostError,
    LocalProtocolError,
    ReasonCode,
    RequestRefusedError,
    sync,
)
from trio_mqtt.client.message import MessageContent
from trio_mqtt.events import Connected, ConnectionLost, Reconnecting
from trio_mqtt.testing import BrokerAddress, broker_in_thread


@pytest.fixture
def broker() -> Iterator[BrokerAddress]:
    with broker_in_thread() as broker:
        yield broker


@pytest.fixture(params=["asyncio", "trio"])
def client(request: pytest.FixtureRequest, broker: BrokerAddress) -> Iterator[sync.Client]:
    with sync.open_client(broker.url, backend=request.param) as client:
        yield client


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_arrives(client: sync.Client, qos: int) -> None:
    with client.subscribe("a/#", qos=qos) as messages:
        client.publish("a/b", "hello", qos=qos, properties={"content_type": "text/plain"})
        message = messages.get(timeout=60)
        assert (message.topic, message.text, message.qos) == ("a/b", "hello", qos)
        assert message.content_type == "text/plain"
        assert client.publish_many((("a", str(n)) for n in range(2_500)), qos=qos) == 2_500
        got = []
        for message in messages:
            got.append(message.text)
            if len(got) == 2_500:
                break
        assert got == [str(n) for n in range(2_500)]


def test_waits_may_be_bounded(client: sync.Client) -> None:
    with client.subscribe("a") as messages:
        with pytest.raises(TimeoutError):
            messages.get(timeout=0.01)
        client.publish("a", "1")
        client.publish("a", "2")
        assert [message.text for message in messages.until_quiet(0.5)] == ["1", "2"]
        client.publish("a", "3")
        assert messages.get().text == "3"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_connection_is_followed(backend: str) -> None:
    with ExitStack() as running:
        broker = running.enter_context(broker_in_thread())
        again = Backoff(first=60, maximum=60)
        with sync.open_client(broker.url, backend=backend, reconnect=again) as client:
            with client.events() as events:
                assert events.get(timeout=60) == Connected(
                    broker.url, client.client_id, False, client.protocol_version
                )
                with pytest.raises(TimeoutError):
                    events.get(timeout=0.01)
                running.close()
                assert isinstance(next(events), ConnectionLost)
                assert isinstance(next(events), Reconnecting)
                assert not client.connected
            with client.events() as events:
                assert [type(events.get(timeout=60)) for _ in range(2)] == [
                    ConnectionLost,
                    Reconnecting,
                ]


def test_following_ends_with_the_client(broker: BrokerAddress) -> None:
    seen = []
    begun = threading.Event()
    with sync.open_client(broker.url) as client:

        def follow() -> None:
            with client.events() as events:
                for event in events:
                    seen.append(type(event))
                    begun.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert begun.wait(60)
    thread.join(60)
    assert not thread.is_alive()
    assert seen == [Connected]


def test_requests_are_answered(client: sync.Client, broker: BrokerAddress) -> None:
    with sync.open_client(broker.url) as other, other.subscribe("echo", qos=1) as requests:

        def answer() -> None:
            requests.get(timeout=60).respond("pong")

        thread = threading.Thread(target=answer)
        thread.start()
        assert client.request("echo", "ping", timeout=60).text == "pong"
        thread.join()
    with pytest.raises(RequestRefusedError, match="Nobody"):
        client.request("nobody")


def test_a_block_acknowledges(client: sync.Client) -> None:
    with client.subscribe("a", qos=1, manual_acknowledgement=True) as messages:
        for number in range(3):
            client.publish("a", str(number), qos=1)
        with messages.get(timeout=60) as message:
            assert isinstance(message, MessageContent)
        messages.get(timeout=60).ack()
        with pytest.raises(KeyError), messages.get(timeout=60):
            raise KeyError


def test_many_threads_share_a_client_and_a_subscription(client: sync.Client) -> None:
    got: list[str] = []
    with client.subscribe("a", qos=1) as messages:

        def publish(first: int) -> None:
            for number in range(first, first + 20):
                client.publish("a", str(number), qos=1)

        def take() -> None:
            got.extend(messages.get(timeout=60).text for _ in range(40))

        threads = [threading.Thread(target=publish, args=(n * 20,)) for n in range(4)]
        threads += [threading.Thread(target=take) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got, key=int) == [str(n) for n in range(80)]


def test_the_connection_can_be_looked_at(client: sync.Client, broker: BrokerAddress) -> None:
    client.wait_connected(timeout=60)
    assert client.connected
    assert client.url == broker.url
    assert client.client_id
    assert client.protocol_version == 5
    assert str(client.status) == "connected"
    assert client.late_responses == 0
    assert "receive_maximum" in client.server_properties or client.server_properties == {}


def test_errors_are_those_of_the_asynchronous_client(client: sync.Client) -> None:
    with pytest.raises(LocalProtocolError, match="wildcard"):
        client.publish("a/#")
    with pytest.raises(TypeError, match="payload"):
        client.publish("a", 5)  # type: ignore[arg-type]  # it is wrong
    with pytest.raises(LocalProtocolError), client.subscribe("a#"):
        pytest.fail("it was entered")
    with pytest.raises(trio_mqtt.InvalidUrlError), sync.open_client("no url"):
        pytest.fail("it was entered")
    with (
        pytest.raises(trio_mqtt.ConnectionFailedError),
        sync.open_client("mqtt://127.0.0.1:1", connect_timeout=5),
    ):
        pytest.fail("nobody listens there")


def test_an_error_in_the_block_leaves_it_as_it_is(broker: BrokerAddress) -> None:
    mine = KeyError("mine")
    with pytest.raises(KeyError) as caught, sync.open_client(broker.url), ExitStack():
        raise mine
    assert caught.value is mine


def test_the_end_of_the_client_is_told_to_all_who_wait() -> None:
    errors: list[Exception] = []

    def wait(client: sync.Client, ready: threading.Event) -> None:
        try:
            with client.subscribe("a") as messages:
                ready.set()
                messages.get()
        except ConnectionLostError as error:
            errors.append(error)

    def lose_the_broker() -> None:
        with ExitStack() as stack:
            broker = stack.enter_context(broker_in_thread())
            with sync.open_client(broker.url, reconnect=False) as client:
                ready = threading.Event()
                thread = threading.Thread(target=wait, args=(client, ready))
                thread.start()
                ready.wait()
                stack.close()
                thread.join()

    with pytest.raises(ConnectionLostError):
        lose_the_broker()
    assert len(errors) == 1


SCRIPT = """
import faulthandler
import signal
import sys
from itertools import count
from trio_mqtt import Will, sync
faulthandler.dump_traceback_later(300, exit=True)  # which tells where it is
signal.signal(signal.SIGALRM, signal.default_int_handler)
def interrupted(wait, times):
    for n in range(times):
        try:
            signal.setitimer(signal.ITIMER_REAL, (n + 1) * 2e-6)
            for _ in count():
                wait()
        except KeyboardInterrupt:
            pass
with sync.open_client(sys.argv[1], will=Will("gone"), backend=sys.argv[2]) as client:
    with client.subscribe("a") as messages:
        interrupted(lambda: messages.get(timeout=60), 200)
        interrupted(lambda: client.publish("b", qos=1, timeout=60), 200)
        try:
            print("ready", flush=True)
            for message in messages:
                pass
        except KeyboardInterrupt:
            client.publish("told", qos=1, timeout=60)
            raise
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_ends_a_wait_at_any_moment_and_leaves_in_order(
    broker: BrokerAddress, backend: str
) -> None:
    with (
        sync.open_client(broker.url) as client,
        client.subscribe("told", "gone") as messages,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SCRIPT, broker.url, backend],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=330)
        assert said.strip().splitlines()[-1] == "KeyboardInterrupt", said
        assert process.returncode == -signal.SIGINT
        assert messages.get(timeout=60).topic == "told"
        client.publish("told", "and nothing else")
        assert messages.get(timeout=60).text == "and nothing else"


def test_a_broker_in_a_thread_tells_why_it_cannot_listen(broker: BrokerAddress) -> None:
    with pytest.raises(trio_mqtt.ListenError), broker_in_thread(broker.url):
        pytest.fail("the port is taken")


def test_a_message_may_be_begun_and_packets_followed(client: sync.Client) -> None:
    with client.packets() as packets:
        handle = client.begin_publish("t", "1", qos=1)
        assert handle.wait(timeout=60) is not None
        assert (handle.topic, handle.done, handle.withdraw()) == ("t", True, False)
        client.reconnect(timeout=60)
        client.disconnect()
        kinds = [packet.kind for packet in packets]
    assert kinds[:2] == ["PUBLISH", "PUBACK"]
    assert kinds.count("CONNECT") == 1
    assert packets.missed == 0


def test_all_that_the_asynchronous_client_can_is_here(
    tmp_path: Path, broker: BrokerAddress
) -> None:
    def names(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    # What waits here may take no time; `call` has work done in the client's thread.
    assert names(trio_mqtt.Client) ^ names(sync.Client) == {"publish_nowait", "call"}
    with sync.open_client(broker.url, store=tmp_path / "store") as client:
        assert client.enqueue("t", "kept", timeout=60).wait(timeout=60) is not None
        assert client.undelivered == 0
        assert client.unsubscribe("left", timeout=60) == [ReasonCode.NO_SUBSCRIPTION_EXISTED]
        with pytest.raises(LocalProtocolError, match="without an authentication method"):
            client.reauthenticate(timeout=60)
