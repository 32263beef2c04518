"""What a test says must have happened in a broker, looked at where the broker runs."""

from __future__ import annotations

from collections.abc import Callable

from trio_mqtt.broker.operations.forms.subscriptions import SubscriptionQuery
from trio_mqtt.testing import explaining
from trio_mqtt.testing.expectations import Expected
from trio_mqtt.testing.hosting import BrokerHost
from trio_mqtt.testing.recording import RecordedMessage, Recording


class Watching:
    """Each method returns when it is so, and raises AssertionError when it is not in time."""

    def __init__(self, host: BrokerHost) -> None:
        self._host = host

    @property
    def recording(self) -> Recording:
        """What has happened. Raises RuntimeError where nothing is recorded."""
        recording = self._host.recording
        if recording is None:
            raise RuntimeError("This broker records nothing: open it without recorded=False.")
        return recording

    def found(self, expected: Expected) -> list[RecordedMessage]:
        """The messages that were published and are as expected, the earliest first."""
        return [one for one in self.recording.messages if expected.matches(one)]

    async def published(
        self, expected: Expected, count: int | None, within: float
    ) -> RecordedMessage | None:
        """Wait for a message, or for so many of them; the first of them."""
        __tracebackhide__ = True
        recording = self.recording
        seen: list[RecordedMessage] = []
        collect = _collecting(recording, expected, seen)

        async def look() -> bool | None:
            collect()
            if count is None:
                return bool(seen) or None
            return True if len(seen) >= count else None

        await recording.until(look, within)
        if len(seen) != count if count is not None else not seen:
            raise AssertionError(explaining.not_published(expected, recording, seen, count, within))
        return seen[0] if seen else None

    async def not_published(self, expected: Expected, within: float) -> None:
        """Nothing of the kind has come, nor does for so long."""
        __tracebackhide__ = True
        recording = self.recording
        seen: list[RecordedMessage] = []
        collect = _collecting(recording, expected, seen)

        async def look() -> bool | None:
            collect()
            return bool(seen) or None

        await recording.until(look, within)
        if seen:
            raise AssertionError(explaining.published_all_the_same(seen, expected))

    async def subscribed(
        self, client_id: str, topic_filter: str, qos: int | None, within: float
    ) -> None:
        """Wait for a subscription of a client."""
        __tracebackhide__ = True
        recording = self.recording
        there: list[tuple[str, int]] = []

        async def look() -> bool | None:
            there[:] = await self._subscriptions(client_id)
            wanted = [granted for one, granted in there if one == topic_filter]
            return True if wanted and qos in (None, *wanted) else None

        is_there = await recording.until(look, within)
        if not is_there:
            raise AssertionError(
                explaining.not_subscribed(client_id, topic_filter, qos, there, recording, within)
            )

    async def _subscriptions(self, client_id: str) -> list[tuple[str, int]]:
        if not self._host.is_running:
            return []
        query = SubscriptionQuery(client_id=client_id, limit=1_000)
        page = await self._host.broker.administration.subscriptions(query)
        return [(one.topic_filter, one.qos) for one in page.items]

    async def connected(self, client_id: str, within: float) -> None:
        """Wait until a client is connected."""
        __tracebackhide__ = True
        recording = self.recording

        async def look() -> bool | None:
            return client_id in recording.connected or None

        is_there = await recording.until(look, within)
        if not is_there:
            raise AssertionError(explaining.not_connected(client_id, recording, within))

    async def disconnected(self, client_id: str, within: float) -> None:
        """Wait until a client is not connected."""
        __tracebackhide__ = True
        recording = self.recording

        async def look() -> bool | None:
            return client_id not in recording.connected or None

        is_gone = await recording.until(look, within)
        if not is_gone:
            raise AssertionError(explaining.not_disconnected(client_id, recording, within))


def _collecting(
    recording: Recording, expected: Expected, seen: list[RecordedMessage]
) -> Callable[[], None]:
    """What puts into `seen` the messages that are as expected, each message looked at once."""
    following = 0

    def collect() -> None:
        nonlocal following
        seen.extend(one for one in recording.since(following) if expected.matches(one))
        following = recording.next_number

    return collect
