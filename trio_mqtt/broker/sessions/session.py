"""What outlives a connection (MQTT 5.0 §4.1): subscriptions, what is in flight, what waits."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.options import QueuePolicy
from trio_mqtt.broker.routing.filters import FilterPaths
from trio_mqtt.broker.sessions.delivery_state import (
    DeliveryState,
    Sent,
    delivery_row,
    in_flight_of,
    kept_among,
)
from trio_mqtt.broker.sessions.order import Order
from trio_mqtt.broker.sessions.will_room import size_of_will
from trio_mqtt.protocol.outcome import Outcome
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import Will
from trio_mqtt.protocol.reason_codes import ReasonCode
from trio_mqtt.protocol.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio_mqtt.broker.journal import Journal
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.subscription import Subscription
    from trio_mqtt.broker.sessions.will_room import WillRoom
    from trio_mqtt.broker.timers import Timer

NEVER = 0xFFFF_FFFF  # a session expiry interval that does not end (§3.1.2.11.2)


class Session(DeliveryState):
    """One client's state. The tasks of at most one connection work on it at a time."""

    __slots__ = (
        "_claimant",
        "_released",
        "_timer",
        "_will",
        "expires_at",
        "expiry_interval",
        "filter_bytes",
        "holder",
        "owner",
        "paths",
        "receiver",
        "renamed",
        "subscriptions",
        "will_due_at",
        "will_room",
    )

    def __init__(self, client_id: str, mount_point: str = "") -> None:
        super().__init__(client_id, mount_point)
        self.subscriptions: dict[str, Subscription] = {}
        # What those of them that are counted for matching have: places of wildcards, and bytes.
        self.paths = FilterPaths()
        self.filter_bytes = 0
        self.receiver = Receiver()
        self.expiry_interval = 0
        # The user who has it, where somebody has proved the name: nobody else may take it.
        self.owner: str | None = None
        # Whose it counts as, where there are bounds for one; None while it is not counted.
        self.holder: str | None = None
        # On the broker's clock; None while it is connected, and if it never does.
        self.expires_at: float | None = None
        self._will: Will | None = None
        # Where its bytes count, while the session has a holder.
        self.will_room: WillRoom | None = None
        self.will_due_at: float | None = None  # on the broker's clock, once its client has gone
        # The filters of subscriptions that a hook has replaced, by those that the client knows.
        self.renamed: dict[str, str] = {}
        # The way to the client of the connection that will have the session next, or has it.
        self._claimant: Outlet | None = None
        # For a connection that waits until another has let go of it.
        self._released: trio.Event | None = None
        # What happens next while no connection has the session: its will is due, or it expires.
        self._timer: Timer | None = None

    @property
    def will(self) -> Will | None:
        """What is published as its client leaves without a goodbye; its bytes are counted."""
        return self._will

    @will.setter
    def will(self, will: Will | None) -> None:
        if self.will_room is not None and self.holder is not None:
            self.will_room.add(self.holder, size_of_will(will) - size_of_will(self._will))
        self._will = will

    def keep_in(self, journal: Journal) -> None:
        """From now on it outlives the broker."""
        self.journal = journal
        self.number = journal.new_session()

    def keep_to(self, policy: QueuePolicy) -> None:
        """What happens from now on where there is no room for what is to wait."""
        self.queue_policy = policy
        if policy is not QueuePolicy.DROP_OLDEST:
            self.order = None
        elif self.order is None:
            self.order = order = Order()
            waiting = [
                (batch.received_at, subscription.serial, subscription, batch)
                for subscription in self.subscriptions.values()
                for batch in subscription.waiting()
            ]
            for _, _, subscription, batch in sorted(waiting, key=itemgetter(0, 1)):
                order.put(subscription, batch, self.queued_messages)

    # -- delivery, both ways (§4.3): the journal hears of what must outlive the broker ----------

    def on_publish(self, packet_id: int) -> bool:
        """PUBLISH of QoS 2 has come; whether it is a new message."""
        is_new = self.receiver.on_publish(packet_id)
        if is_new and self.journal is not None:
            self.journal.identifiers(self.number, (packet_id,), is_used=True)
        return is_new

    def refuse(self, packet_id: int) -> None:
        """A message of QoS 2 is answered by a PUBREC that fails: its identifier is free again."""
        if self.journal is not None and packet_id in self.receiver.accepted:
            self.journal.identifiers(self.number, (packet_id,), is_used=False)
        self.receiver.refused(packet_id)

    def on_run(self, kind: PacketType, packet_ids: Sequence[int]) -> Outcome[Sent]:
        """PUBACKs, PUBRECs or PUBCOMPs have come, none of which says failure."""
        outcome = self.sender.on_run(kind, packet_ids)
        journal = self.journal
        if journal is not None and outcome.items:
            if kind is PacketType.PUBREC:
                items = [(one, in_flight_of(one, item)) for one, item in outcome.items.items()]
                journal.released(
                    [delivery_row(self.number, one, 2, item, 1) for one, item in items if item[4]]
                )
            elif kind is PacketType.PUBACK:
                journal.delivered(self.number, kept_among(outcome.items.items()))
            else:
                journal.completed(self.number, kept_among(outcome.items.items()))
        return outcome

    def on_refused(self, packet_id: int, reason_code: ReasonCode) -> None:
        """PUBREC has come and says failure: its message is done with (§4.3.3)."""
        item, _ = self.sender.on_pubrec(packet_id, reason_code)
        if item is not None and self.journal is not None:
            self.journal.delivered(self.number, kept_among([(packet_id, item)]))

    def on_pubrels(self, packet_ids: Sequence[int]) -> Outcome[None]:
        """PUBRELs have come."""
        outcome = self.receiver.on_pubrels(packet_ids)
        if self.journal is not None and outcome.items:
            self.journal.identifiers(self.number, outcome.items, is_used=False)
        return outcome

    def give_up(self, packet_id: int) -> None:
        """What was in flight before is not sent again on this connection."""
        _, item = self.sender.in_flight[packet_id]
        self.sender.give_up(packet_id)
        if self.journal is not None:
            self.journal.delivered(self.number, kept_among([(packet_id, item)]))

    # -- connections ----------------------------------------------------------------------------

    async def attach(self, outlet: Outlet) -> None:
        """Give the session to the connection of `outlet`, once the one before has let go of it.

        That one is told that its session was taken over (MQTT 5.0 §3.1.4). If yet another
        connection claims the session meanwhile, this one is ended in the same way.
        """
        self.disown()
        self._claimant = outlet
        # Whoever was superseded has been cancelled, so that waiting ends here for it.
        while self.outlet is not None or self._claimant is not outlet:
            if self._released is None:
                self._released = trio.Event()
            await self._released.wait()
        self.outlet = outlet
        self._released = None

    def begin(self, will: Will | None, expiry_interval: int, receive_maximum: int) -> None:
        """CONNECT was accepted: what it says of the will and the session's end holds now."""
        self.cancel_timer()
        self.will = will
        self.will_due_at = None
        self.expiry_interval = expiry_interval
        self.expires_at = None
        self.sender.connected(receive_maximum)

    def detach(self, outlet: Outlet) -> bool:
        """The tasks of a connection have ended; whether the session was its own."""
        if self._claimant is outlet:
            self._claimant = None
        if self.outlet is not outlet:
            return False
        self.outlet = None
        if self._released is not None:
            self._released.set()
        return True

    def is_owed(self, moment: float) -> bool:
        """Whether what came up to a moment is still on its way to the client, connected now."""
        if self.outlet is None:
            return False
        in_flight = self.sender.in_flight.items()
        if any(in_flight_of(one, item)[3] <= moment for one, (_, item) in in_flight):
            return True
        return self.queued_messages > 0 and any(
            subscription.waits_since(moment) for subscription in self.subscriptions.values()
        )

    @property
    def is_claimed(self) -> bool:
        """Whether a connection has the session or waits for it."""
        return self._claimant is not None

    @property
    def is_connected(self) -> bool:
        """Whether a connection has the session, or will, and has not ended."""
        return self._claimant is not None and not self._claimant.ended

    def end(self, reason_code: ReasonCode, reason: str) -> None:
        """End whatever connection has the session or waits for it."""
        if self._claimant is not None:
            self._claimant.end(reason_code, reason)

    def withhold(self) -> None:
        """Say nothing to its client of what is not kept: it is not this broker's any more."""
        if self.outlet is not None:
            self.outlet.withhold()

    def disown(self) -> None:
        """End it as another one takes its place."""
        self.end(ReasonCode.SESSION_TAKEN_OVER, "another client came with the same identifier")

    def fail(self) -> None:
        """End it as a defect was met."""
        self.end(ReasonCode.UNSPECIFIED_ERROR, "internal error")

    def set_timer(self, timer: Timer) -> None:
        """Let `timer` decide what happens next, and no earlier one."""
        self.cancel_timer()
        self._timer = timer

    def cancel_timer(self) -> None:
        """The client came back, or the session has ended: what was to happen will not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
