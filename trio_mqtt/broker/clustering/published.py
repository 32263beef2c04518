"""What a client has published at QoS 2, in parts of which a log knows whether it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.cluster.logs import Publisher, identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio_mqtt.broker.clustering.tracker import Tracker
    from trio_mqtt.broker.routing.batch import Batch
    from trio_mqtt.protocol.packets import Publish


def parted(batch: Batch, tracker: Tracker, epoch: int) -> Iterator[tuple[Batch, Publisher | None]]:
    """A batch of one client, whose session its node has under an epoch, in parts: those that must
    not come twice with their publisher. What is sent again is looked up one by one.
    """
    key, incoming, kept = tracker.session.key, tracker.incoming, tracker.kept
    others: list[Publish] = []
    known: list[Publish] = []
    names: list[str] = []
    for message in batch.messages:
        counted = incoming.get(message.packet_id) if message.qos == 2 else None
        if counted is None:
            others.append(message)
            continue
        name = identity(counted, message)
        if not message.dup:
            known.append(message)
            names.append(name)
            continue
        if known:
            yield batch.part(known), Publisher(key, epoch, names, kept=kept)
            known, names = [], []
        yield batch.part([message]), Publisher(key, epoch, [name], is_known=True, kept=kept)
    if known:
        yield batch.part(known), Publisher(key, epoch, names, kept=kept)
    if others:
        yield batch.part(others), None
