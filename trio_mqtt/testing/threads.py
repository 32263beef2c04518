"""A broker in a thread, for any client and tests of any kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Any, TypeVar

import trio

from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.listen import Listen
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import Storage
from trio_mqtt.storage.sqlite import SqliteStorage
from trio_mqtt.storage.sqlite_tools import store_path
from trio_mqtt.testing.addresses import BrokerAddress
from trio_mqtt.testing.asynchronous import PATIENCE, AsyncBroker
from trio_mqtt.testing.broker_thread import BrokerThread
from trio_mqtt.testing.certificates import TlsKind, tls_of
from trio_mqtt.testing.expectations import Expected
from trio_mqtt.testing.hosting import BrokerHost
from trio_mqtt.testing.listening import Listening
from trio_mqtt.testing.logins import PlainPasswords
from trio_mqtt.testing.network.proxy import BrokerNetwork
from trio_mqtt.testing.recording import RecordedMessage
from trio_mqtt.testing.watching import Watching
from trio_mqtt.transport.listeners.options import ServerTls

T = TypeVar("T")

_PLAIN, _TLS = "mqtt://127.0.0.1:0", "mqtts://127.0.0.1:0"  # where a broker listens by itself


class BrokerInThread(BrokerAddress):
    """A broker that runs in a thread: `broker_in_thread` and the fixture `mqtt_broker` give it.

    `url`, `host` and `port` are where clients find it. Its methods are for tests that are no
    coroutines; those wait by `asynchronous`, which has the same. Each `assert_…` waits until it is
    so, for `within` seconds at most, and raises AssertionError with what came instead.
    """

    def __init__(self, thread: BrokerThread, url: str, ca_file: str | None = None) -> None:
        super().__init__(url)
        self._ca_file = ca_file
        self._thread = thread
        self._asynchronous = _FromElsewhere(thread)

    @property
    def asynchronous(self) -> AsyncBroker:
        """The same for coroutines, on Trio and asyncio.

        await broker.asynchronous.assert_published("status", "on")
        """
        return self._asynchronous

    @property
    def ca_file(self) -> str | None:
        """The file of the authority that clients are to trust, where `tls` asked for TLS."""
        return self._ca_file

    @property
    def network(self) -> BrokerNetwork:
        """The network before it: clients that connect to its `url` can be disturbed by the test."""
        return self._thread.network(self.url)

    @property
    def log(self) -> list[str]:
        """What has happened in the broker, in lines with the seconds since it was started."""
        return self._thread.log

    @property
    def messages(self) -> list[RecordedMessage]:
        """The messages that were published, the earliest first: the last 10,000 of them."""
        return self._asynchronous.messages

    def published(
        self,
        topic_filter: str,
        payload: object = ...,
        *,
        qos: int | None = None,
        retain: bool | None = None,
        properties: Properties | None = None,
        user_properties: Mapping[str, str] | None = None,
        client_id: str | None = None,
    ) -> list[RecordedMessage]:
        """The messages that were published so far and are as asked for, the earliest first.

        The arguments are those of `assert_published`.
        """
        return self._asynchronous.published(
            topic_filter,
            payload,
            qos=qos,
            retain=retain,
            properties=properties,
            user_properties=user_properties,
            client_id=client_id,
        )

    def forget(self) -> None:
        """Forget what was published so far, but for retained messages, which the broker keeps."""
        self._asynchronous.forget()

    def assert_published(
        self,
        topic_filter: str,
        payload: object = ...,
        *,
        qos: int | None = None,
        retain: bool | None = None,
        properties: Properties | None = None,
        user_properties: Mapping[str, str] | None = None,
        client_id: str | None = None,
        count: int | None = None,
        within: float = PATIENCE,
    ) -> RecordedMessage | None:
        """Wait until a message is published that is as it says; the first that is.

        What was published before counts, unless `forget` was called. `payload` is text, bytes, a
        compiled pattern that is searched for, a function that is asked about the
        `RecordedMessage`, or else what the payload is as JSON; by default, any. `properties` are
        those that it must have, among others, `user_properties` likewise. `count` is how often:
        then one too many fails as well, and with 0 nothing is returned.

            broker.assert_published("home/+/temperature", {"celsius": 21}, qos=1)
        """
        __tracebackhide__ = True
        expected = Expected(
            topic_filter,
            payload,
            qos=qos,
            retain=retain,
            properties=properties,
            user_properties=user_properties,
            client_id=client_id,
        )
        return self._do(lambda _, watching: watching.published(expected, count, within))

    def assert_not_published(
        self,
        topic_filter: str,
        payload: object = ...,
        *,
        qos: int | None = None,
        retain: bool | None = None,
        properties: Properties | None = None,
        user_properties: Mapping[str, str] | None = None,
        client_id: str | None = None,
        within: float = 0.0,
    ) -> None:
        """No such message was published, and none is for `within` seconds more."""
        __tracebackhide__ = True
        expected = Expected(
            topic_filter,
            payload,
            qos=qos,
            retain=retain,
            properties=properties,
            user_properties=user_properties,
            client_id=client_id,
        )
        self._do(lambda _, watching: watching.not_published(expected, within))

    def assert_subscribed(
        self,
        client_id: str,
        topic_filter: str,
        *,
        qos: int | None = None,
        within: float = PATIENCE,
    ) -> None:
        """Wait until a client has subscribed to exactly this filter, if given at this QoS."""
        __tracebackhide__ = True
        self._do(lambda _, watching: watching.subscribed(client_id, topic_filter, qos, within))

    def assert_connected(self, client_id: str, *, within: float = PATIENCE) -> None:
        """Wait until a client is connected."""
        __tracebackhide__ = True
        self._do(lambda _, watching: watching.connected(client_id, within))

    def assert_disconnected(self, client_id: str, *, within: float = PATIENCE) -> None:
        """Wait until a client is not connected."""
        __tracebackhide__ = True
        self._do(lambda _, watching: watching.disconnected(client_id, within))

    def start(self) -> None:
        """Start it again, where it was stopped or killed: at the same port."""
        self._do(lambda host, _: host.start())

    def stop(self) -> None:
        """End it in order: clients are told, and others are refused until it is started again.

        Raises StoreError where the storage could not keep what was left.
        """
        self._do(lambda host, _: host.stop())

    def restart(self) -> None:
        """Stop it and start it: what its storage keeps is there again."""
        self._do(lambda host, _: host.restart())

    def kill(self) -> None:
        """End it as `kill -9` ends a process; then `start` it again.

        Connections end without a DISCONNECT. With a storage, what was acknowledged is there
        afterwards; what was not may be, or not. Without one, all is forgotten. At a Unix socket
        clients are told all the same.
        """
        self._do(lambda host, _: host.kill())

    def fill_disk(self) -> None:
        """From now on the storage says that its disk is full: it keeps nothing more.

        Raises RuntimeError for a broker without a storage.
        """
        self._asynchronous.fill_disk()

    def free_disk(self) -> None:
        """There is room on the disk again."""
        self._asynchronous.free_disk()

    def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Publish as the broker itself, to whoever has subscribed."""
        self._do(
            lambda host, _: host.broker.publish(
                topic, payload, qos=qos, retain=retain, properties=properties or Properties()
            )
        )

    def _do(self, work: Callable[[BrokerHost, Watching], Awaitable[T]]) -> T:
        __tracebackhide__ = True
        if in_event_loop():
            raise RuntimeError(
                "This waits, and in a coroutine nothing else would run meanwhile: write"
                " `await broker.asynchronous.…` there."
            )
        thread = self._thread
        return thread.portal.call(lambda: work(thread.host, thread.watching))


