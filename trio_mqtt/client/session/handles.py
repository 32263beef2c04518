"""A message that was handed to the client, in the hands of the program until it is sent."""

from __future__ import annotations

from trio_mqtt.client.session.delivery import Delivery
from trio_mqtt.client.session.session import Session
from trio_mqtt.errors import WithdrawnError
from trio_mqtt.protocol.reason_codes import ReasonCode


class PublishHandle:
    """A message that is being published: wait for it, or withdraw it while it has not been sent."""

    def __init__(self, session: Session, item: Delivery, url: str) -> None:
        self._session = session
        self._item = item
        self._url = url

    @property
    def topic(self) -> str:
        """What it is published on."""
        return self._item.topic

    @property
    def done(self) -> bool:
        """Whether it has come to its end: taken, refused or withdrawn."""
        return self._item.is_done

    def withdraw(self) -> bool:
        """Have it never sent; returns whether that came in time.

        False where it has been sent, if only to a connection that broke since: then it is on its
        way, and may have arrived.
        """
        withdrawn = self._session.outgoing.take_out(self._item)
        if withdrawn:
            self._item.fail(
                WithdrawnError(f"The message on {self.topic!r} was withdrawn before it was sent.")
            )
        return withdrawn

    async def wait(self) -> ReasonCode:
        """Wait until the broker has taken responsibility for it; returns and raises as `publish`.

        Raises WithdrawnError where it was withdrawn. Cancelling leaves the message as it is.
        """
        item = self._item
        self._session.begin_to_wait()
        try:
            await item.ended()
        finally:
            self._session.end_to_wait()
        if item.error is not None:
            raise item.error
        if item.reason.is_failure:
            raise item.refusal(self._url)
        return item.reason
