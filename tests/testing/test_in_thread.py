"""A broker in a thread: what a test asks of it, how it ends and begins, from each kind of test."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import unittest
from pathlib import Path

import anyio
import pytest

import trio_mqtt
from trio_mqtt import ConnectionFailedError, StoreError, sync
from trio_mqtt.testing import BrokerInThread, broker_in_thread

BOTH = pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])


def test_what_was_published_is_found_and_given() -> None:
    with broker_in_thread() as broker, sync.open_client(broker.url, client_id="me") as client:
        client.publish(
            "home/kitchen",
            '{"t": 20, "ok": true}',
            qos=1,
            retain=True,
            properties={"content_type": "json", "user_property": [("unit", "C"), ("n", "1")]},
        )
        message = broker.assert_published(
            "home/+",
            {"t": 20, "ok": True},
            qos=1,
            retain=True,
            properties={"content_type": "json"},
            user_properties={"n": "1"},
            client_id="me",
        )
        assert message is not None
        assert (message.topic, message.json()["t"], message.client_id) == ("home/kitchen", 20, "me")
        for payload in (
            b'{"t": 20, "ok": true}',
            '{"t": 20, "ok": true}',
            re.compile(r'"t": \d+'),
            re.compile(rb"20"),
            lambda message: message.json()["t"] > 19,
        ):
            assert broker.published("#", payload) == [message]
        assert broker.messages == [message]
        broker.assert_published("home/+", count=1)
        broker.assert_published("garden/+", count=0, within=0)
        broker.assert_not_published("garden/#")
        broker.forget()
        assert broker.published("#") == []
        broker.assert_not_published("#")


def test_it_is_waited_for() -> None:
    with broker_in_thread() as broker:

        def publish_later() -> None:
            broker.publish("other", "1")
            broker.publish("late", "1", qos=1)
            broker.publish("late", "2", qos=1)

        thread = threading.Thread(target=publish_later)
        thread.start()
        message = broker.assert_published("late", 2, within=60)
        thread.join()
        assert message is not None
        assert message.client_id is None
        broker.assert_published("late", count=2, within=60)


def failure(
    broker: BrokerInThread, topic_filter: str, payload: object = ..., **what: object
) -> str:
    with pytest.raises(AssertionError) as raised:
        broker.assert_published(topic_filter, payload, within=0, **what)  # type: ignore[arg-type]
    return str(raised.value)


def test_a_failure_says_what_came_instead() -> None:
    with broker_in_thread() as broker, sync.open_client(broker.url, client_id="me") as client:
        assert "Nothing was published at all." in failure(broker, "a")
        client.publish("a/b", '{"t": 20, "l": [1, 2], "more": 1}', qos=1)
        client.publish("a/b", b"\xff\xfe", qos=1)
        client.publish("a/bc", "text", qos=1, retain=True)
        said = failure(broker, "a/b", {"t": 21, "l": [1, 3], "x": None}, qos=2, retain=True)
        assert said.startswith(
            "No message on 'a/b' with the JSON"
            ' {"t": 21, "l": [1, 3], "x": null} at QoS 2 retained came.\n'
            "On that topic came instead:\n"
        )
        for line in (
            ".t: 20, not 21",
            ".l[1]: 2, not 3",
            ".x: absent, should be null",
            ".more: 1, should be absent",
            "QoS 1, not 2",
            "not retained",
            r"payload b'\xff\xfe' is no JSON",
            "Elsewhere came, the most similar topic first:",
            "a/bc: 'text' (QoS 1, retained, from 'me')",
            "Connected: 'me'.",
            "'me' connected from",
        ):
            assert line in said
        assert "JSON 1, not true" in failure_of_json(broker, client)
        assert "payload 'text', not 'other'" in failure(broker, "a/bc", "other")
        assert "does not match '^x'" in failure(broker, "a/bc", re.compile("^x"))
        assert "refused by is_long" in failure(broker, "a/bc", is_long)
        assert "content_type absent, not 'x'" in failure(
            broker, "a/bc", properties={"content_type": "x"}
        )
        assert "user property u absent, not '1'" in failure(
            broker, "a/bc", user_properties={"u": "1"}
        )
        assert "from 'me', not 'you'" in failure(broker, "a/bc", client_id="you")
        assert "Once a message on 'a/b' was to come, and 2 came." in failure(broker, "a/b", count=1)
        with pytest.raises(AssertionError, match=r"was not to come, and did:\n.*a/bc: 'text'"):
            broker.assert_not_published("a/+", "text")


def is_long(message: trio_mqtt.testing.RecordedMessage) -> bool:
    return len(message.payload) > 10


def failure_of_json(broker: BrokerInThread, client: sync.Client) -> str:
    client.publish("one", "1", qos=1)
    return failure(broker, "one", True)


def test_clients_and_subscriptions_are_found() -> None:
    with broker_in_thread() as broker:
        with sync.open_client(broker.url, client_id="me") as client:
            broker.assert_connected("me")
            with client.subscribe("a/#", qos=1):
                broker.assert_subscribed("me", "a/#", qos=1)
                with pytest.raises(AssertionError, match="'a/#' at QoS 1"):
                    broker.assert_subscribed("me", "a/#", qos=2, within=0)
            with pytest.raises(AssertionError, match="is connected still"):
                broker.assert_disconnected("me", within=0)
        broker.assert_disconnected("me")
        with pytest.raises(AssertionError, match="No client 'me' connected"):
            broker.assert_connected("me", within=0)


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_what_was_acknowledged_outlives_a_restart_and_a_kill(kind: str, tmp_path: Path) -> None:
    data = True if kind == "memory" else tmp_path
    with broker_in_thread(data=data) as broker:
        for end in (broker.restart, broker.kill):
            broker.assert_not_published("a", within=0)
            with sync.open_client(broker.url, client_id="me", reconnect=True) as client:
                client.publish("a", "kept", qos=1, retain=True)
                end()
                broker.start()
                broker.assert_connected("me", within=60)
                with client.subscribe("a") as messages:
                    assert messages.get(timeout=60).text == "kept"
            broker.forget()


def test_killed_it_says_no_goodbye() -> None:
    with broker_in_thread() as broker:
        with socket.create_connection((broker.host, broker.port)) as client:
            client.settimeout(60)
            client.sendall(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01c")
            assert client.recv(1) == b"\x20"
            broker.assert_connected("c", within=60)
            client.recv(1_000)
            broker.kill()
            assert client.recv(1_000) == b""  # no DISCONNECT
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((broker.host, broker.port))
        broker.start()
        with sync.open_client(broker.url):
            pass


def test_without_data_it_forgets_all() -> None:
    with broker_in_thread() as broker:
        broker.publish("a", "kept", retain=True)
        broker.restart()
        with sync.open_client(broker.url) as client, client.subscribe("a") as messages:
            assert list(messages.until_quiet(0.01)) == []


def test_stopped_it_refuses_and_its_port_stays() -> None:
    with broker_in_thread() as broker:
        broker.stop()
        with pytest.raises(ConnectionFailedError):
            sync.open_client(broker.url).__enter__()
        with pytest.raises(RuntimeError, match="The broker is stopped: start it first"):
            broker.publish("a", "1")
        for _ in range(3):
            broker.stop()
            broker.start()
            broker.start()
        with sync.open_client(broker.url):
            pass


def test_a_full_disk_is_told_and_ends(tmp_path: Path) -> None:
    with broker_in_thread(data=tmp_path) as broker:
        with sync.open_client(broker.url, client_id="me") as client:
            client.publish("a", "1", qos=1, retain=True)
            broker.fill_disk()
            waiting = client.begin_publish("a", "2", qos=1, retain=True)
            broker.assert_published("a", 2)
            assert not waiting.done
            broker.free_disk()
            waiting.wait(timeout=60)
        broker.fill_disk()
        broker.publish("a", "3", retain=True)
        with pytest.raises(StoreError, match="no space left on device"):
            broker.stop()
        broker.free_disk()
        broker.start()
    assert any("no space left on device" in line for line in broker.log)
    with (
        broker_in_thread() as without,
        pytest.raises(RuntimeError, match="keeps nothing on a disk"),
    ):
        without.fill_disk()


def test_users_are_those_who_may_connect() -> None:
    with broker_in_thread(users={"ann": "secret"}) as broker:
        with sync.open_client(broker.url, username="ann", password="secret"):
            pass
        for password in ("wrong", None):
            with pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError):
                sync.open_client(broker.url, username="ann", password=password).__enter__()


@BOTH
@pytest.mark.anyio
async def test_coroutines_wait_and_others_run_meanwhile(anyio_backend: str) -> None:
    with broker_in_thread(data=True) as broker:
        asynchronous = broker.asynchronous

        async def act() -> None:
            async with trio_mqtt.open_client(broker.url, client_id="me") as client:
                await asynchronous.assert_connected("me")
                async with client.subscribe("x"):
                    await asynchronous.assert_subscribed("me", "x")
                await client.publish("a", "1", qos=1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(act)
            await asynchronous.assert_published("a", 1, within=60)
        await asynchronous.assert_disconnected("me")
        await asynchronous.assert_not_published("b")
        assert len(asynchronous.messages) == len(asynchronous.published("a")) == 1
        with pytest.raises(AssertionError, match="No message on 'b'"):
            await asynchronous.assert_published("b", within=0)
        await asynchronous.publish("kept", "1", retain=True, qos=1)
        await asynchronous.restart()
        await asynchronous.kill()
        await asynchronous.start()
        async with (
            trio_mqtt.open_client(broker.url) as client,
            client.subscribe("kept") as messages,
        ):
            assert (await anext(messages)).text == "1"
        with pytest.raises(RuntimeError, match=r"await broker\.asynchronous"):
            broker.assert_published("a")
        with anyio.move_on_after(0) as scope:
            await asynchronous.assert_published("b", within=600)
        assert scope.cancelled_caught
        await asynchronous.stop()


class InUnittest(unittest.TestCase):
    def setUp(self) -> None:
        self.broker = self.enterContext(broker_in_thread())

    def test_it(self) -> None:
        with sync.open_client(self.broker.url) as client:
            client.publish("a", "1", qos=1)
        self.broker.assert_published("a", 1)


def test_nothing_is_left_behind() -> None:
    before = set(threading.enumerate())
    with broker_in_thread(data=True) as broker:
        broker.restart()
        broker.network.delay(0)
        socket.create_connection((broker.network.host, broker.network.port)).close()
    assert {*threading.enumerate()} <= before
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((broker.host, broker.port))
    gc.collect()  # an unclosed socket would be a warning, and a warning an error
    with pytest.raises(RuntimeError, match="The broker of the test has ended"):
        broker.forget()


def test_a_defect_of_the_broker_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    from trio_mqtt.broker.connections.requests import Requests

    def fail(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Requests, "subscribe", fail)

    def use(*, then: type[Exception] | None = None) -> None:
        with broker_in_thread() as broker:
            with (
                pytest.raises(trio_mqtt.MqttError),
                sync.open_client(broker.url, reconnect=False) as client,
                client.subscribe("a"),
            ):
                pass
            if then is not None:
                raise then

    with pytest.raises(AssertionError, match="met a defect of its own") as raised:
        use()
    assert "ValueError('a defect')" in repr(raised.value.__cause__)
    assert "connected from" in str(raised.value)
    with pytest.raises(KeyError) as other:
        use(then=KeyError)
    assert "The broker met a defect of its own" in "".join(other.value.__notes__)


def test_what_the_test_raises_comes_first() -> None:
    with pytest.raises(KeyError), broker_in_thread():
        raise KeyError


def test_asyncio_that_is_gone_is_no_harm() -> None:
    with broker_in_thread() as broker:

        async def give_up() -> None:
            task = asyncio.ensure_future(broker.asynchronous.assert_published("a", within=600))
            await asyncio.sleep(0)
            task.cancel()

        asyncio.run(give_up())
        broker.publish("a", "1")
        broker.assert_published("a")


def test_whoever_waits_as_it_ends_is_told_so() -> None:
    told: list[BaseException] = []

    def wait(broker: BrokerInThread) -> None:
        try:
            broker.assert_published("a", within=600)
        except RuntimeError as error:
            told.append(error)

    with broker_in_thread() as broker:
        thread = threading.Thread(target=wait, args=(broker,))
        thread.start()
    thread.join(60)
    assert [str(one) for one in told] == ["The broker of the test has ended."]
