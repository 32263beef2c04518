"""The broker of a test, for coroutines: what is waited for, and what is done with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from trio_mqtt.protocol.properties import Properties
from trio_mqtt.testing.expectations import Expected
from trio_mqtt.testing.hosting import BrokerHost
from trio_mqtt.testing.recording import RecordedMessage
from trio_mqtt.testing.watching import Watching

T = TypeVar("T")
PATIENCE = 10.0  # seconds for which an assertion waits, where the test says nothing else


class AsyncBroker(ABC):
    """What coroutines ask of the broker of a test, and have it do.

    Each `assert_…` waits until it is so, for `within` seconds at most, and raises AssertionError
    with what came instead. `BrokerInThread.asynchronous` is one, on Trio and on asyncio, and so is
    a `MemoryBroker`.
    """

    @abstractmethod
    async def _do(self, work: Callable[[BrokerHost, Watching], Awaitable[T]]) -> T:
        """Have something done where the broker runs."""

    @abstractmethod
    def _look(self, work: Callable[[BrokerHost, Watching], T]) -> T:
        """Have something looked at where the broker runs, now."""

    @property
    def messages(self) -> list[RecordedMessage]:
        """The messages that were published, the earliest first: the last 10,000 of them."""
        return self._look(lambda _, watching: watching.recording.messages)

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
        expected = Expected(
            topic_filter,
            payload,
            qos=qos,
            retain=retain,
            properties=properties,
            user_properties=user_properties,
            client_id=client_id,
        )
        return self._look(lambda _, watching: watching.found(expected))

    def forget(self) -> None:
        """Forget what was published so far, but for retained messages, which the broker keeps."""
        self._look(lambda _, watching: watching.recording.forget())

    def fill_disk(self) -> None:
        """From now on the storage says that its disk is full: it keeps nothing more.

        Raises RuntimeError for a broker without a storage.
        """
        self._look(lambda host, _: host.fill_disk())

    def free_disk(self) -> None:
        """There is room on the disk again."""
        self._look(lambda host, _: host.free_disk())

    async def assert_published(
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

            await broker.asynchronous.assert_published("home/+/temperature", {"celsius": 21})
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
        return await self._do(lambda _, watching: watching.published(expected, count, within))

    async def assert_not_published(
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
        await self._do(lambda _, watching: watching.not_published(expected, within))

    async def assert_subscribed(
        self,
        client_id: str,
        topic_filter: str,
        *,
        qos: int | None = None,
        within: float = PATIENCE,
    ) -> None:
        """Wait until a client has subscribed to exactly this filter, if given at this QoS."""
        __tracebackhide__ = True
        await self._do(
            lambda _, watching: watching.subscribed(client_id, topic_filter, qos, within)
        )

    async def assert_connected(self, client_id: str, *, within: float = PATIENCE) -> None:
        """Wait until a client is connected."""
        __tracebackhide__ = True
        await self._do(lambda _, watching: watching.connected(client_id, within))

    async def assert_disconnected(self, client_id: str, *, within: float = PATIENCE) -> None:
        """Wait until a client is not connected."""
        __tracebackhide__ = True
        await self._do(lambda _, watching: watching.disconnected(client_id, within))

    async def start(self) -> None:
        """Start it again, where it was stopped or killed: at the same port."""
        await self._do(lambda host, _: host.start())

    async def stop(self) -> None:
        """End it in order: clients are told, and others are refused until it is started again.

        Raises StoreError where the storage could not keep what was left.
        """
        await self._do(lambda host, _: host.stop())

    async def restart(self) -> None:
        """Stop it and start it: what its storage keeps is there again."""
        await self._do(lambda host, _: host.restart())

    async def kill(self) -> None:
        """End it as `kill -9` ends a process; then `start` it again.

        Connections end without a DISCONNECT. With a storage, what was acknowledged is there
        afterwards; what was not may be, or not. Without one, all is forgotten. At a Unix socket
        clients are told all the same.
        """
        await self._do(lambda host, _: host.kill())

    async def publish(
        self,
        topic: str,
        payload: bytes | str = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Publish as the broker itself, to whoever has subscribed."""
        await self._do(
            lambda host, _: host.broker.publish(
                topic, payload, qos=qos, retain=retain, properties=properties or Properties()
            )
        )