def in_event_loop() -> bool:
    """Whether a coroutine calls, on Trio or asyncio."""
    if trio.lowlevel.in_trio_run():
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _FromElsewhere(AsyncBroker):
    """A broker in another thread, for coroutines."""

    def __init__(self, thread: BrokerThread) -> None:
        self._thread = thread

    def _look(self, work: Callable[[BrokerHost, Watching], T]) -> T:
        return self._thread.look(work)

    async def _do(self, work: Callable[[BrokerHost, Watching], Awaitable[T]]) -> T:
        __tracebackhide__ = True
        thread = self._thread
        return await thread.portal.acall(lambda: work(thread.host, thread.watching))


@contextmanager
def broker_in_thread(
    url: str | Listen | None = None,
    *,
    users: Mapping[str, str] | None = None,
    tls: TlsKind | ServerTls | bool = False,
    data: str | PathLike[str] | bool = False,
    **options: Any,
) -> Iterator[BrokerInThread]:
    """Run a broker in a thread for as long as the context lasts: for tests of any kind.

    Port 0 takes a free one; without a `url` that is one of mqtt://127.0.0.1. `users` are those who
    may connect, with their passwords. `tls` is True for a certificate that is right; "expired",
    "not yet valid", "wrong host" or "unknown authority" are some that clients should refuse, and
    `ca_file` of the broker is the authority that they trust. `data` is a folder in which the broker
    keeps sessions and retained messages, as one with `--data` does; True keeps them in memory, so
    that they are there after `restart` and `kill`. Other `options`, and errors, are those of
    `trio_mqtt.open_broker`.

        with trio_mqtt.testing.broker_in_thread(users={"ann": "secret"}) as broker:
            print(broker.url, broker.host, broker.port)

    At the end raises what the broker raised, and AssertionError where it met a defect of its own.
    """
    storage: Storage | None = options.pop("storage", None)
    if data and storage is None:
        storage = MemoryStorage() if data is True else SqliteStorage(store_path(data))
    if users is not None:
        security = options.get("security") or Security()
        options["security"] = replace(security, passwords=PlainPasswords(users))
    ca_file: str | None = None
    shown: ServerTls | None = None
    if isinstance(tls, ServerTls):
        shown = tls
    elif tls:
        shown, ca_file = tls_of(tls)
    listening = Listening(url or (_PLAIN if shown is None else _TLS), shown)
    thread = BrokerThread(listening, storage, options)
    thread.start()
    try:
        broker = BrokerInThread(thread, thread.url(), ca_file)
        yield broker
    except BaseException as error:
        # What the test says comes first.
        try:
            thread.end()
        except Exception as another:
            error.add_note(f"The broker of the test raised as well: {another!s}")
        raise
    thread.end()
