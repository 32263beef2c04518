"""A batch that tells when it is sent, so that others need not be looked at for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.broker.routing.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio_mqtt.broker.routing.batch import Encodings, Form
    from trio_mqtt.protocol.run_frames import RunFrames


class TimedBatch(Batch):
    """A batch of which `sent` hears, with the time when it came, as often as it is sent.

    What is dropped of it, and what waits for those who are away, is not: that goes on without.
    """

    __slots__ = ("_sent",)

    def __init__(self, batch: Batch, sent: Callable[[float], None]) -> None:
        super().__init__(
            batch.content,
            sender=batch.sender,
            is_v5=batch.is_v5,
            received_at=batch.received_at,
            retained=batch.retained,
        )
        self._sent = sent

    def run_for(self, form: Form, is_v5: bool, maximum: int | None) -> RunFrames | None:
        """As any batch has it."""
        frames = super().run_for(form, is_v5, maximum)
        if frames is not None:
            self._sent(self.received_at)
        return frames

    def some(self, pieces: Sequence[int]) -> Batch:
        """As any batch has it; that is timed, too."""
        return TimedBatch(super().some(pieces), self._sent)

    def encoded(self, form: Form, is_v5: bool, maximum: int | None, now: float) -> Encodings:
        """As any batch has it."""
        self._sent(self.received_at)
        return super().encoded(form, is_v5, maximum, now)
