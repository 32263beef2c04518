"""What clients ask of the broker itself: by publishing to topics that only it may publish to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.broker.routing.published import Author
    from trio_mqtt.protocol.packets import Publish

# Below it clients give commands, which may hold passwords: nobody who follows messages sees them.
CONTROL = "$CONTROL"


def without_commands(batch: Batch) -> Batch | None:
    """The messages of a batch that others may see; None if there are none."""
    if batch.topic is not None:
        return None if _is_command(batch.topic) else batch
    if not any(map(_is_command, batch.topics)):
        return batch
    seen = [message for message in batch.messages if not _is_command(message.topic)]
    return batch.part(seen) if seen else None


def _is_command(topic: str) -> bool:
    return topic.partition("/")[0] == CONTROL


class Answerer(Protocol):
    """Who answers what is published to `$NAME`, and below it."""

    def ask(self, sender: Author, message: Publish) -> bool:
        """Take a message of a client, which may publish that; whether it is one for this.

        It is acknowledged then. Else it is refused, as any to a topic that begins with $. Answers
        leave later, and in turns: what is much is not done here.
        """
