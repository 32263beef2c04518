"""`sub --payload-format`: views see messages whose payloads have been decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tmqtt.messages.message import ShownMessage
from tmqtt.messages.payload_formats import DecodedMessage, PayloadFormat
from tmqtt.sub.views import View


class Decoding(View):
    """Shows messages by another view; tells of payloads that are not in the format.

    `complain` is told of a topic and what is wrong, unless it is None: then the view says it.
    """

    def __init__(
        self,
        view: View,
        payload_format: PayloadFormat,
        complain: Callable[[str, str], None] | None,
    ) -> None:
        self._view = view
        self._format = payload_format
        self._complain = complain

    async def show(self, messages: Sequence[ShownMessage], moment: int) -> None:
        decoded = [DecodedMessage(message, self._format) for message in messages]
        if self._complain is not None:
            for message in decoded:
                if message.wrong:
                    self._complain(message.topic, message.wrong)
        await self._view.show(decoded, moment)

    async def run(self) -> None:
        await self._view.run()

    def end(self) -> None:
        self._view.end()
