"""The messages of one subscription, fetched by threads, and what can be done with each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from trio_mqtt.client.arguments import Payload
from trio_mqtt.client.message import Message as AsyncMessage
from trio_mqtt.client.message import MessageContent
from trio_mqtt.client.messages import Messages as AsyncMessages
from trio_mqtt.client.threads import Inlet
from trio_mqtt.errors import ConnectionLostError
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.sync.caller import Caller

_FETCHED = 64  # messages at most, by one call of the other thread


class Messages:
    """The messages of one `subscribe`, in the order of their arrival: iterate over it.

    Several threads may iterate; each message goes to one of them. Up to 64 messages are fetched at
    once, beside the `buffer` that the subscription was given.
    """

    def __init__(self, messages: AsyncMessages, client: Caller) -> None:
        self._messages = messages
        self._client = client
        most = min(_FETCHED, messages.buffer)
        self._inlet = Inlet(client.call, lambda: messages.take(most))

    @property
    def filters(self) -> tuple[str, ...]:
        """The topic filters subscribed to."""
        return self._messages.filters

    @property
    def dropped(self) -> int:
        """How many messages were dropped because nobody took them in time."""
        return self._messages.dropped

    def __len__(self) -> int:
        """How many messages wait to be taken."""
        return len(self._messages) + len(self._inlet)

    def __iter__(self) -> Messages:
        return self

    def __next__(self) -> Message:
        return message_for(self._client, self._inlet.next(None))

    def get(self, timeout: float | None = None) -> Message:
        """The next message. Raises TimeoutError where none comes within `timeout` seconds."""
        try:
            message = self._inlet.next(timeout)
        except StopIteration:
            raise ConnectionLostError("The subscription is closed.") from None
        return message_for(self._client, message)

    def until_quiet(self, timeout: float) -> Iterator[Message]:
        """The messages that come, until none has come for `timeout` seconds."""
        while True:
            try:
                message = self._inlet.next(timeout)
            except (TimeoutError, StopIteration):
                return
            yield message_for(self._client, message)


@dataclass(slots=True)
class Message(MessageContent):
    """A message that a subscription received.

    With `manual_acknowledgement` of `subscribe`, `with message:` acknowledges it at the end of the
    block, unless an exception leaves it, and so does `message.ack()`.
    """

    _message: AsyncMessage | None = field(default=None, repr=False, compare=False)
    _client: Caller | None = field(default=None, repr=False, compare=False)

    def ack(self, reason_code: ReasonCode = ReasonCode.SUCCESS, *, reason_string: str = "") -> None:
        """Let the broker know that the message has been dealt with, or is refused."""
        if self._message is not None and self._client is not None:
            self._client.call(partial(self._message.ack, reason_code, reason_string=reason_string))

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.ack()

    def respond(
        self,
        payload: Payload = b"",
        *,
        qos: int | None = None,
        retain: bool = False,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> ReasonCode:
        """Publish a response: on the message's response topic, with its correlation data."""
        if self._message is None or self._client is None:
            raise ValueError("This message did not come through a client.")
        return self._client.call(
            partial(self._message.respond, payload, qos=qos, retain=retain, properties=properties),
            timeout,
        )


def message_for(client: Caller, message: AsyncMessage) -> Message:
    """What a thread sees of a message that the asynchronous client has received."""
    return Message(
        message.topic,
        message.payload,
        message.qos,
        message.retain,
        message.dup,
        message.properties,
        message,
        client,
    )
