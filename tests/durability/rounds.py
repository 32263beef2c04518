"""Rounds of a plan: the broker starts, clients do what they do, the broker ends, again."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.durability.brokers import BrokerProcess, Command
from tests.durability.client import Client, Recorder
from tests.durability.history import Down, History, Looked, Looking, Stopping, Up, Violated, WillOf
from tests.durability.plan import RETAINED_TOPICS, ROLES, Action, Ending, Part, Role, Round, Step

ROUND_SECONDS = 20.0  # at most; usual are one or two
FAULT_SECONDS = 2.0  # after which a fault that did not come is a SIGKILL
LOOK_SECONDS = 15.0
QUIET = 1.0  # seconds without an event after which clients have all that is for them
SETTLE = 6.0  # seconds: more than a will's delay and what a busy machine adds
SETTLE_SECONDS = 60.0


class _Rounds:
    def __init__(self, command: Command, folder: Path, settle: float) -> None:
        self.recorder = Recorder()
        self.broker = BrokerProcess(command, folder)
        self.clients = {
            role.name: Client(
                role.name, self.recorder, command.receive_maximum, role.version, role.expiry
            )
            for role in ROLES
        }
        self.looks = 0
        self.settle_seconds = settle

    async def run(self, rounds: list[Round]) -> History:
        try:
            for each in rounds:
                await self.round(each)
            # What has come to rest is as it was after one more end.
            for seconds in (self.settle_seconds, 0.0):
                await self.settle(seconds)
        finally:
            await self.broker.kill()
        return self.recorder.history

    async def up(self, fault: str | None = None) -> bool:
        """Start the broker; whether it runs."""
        await self.broker.start(fault)
        if self.broker.is_running:
            self.recorder.note(Up)
        return self.broker.is_running

    async def down(self) -> None:
        await self.broker.kill()
        self.recorder.note(Down)
        for client in self.clients.values():
            client.broker_is_gone()

    async def round(self, it: Round) -> None:
        fault = None
        if it.ending is Ending.FAULT and self.broker.knows_faults:
            fault = f"{it.fault_place}:{it.fault_commit}"
        if await self.up(fault):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ending, it, nursery.cancel_scope)
                await self.look()
                for role in ROLES:
                    nursery.start_soon(self.perform, nursery, role, it.parts[role.name])
        await self.down()

    async def ending(self, it: Round, scope: trio.CancelScope) -> None:
        """Let the round last as long as it shall, and cancel the rest of it."""
        waits = it.ending is Ending.FAULT and self.broker.knows_faults
        seconds = it.seconds + (FAULT_SECONDS if waits else 0.0)
        with trio.move_on_after(seconds):
            await self.broker.ended()
        if it.ending is Ending.TERMINATE:
            self.recorder.note(Stopping)
            await self.broker.terminate()
        await self.broker.kill()
        scope.cancel()

    async def look(self) -> None:
        """See what is retained, before anybody else connects."""
        probe = Client("probe", self.recorder, expiry=0.0)
        self.looks += 1
        end = f"r/end/{self.looks}"
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(LOOK_SECONDS) as patience:
                if await probe.connect(nursery, self.broker.port):
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
        await client.connect(nursery, self.broker.port, clean_start=clean_start, will=will)
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

    async def settle(self, seconds: float) -> None:
        """All come back and take what is for them, for so many seconds at least."""
        await self.up()
        await self.look()
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
        await self.down()

    async def stay(self, nursery: trio.Nursery, client: Client) -> None:
        """Be connected, again and again if need be."""
        while True:
            if not client.is_connected:
                await client.connect(nursery, self.broker.port)
            await trio.sleep(0.2)

    async def quiet(self) -> None:
        """Wait until nothing has come for a while, and nobody waits for an answer."""
        while True:
            events = len(self.recorder.history)
            await trio.sleep(QUIET)
            idle = all(client.is_idle for client in self.clients.values())
            if idle and len(self.recorder.history) == events:
                return


async def run_rounds(
    command: Command, folder: Path, rounds: list[Round], settle: float = SETTLE
) -> History:
    """Go through all rounds, let everything settle, and tell what has happened.

    With less than SETTLE seconds for that, nothing can be said of wills.
    """
    with trio.fail_after(len(rounds) * ROUND_SECONDS + 2 * SETTLE_SECONDS + ROUND_SECONDS):
        return await _Rounds(command, folder, settle).run(rounds)
