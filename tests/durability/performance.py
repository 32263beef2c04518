"""What clients do in a round of a plan, wherever they connect to."""

from __future__ import annotations

from abc import ABC, abstractmethod

import trio

from tests.durability.client import Client, Recorder
from tests.durability.history import Looked, Looking, Violated, WillOf
from tests.durability.plan import RETAINED_TOPICS, ROLES, Action, Part, Role, Step

LOOK_SECONDS = 15.0
QUIET = 1.0  # seconds without an event after which clients have all that is for them
SETTLE_SECONDS = 60.0


class Performance(ABC):
    """All clients of a plan, and what they have seen."""

    def __init__(self, receive_maximum: int) -> None:
        self.recorder = Recorder()
        self.clients = {
            role.name: Client(role.name, self.recorder, receive_maximum, role.version, role.expiry)
            for role in ROLES
        }
        self.looks = 0

    @abstractmethod
    def place(self, client: str) -> tuple[int, str]:
        """Where a client connects to next: a port, and which of several nodes is there."""

    async def look(self) -> None:
        """See what is retained, before anybody else connects."""
        probe = Client("probe", self.recorder, expiry=0.0)
        self.looks += 1
        end = f"r/end/{self.looks}"
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(LOOK_SECONDS) as patience:
                port, node = self.place(probe.name)
                if await probe.connect(nursery, port, node=node):
                    self.recorder.note(Looking, probe.name, RETAINED_TOPICS)
                    await probe.subscribe("r/#", 1)
                    # What is retained comes first, and then this, in the same subscription.
                    number = await probe.publish(end, 1)
                    if number is not None and await probe.sees(number):
                        found = tuple(sorted(probe.retained.items()))
                        self.recorder.note(Looked, probe.name, found)
            if patience.cancelled_caught:
                self.recorder.note(Violated, probe.name, "a look at what is retained has no end")
            await probe.leave(say_goodbye=False)
            nursery.cancel_scope.cancel()

    async def perform(self, nursery: trio.Nursery, role: Role, part: Part) -> None:
        """One client's part of a round."""
        if part.arrives is None:
            return
        await trio.sleep(part.arrives)
        await self.connect(nursery, role, part)
        for step in part.steps:
            await trio.sleep(step.pause)
            if not self.clients[role.name].is_connected:
                await self.connect(nursery, role, part)
            await self.step(nursery, role, part, step)

    async def connect(
        self, nursery: trio.Nursery, role: Role, part: Part, *, clean_start: bool = False
    ) -> None:
        client = self.clients[role.name]
        will = None
        if role.has_will:
            topic, number = f"r/w/{role.name}", self.recorder.number()
            will = WillOf(number, topic, part.will_qos, part.will_delay, part.will_retain)
        port, node = self.place(client.name)
        await client.connect(nursery, port, node=node, clean_start=clean_start, will=will)
        await self.subscribe(role)

    async def subscribe(self, role: Role) -> None:
        """Subscribe to what is never given up, where it is not."""
        client = self.clients[role.name]
        for topic_filter, qos in role.core.items():
            if topic_filter not in client.subscriptions:
                await client.subscribe(topic_filter, qos)

    async def step(self, nursery: trio.Nursery, role: Role, part: Part, step: Step) -> None:
        client = self.clients[role.name]
        match step.action:
            case Action.PUBLISH:
                await client.publish(
                    step.topic,
                    step.qos,
                    retain=step.retain,
                    is_removal=step.is_removal,
                    expiry=step.expiry,
                )
            case Action.SUBSCRIBE:
                await client.subscribe(step.topic, step.qos)
            case Action.UNSUBSCRIBE:
                await client.unsubscribe(step.topic)
            case Action.HOLD:
                client.is_holding = True
                await trio.sleep(step.seconds)
                await client.answer_held()
            case Action.AWAY:
                await client.leave(say_goodbye=step.say_goodbye)
                await trio.sleep(step.seconds)
                await self.connect(nursery, role, part)
            case Action.TAKE_OVER:
                await self.connect(nursery, role, part)
            case Action.CLEAN_START:
                await client.leave(say_goodbye=False)
                await self.connect(nursery, role, part, clean_start=True)

    async def settled(self, seconds: float) -> None:
        """All come back and take what is for them, for so many seconds at least."""
        async with trio.open_nursery() as nursery:
            for client in self.clients.values():
                nursery.start_soon(self.stay, nursery, client)
            with trio.move_on_after(SETTLE_SECONDS) as patience:
                await trio.sleep(seconds)
                await self.quiet()
            if patience.cancelled_caught:
                busy = [each.name for each in self.clients.values() if not each.is_idle]
                self.recorder.note(Violated, "all", f"no end of messages and answers: {busy}")
            await self.look()
            nursery.cancel_scope.cancel()

    async def stay(self, nursery: trio.Nursery, client: Client) -> None:
        """Be connected, again and again if need be."""
        while True:
            if not client.is_connected:
                port, node = self.place(client.name)
                await client.connect(nursery, port, node=node)
            await trio.sleep(0.2)

    async def quiet(self) -> None:
        """Wait until nothing has come for a while, and nobody waits for an answer."""
        while True:
            events = len(self.recorder.history)
            await trio.sleep(QUIET)
            idle = all(client.is_idle for client in self.clients.values())
            if idle and len(self.recorder.history) == events:
                return
