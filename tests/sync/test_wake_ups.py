"""Threads that wait are told of what they wait for, whoever else waits, goes away or ends.

Each case is brought about by events in both threads, never by time: `timeout` is for failures.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

import anyio
import pytest

from trio_mqtt import ConnectionLostError, sync
from trio_mqtt.client.threads import Block, Call
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.testing import BrokerAddress, broker_in_thread

T = TypeVar("T")
TIMEOUT = 60


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerAddress]:
    with broker_in_thread() as broker:
        yield broker


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(backend: str, broker: BrokerAddress) -> Iterator[sync.Client]:
    with sync.open_client(broker.url, backend=backend) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


class Waiting:
    """Knows when so many calls wait in the client's thread."""

    def __init__(self, client: sync.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self._client = client
        self._begun = threading.Semaphore(0)
        call = client.call

        def told(work: Callable[[], Awaitable[T]], timeout: float | None = None) -> T:
            async def begun() -> T:
                self._begun.release()
                return await work()

            return call(begun, timeout)

        self._call = call
        monkeypatch.setattr(client, "call", told)

    def until(self, count: int) -> None:
        for _ in range(count):
            assert self._begun.acquire(timeout=TIMEOUT)
        self._call(anyio.wait_all_tasks_blocked)


def arrive(client: sync.Client, messages: sync.Messages, *payloads: bytes) -> None:
    """Let messages come as one read of the connection brings them."""

    async def push() -> None:
        messages._messages.extend([Publish("a", payload) for payload in payloads])
        messages._messages.wake()

    client.call(push)


def test_what_one_thread_fetched_reaches_the_other_that_waits(
    client: sync.Client, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(client, monkeypatch)
    with client.subscribe("a") as messages:
        takers = [threads.submit(messages.get, TIMEOUT) for _ in range(2)]
        waiting.until(2)
        arrive(client, messages, b"1", b"2")
        assert {taker.result().payload for taker in takers} == {b"1", b"2"}


def test_so_does_what_was_fetched_for_a_thread_that_has_gone(
    client: sync.Client, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(client, monkeypatch)
    with client.subscribe("a") as messages:
        begun: list[Call[Any]] = []
        begin = client._bridge.begin

        def kept(call: Call[T], work: Callable[[], Awaitable[T]]) -> None:
            begun.append(call)
            begin(call, work)

        monkeypatch.setattr(client._bridge, "begin", kept)
        gone = threads.submit(messages.get, TIMEOUT)
        waiting.until(1)
        taker = threads.submit(messages.get, TIMEOUT)
        waiting.until(1)

        async def leave_as_messages_come() -> None:
            messages._messages.extend([Publish("a", b"1"), Publish("a", b"2")])
            messages._messages.wake()
            begun[0].cancel()

        client.call(leave_as_messages_come)
        got = {taker.result().payload}
        assert isinstance(gone.exception(), ConnectionLostError)  # what a cancelled call says
        got.add(messages.get(TIMEOUT).payload)
        assert got == {b"1", b"2"}


def test_a_thread_whose_time_is_up_leaves_its_turn_to_the_next(
    client: sync.Client, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(client, monkeypatch)
    with client.subscribe("a") as messages:
        hasty = threads.submit(messages.get, 0.01)
        waiting.until(1)
        patient = threads.submit(messages.get, TIMEOUT)
        waiting.until(1)
        assert isinstance(hasty.exception(), TimeoutError)
        arrive(client, messages, b"1")
        assert patient.result().payload == b"1"


def test_what_is_here_needs_no_time(client: sync.Client) -> None:
    with client.subscribe("a") as messages:
        arrive(client, messages, b"1", b"2")
        assert [messages.get(timeout=0).payload for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(TimeoutError):
            messages.get(timeout=0)


def test_all_threads_learn_that_no_more_will_come(
    client: sync.Client, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(client, monkeypatch)
    with client.subscribe("a") as messages:
        takers = [threads.submit(list, messages) for _ in range(3)]
        waiting.until(3)
    assert [taker.result() for taker in takers] == [[], [], []]
    with pytest.raises(ConnectionLostError, match="closed"):
        messages.get(TIMEOUT)


def test_a_thread_may_leave_its_subscription_when_the_client_has_ended(
    broker: BrokerAddress, backend: str, threads: ThreadPoolExecutor
) -> None:
    subscribed = threading.Event()
    ended = threading.Event()

    def follow(client: sync.Client) -> list[sync.Message]:
        with client.subscribe("a") as messages:
            subscribed.set()
            got = list(messages)
            assert ended.wait(TIMEOUT)
        return got

    with sync.open_client(broker.url, backend=backend) as client:
        follower = threads.submit(follow, client)
        assert subscribed.wait(TIMEOUT)
    ended.set()
    assert follower.result() == []
    with pytest.raises(ConnectionLostError, match=r"^The client is closed\.$"):
        client.publish("a")
    with pytest.raises(ConnectionLostError), client.subscribe("a"):
        pytest.fail("it was entered")


def test_what_is_called_as_the_client_ends_comes_to_an_end(
    broker: BrokerAddress, backend: str, threads: ThreadPoolExecutor
) -> None:
    def publish(client: sync.Client, begun: threading.Event) -> Exception:
        try:
            while True:
                client.publish("a", qos=1)
                begun.set()
        except ConnectionLostError as error:
            return error

    for _ in range(5):
        with ExitStack() as stack:
            client = stack.enter_context(sync.open_client(broker.url, backend=backend))
            begun = [threading.Event() for _ in range(2)]
            publishers = [threads.submit(publish, client, event) for event in begun]
            assert all(event.wait(TIMEOUT) for event in begun)
        assert all("closed" in str(publisher.result(TIMEOUT)) for publisher in publishers)


def test_ctrl_c_takes_back_a_block_that_is_being_entered(client: sync.Client) -> None:
    entering = threading.Event()
    taken_back: Future[bool] = Future()

    @asynccontextmanager
    async def never_entered() -> AsyncIterator[None]:
        entering.set()
        try:
            await anyio.sleep_forever()
        finally:
            taken_back.set_result(True)
        yield

    def press() -> None:
        assert entering.wait(TIMEOUT)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    assert main == threading.main_thread().ident
    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        Block(client._bridge, never_entered).enter()
    presser.join()
    assert taken_back.result(TIMEOUT)


def test_what_is_done_in_the_clients_own_thread_cannot_wait_for_it(client: sync.Client) -> None:
    async def wait() -> None:
        with pytest.raises(RuntimeError, match="own thread"):
            client.publish("a")

    client.call(wait)
