"""Rounds of a plan: the broker starts, clients do what they do, the broker ends, again."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.durability.brokers import BrokerProcess, Command
from tests.durability.history import Down, History, Stopping, Up
from tests.durability.performance import SETTLE_SECONDS, Performance
from tests.durability.plan import ROLES, Ending, Round

ROUND_SECONDS = 20.0  # at most; usual are one or two
FAULT_SECONDS = 2.0  # after which a fault that did not come is a SIGKILL
SETTLE = 6.0  # seconds: more than a will's delay and what a busy machine adds


class _Rounds(Performance):
    def __init__(self, command: Command, folder: Path, settle: float) -> None:
        super().__init__(command.receive_maximum)
        self.broker = BrokerProcess(command, folder)
        self.settle_seconds = settle

    def place(self, client: str) -> tuple[int, str]:
        return self.broker.port, ""

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

    async def settle(self, seconds: float) -> None:
        """Start once more, and see what is for all of them."""
        await self.up()
        await self.look()
        await self.settled(seconds)
        await self.down()


async def run_rounds(
    command: Command, folder: Path, rounds: list[Round], settle: float = SETTLE
) -> History:
    """Go through all rounds, let everything settle, and tell what has happened.

    With less than SETTLE seconds for that, nothing can be said of wills.
    """
    with trio.fail_after(len(rounds) * ROUND_SECONDS + 2 * SETTLE_SECONDS + ROUND_SECONDS):
        return await _Rounds(command, folder, settle).run(rounds)
