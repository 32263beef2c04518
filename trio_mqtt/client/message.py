"""A message as a subscription yields it: what it carries, its acknowledgement, its response."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from anyio.lowlevel import checkpoint_if_cancelled

from trio_mqtt.client.arguments import Payload, check_acknowledgement
from trio_mqtt.errors import LocalProtocolError
from trio_mqtt.protocol.properties import Properties
from trio_mqtt.protocol.reason_codes import ReasonCode


class Acknowledgement(Protocol):
    """An acknowledgement that is owed to the broker until all who got its message agree."""

    def check(self, reason_code: ReasonCode) -> None:
        """Raise LocalProtocolError where the broker cannot be told this."""

    def settle(self, reason_code: ReasonCode = ReasonCode.SUCCESS, reason_string: str = "") -> None:
        """One of the queues that the message went to agrees; the first refusal counts."""


class Publisher(Protocol):
    """What a response is published by: the client."""

    async def publish(
        self,
        topic: str,
        payload: Payload = b"",
        *,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> ReasonCode: ...


@dataclass(slots=True)
class MessageContent:
    """What a message carries, whichever client received it (MQTT 5.0 §3.3).

    Of MQTT 3 messages, all properties are absent.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    properties: Properties

    @property
    def text(self) -> str:
        """The payload as UTF-8 text; what is not UTF-8 shows as U+FFFD."""
        return self.payload.decode(errors="replace")

    def json(self) -> Any:  # noqa: ANN401 # whatever the publisher wrote
        """The payload read as JSON. Raises ValueError where it is none."""
        import json  # few ask for it, and loading it would cost each of them

        return json.loads(self.payload)

    @property
    def content_type(self) -> str | None:
        """What the payload is, in the publisher's words, such as a MIME type (§3.3.2.3.9)."""
        return self.properties.get("content_type")

    @property
    def is_text(self) -> bool:
        """Whether the publisher says that the payload is UTF-8 text (§3.3.2.3.2)."""
        return self.properties.get("payload_format_indicator", 0) == 1

    @property
    def message_expiry_interval(self) -> int | None:
        """Seconds that the message was still good for when the broker sent it (§3.3.2.3.3)."""
        return self.properties.get("message_expiry_interval")

    @property
    def response_topic(self) -> str | None:
        """The topic that a response is to be published on (§3.3.2.3.5)."""
        return self.properties.get("response_topic")

    @property
    def correlation_data(self) -> bytes | None:
        """What a response has to carry, so that the requester knows it (§3.3.2.3.6)."""
        return self.properties.get("correlation_data")

    @property
    def user_properties(self) -> list[tuple[str, str]]:
        """Names and values that the publisher gave, in its order; names may repeat (§3.3.2.3.7)."""
        return list(self.properties.get("user_property", ()))

    @property
    def subscription_identifiers(self) -> list[int]:
        """The identifiers of the subscriptions that the message was sent for (§3.3.2.3.8)."""
        return list(self.properties.get("subscription_identifier", ()))

    def response_properties(self, properties: Properties | None) -> Properties:
        """What a response to this message carries: `properties` and its correlation data.

        Raises LocalProtocolError where the message asks for no response.
        """
        if self.response_topic is None:
            raise LocalProtocolError(
                f"The message on {self.topic!r} has no response topic: it asks for no response."
            )
        answer: Properties = {**properties} if properties else {}
        if self.correlation_data is not None:
            answer["correlation_data"] = self.correlation_data
        return answer


@dataclass(slots=True)
class Message(MessageContent):
    """A message that a subscription received.

    With `manual_acknowledgement` of `subscribe`, a message of QoS 1 or 2 is the program's to
    acknowledge: `async with message:` does it at the end of the block, unless an exception leaves
    it, and so does `await message.ack()`. What was not acknowledged when the connection ends comes
    again if the session is resumed.
    """

    _owed: Acknowledgement | None = field(default=None, repr=False, compare=False)
    _publisher: Publisher | None = field(default=None, repr=False, compare=False)
    # The packet identifier that it came with on its connection (§2.2.1); 0 at QoS 0.
    packet_id: int = field(default=0, compare=False)

    async def ack(
        self, reason_code: ReasonCode = ReasonCode.SUCCESS, *, reason_string: str = ""
    ) -> None:
        """Let the broker know that the message has been dealt with (PUBACK or PUBREC).

        Or that it has been refused: with a `reason_code` from 0x80 on, such as QUOTA_EXCEEDED or
        PAYLOAD_FORMAT_INVALID, and a `reason_string` for people (MQTT 5.0 §3.4.2). Either way the
        broker does not send it again. Of several subscriptions that the message went to, the first
        refusal is told. Raises LocalProtocolError for a code that a client must not acknowledge
        with, and for any refusal in MQTT 3, which has none.

        Elsewhere than in subscriptions with `manual_acknowledgement`, at QoS 0 and the second
        time, it does nothing. It does not wait: the acknowledgement leaves with what the client
        sends next, after those of the messages before it, as MQTT demands. Where the connection has
        ended since, the broker does not learn of it: it will send a message of QoS 1 again.
        """
        if reason_code or reason_string:
            check_acknowledgement(reason_code, reason_string)
        await checkpoint_if_cancelled()
        self.settle(reason_code, reason_string)

    def settle(self, reason_code: ReasonCode = ReasonCode.SUCCESS, reason_string: str = "") -> None:
        """What `ack` does, without a look whether the task is cancelled."""
        owed = self._owed
        if owed is not None:
            owed.check(reason_code)
            self._owed = None
            owed.settle(reason_code, reason_string)

    async def __aenter__(self) -> Message:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            # The block has done its work: cancelling that comes now does not undo it.
            self.settle()

    async def respond(
        self,
        payload: Payload = b"",
        *,
        qos: int | None = None,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> ReasonCode:
        """Publish a response: on the message's response topic, with its correlation data (§4.10).

        `qos` is that of the request, unless given. Returns and raises as `Client.publish` does;
        LocalProtocolError where the message has no response topic.
        """
        answer = self.response_properties(properties)
        if self._publisher is None or self.response_topic is None:
            raise LocalProtocolError("This message did not come through a client.")
        return await self._publisher.publish(
            self.response_topic,
            payload,
            qos=self.qos if qos is None else qos,
            retain=retain,
            properties=answer,
        )
