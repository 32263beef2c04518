"""When the retained messages of a subscription have all come, which no packet of MQTT says."""

from __future__ import annotations

import trio

import trio_mqtt

# Seconds without one after which there are no more. Brokers send them behind SUBACK, most of them
# at once; some read them from a store by the batch, in between of which there is next to nothing.
_QUIET = 1.0
_ROUND_TRIPS = 3  # that the silence lasts at least, where the way to the broker is long


class RetainedMessages:
    """Takes messages until a while has gone by in which none of them was retained.

    `round_trip` is what SUBSCRIBE took, in seconds. While there is no connection nothing ends: with
    the next one the broker sends all of them again.
    """

    def __init__(
        self, client: trio_mqtt.Client, messages: trio_mqtt.Messages, round_trip: float
    ) -> None:
        self._client = client
        self._messages = messages
        self._quiet = max(_QUIET, _ROUND_TRIPS * round_trip)
        self._end = trio.current_time() + self._quiet

    async def take(self, limit: int) -> list[trio_mqtt.Message]:
        """Up to `limit` messages, at least one. Raises StopAsyncIteration after the last."""
        while True:
            # What is here already came in time, however long it took to show what was before it.
            deadline = self._end if not len(self._messages) else trio.current_time() + self._quiet
            batch: list[trio_mqtt.Message] = []
            with trio.CancelScope(deadline=deadline):
                batch = await self._messages.take(limit)
            now = trio.current_time()
            if any(message.retain for message in batch):
                self._end = now + self._quiet
            elif now >= self._end:
                if self._client.connected:
                    raise StopAsyncIteration
                self._end = now + self._quiet
            if batch:
                return batch
