"""What waits for one message that is being published."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trio_mqtt.client.threads import called

if TYPE_CHECKING:
    from trio_mqtt.client.session.handles import PublishHandle as AsyncPublishHandle
    from trio_mqtt.protocol.reason_codes import ReasonCode
    from trio_mqtt.sync.caller import Caller


class PublishHandle:
    """A message that is being published: wait for it, or withdraw it while it has not been sent."""

    def __init__(self, handle: AsyncPublishHandle, client: Caller) -> None:
        self._handle = handle
        self._client = client

    @property
    def topic(self) -> str:
        """What it is published on."""
        return self._handle.topic

    @property
    def done(self) -> bool:
        """Whether it has come to its end: taken, refused or withdrawn."""
        return self._handle.done

    def withdraw(self) -> bool:
        """Have it never sent; returns whether that came in time."""
        return self._client.call(partial(called, self._handle.withdraw))

    def wait(self, timeout: float | None = None) -> ReasonCode:
        """Wait until the broker has taken it; returns and raises as `publish`."""
        return self._client.call(self._handle.wait, timeout)
