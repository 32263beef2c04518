"""What outlives a connection (MQTT 5.0 §4.1): subscriptions, what is in flight, what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.routing.filters import FilterPaths
from trio_mqtt.broker.sessions.delivery_state import DeliveryState
from trio_mqtt.protocol.delivery import Receiver
from trio_mqtt.protocol.packets import Will
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.sessions.outlet import Outlet
    from trio_mqtt.broker.sessions.subscription import Subscription
    from trio_mqtt.broker.timers import Timer

NEVER = 0xFFFF_FFFF  # a session expiry interval that does not end (§3.1.2.11.2)


class Session(DeliveryState):
    """One client's state. The tasks of at most one connection work on it at a time."""

    __slots__ = (
        "_claimant",
        "_released",
        "_timer",
        "expires_at",
        "expiry_interval",
        "filter_bytes",
        "holder",
        "owner",
        "paths",
        "receiver",
        "renamed",
        "subscriptions",
        "will",
    )

    def __init__(self, client_id: str) -> None:
        super().__init__(client_id)
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
        self.will: Will | None = None
        # The filters of subscriptions that a hook has replaced, by those that the client knows.
        self.renamed: dict[str, str] = {}
        # The way to the client of the connection that will have the session next, or has it.
        self._claimant: Outlet | None = None
        self._released = trio.Event()
        # What happens next while no connection has the session: its will is due, or it expires.
        self._timer: Timer | None = None

    async def attach(self, outlet: Outlet) -> None:
        """Give the session to the connection of `outlet`, once the one before has let go of it.

        That one is told that its session was taken over (MQTT 5.0 §3.1.4). If yet another
        connection claims the session meanwhile, this one is ended in the same way.
        """
        self.disown()
        self._claimant = outlet
        # Whoever was superseded has been cancelled, so that waiting ends here for it.
        while self.outlet is not None or self._claimant is not outlet:
            await self._released.wait()
        self.outlet = outlet
        self._released = trio.Event()

    def begin(self, will: Will | None, expiry_interval: int, receive_maximum: int) -> None:
        """CONNECT was accepted: what it says of the will and the session's end holds now."""
        self.cancel_timer()
        self.will = will
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
        self._released.set()
        return True

    @property
    def is_claimed(self) -> bool:
        """Whether a connection has the session or waits for it."""
        return self._claimant is not None

    def disown(self) -> None:
        """End whatever connection has the session or waits for it: another one takes its place."""
        if self._claimant is not None:
            self._claimant.end(ReasonCode.SESSION_TAKEN_OVER, "another connection took the session")

    def set_timer(self, timer: Timer) -> None:
        """Let `timer` decide what happens next, and no earlier one."""
        self.cancel_timer()
        self._timer = timer

    def cancel_timer(self) -> None:
        """The client came back, or the session has ended: what was to happen will not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
