"""Where messages wait until they may be sent, in the order in which `publish` was called."""

from __future__ import annotations

from collections import OrderedDict
from contextvars import ContextVar

from trio_mqtt.client.session.delivery import Delivery, SendQueue
from trio_mqtt.errors import MqttError
from trio_mqtt.protocol.properties import NO_PROPERTIES

# Messages that wait for programs that do not.
MAX_WAITING = 1_000

# In tasks that speak first on a connection, and in those that they start: what holds the others up.
_first: ContextVar[object] = ContextVar("trio_mqtt.first", default=None)


class SendQueues:
    """A queue for messages of QoS 0, which need room in the buffer, and one for those of 1 and 2.

    These need the quota, too (MQTT 5.0 §4.9). While a connection begins with what is to come
    first, that stands in a queue of its own; at the head of the other two stand messages that are
    never sent, so that they look taken.
    """

    def __init__(self) -> None:
        self.unacknowledged: SendQueue = OrderedDict()
        self.acknowledged: SendQueue = OrderedDict()
        self.first: SendQueue = OrderedDict()
        self._hold: object | None = None
        self._heads: list[Delivery] = []

    @property
    def held(self) -> bool:
        """Whether the two queues wait for `release`."""
        return self._hold is not None

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self.first) + len(self.unacknowledged) + len(self.acknowledged)

    def hold(self) -> None:
        """Before a connection is attached: what waits is to wait until `release`."""
        self._hold = object()
        for queue in (self.unacknowledged, self.acknowledged):
            head = Delivery("", b"", 0, False, NO_PROPERTIES, _nobody)
            head.join(queue)
            queue.move_to_end(head, last=False)
            self._heads.append(head)

    def release(self) -> bool:
        """What has waited may come now; returns whether anything was held."""
        self._hold = None
        heads, self._heads = self._heads, []
        for head in heads:
            head.leave_queue()
        return bool(heads)

    def speak_first(self) -> None:
        """What this task publishes, and those that it starts, does not wait for `release`."""
        _first.set(self._hold)

    @property
    def speaks_first(self) -> bool:
        """Whether this task comes before those that wait."""
        return self._hold is not None and _first.get() is self._hold

    def end(self, error: MqttError) -> None:
        """Nobody's turn will come any more."""
        for queue in (self.first, self.unacknowledged, self.acknowledged):
            for item in list(queue):
                item.leave_queue()
                item.fail(error)


def _nobody(_item: Delivery) -> None:
    """Nobody is told of the end of a message that only holds a place."""
