"""The bytes that messages occupy while they wait, near enough for bounds."""

from __future__ import annotations

from trio_mqtt.protocol.packets import Publish, PublishRun
from trio_mqtt.protocol.properties import Carrier, encode_properties

# Bytes that a batch occupies, and each of its messages, beside the packets: one by one, or in a run
# of packets that have several lengths.
BATCH = 400
MESSAGE = 160
RUN_MESSAGE = 40
RUN_MESSAGE_QOS_1 = 120
STRETCH = 100  # and each stretch of a run


def beside(run: PublishRun) -> int:
    """The bytes that each message of a run occupies beside its packet."""
    if isinstance(run.starts, range):
        return 0  # all are of one length: where each begins needs no list
    return RUN_MESSAGE_QOS_1 if run.qos else RUN_MESSAGE


def size_of(message: Publish) -> int:
    """The bytes that a message occupies, near enough for a bound."""
    if message.frame is not None:
        return len(message.frame)
    size = 64 + len(message.payload)
    if message.properties:
        size += len(encode_properties(message.properties, Carrier.PUBLISH))
    return size


def size_alone(message: Publish) -> int:
    """The bytes that a batch of one message occupies."""
    return BATCH + MESSAGE + size_of(message)
