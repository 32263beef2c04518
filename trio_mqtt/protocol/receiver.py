"""The receiving end of QoS 2 (MQTT 5.0 §4.3.3): what has been accepted and not released."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from trio_mqtt.protocol.outcome import Outcome, take_all
from trio_mqtt.protocol.reason_codes import ReasonCode


class Receiver:
    """The receiving end of QoS 2: which packet identifiers have been accepted and not released."""

    __slots__ = ("_accepted", "accepted")

    def __init__(self) -> None:
        # Keys alone: an empty set takes three times the memory of an empty dictionary.
        self._accepted: dict[int, None] = {}
        # What others read of it: methods change it.
        self.accepted: AbstractSet[int] = self._accepted.keys()

    def restore(self, packet_ids: Iterable[int]) -> None:
        """These had been accepted when the session was stored."""
        self._accepted.update(dict.fromkeys(packet_ids))

    def forget(self) -> None:
        """The peer has lost its session: it will release nothing that was accepted."""
        self._accepted.clear()

    def on_publish(self, packet_id: int) -> bool:
        """Whether a QoS 2 PUBLISH is new; otherwise it is a repetition, to be acknowledged only."""
        if packet_id in self._accepted:
            return False
        self._accepted[packet_id] = None
        return True

    def on_publishes(self, packet_ids: Sequence[int]) -> bool:
        """Whether all of QoS 2 that came together are new; if not, nothing has changed."""
        new: dict[int, None] = dict.fromkeys(packet_ids)
        if len(new) != len(packet_ids) or not self.accepted.isdisjoint(new):
            return False
        self._accepted.update(new)
        return True

    def refused(self, packet_id: int) -> None:
        """PUBREC was sent with a failure: the identifier is free again (§4.3.3)."""
        self._accepted.pop(packet_id, None)

    def on_pubrel(self, packet_id: int) -> ReasonCode:
        """PUBREL came: the reason code for PUBCOMP."""
        if packet_id in self._accepted:
            del self._accepted[packet_id]
            return ReasonCode.SUCCESS
        return ReasonCode.PACKET_IDENTIFIER_NOT_FOUND

    def on_all_pubrels(self, packet_ids: range) -> bool:
        """PUBRELs came for packet identifiers; False where `on_pubrels` must look at each."""
        return take_all(self._accepted, packet_ids)

    def on_pubrels(self, packet_ids: Sequence[int]) -> Outcome[None]:
        """PUBRELs came one after the other: as if each had come alone."""
        outcome: Outcome[None] = Outcome(len(packet_ids))
        items, accepted = outcome.items, self._accepted
        for place, packet_id in enumerate(packet_ids):
            if packet_id in accepted:
                del accepted[packet_id]
                items[packet_id] = None
            else:
                outcome.unknown.append(place)
        return outcome
