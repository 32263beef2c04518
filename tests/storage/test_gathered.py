"""Changes as they are gathered: what is written of runs is what rows of them would be."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from tests.storage.contract import in_order, session
from trio_mqtt.protocol.packets import Publish
from trio_mqtt.storage.gathered import DeliveryRun, Gathered, MessageRun
from trio_mqtt.storage.memory import MemoryStorage
from trio_mqtt.storage.rows import DeliveryRow
from trio_mqtt.storage.sqlite import SqliteStorage

SESSIONS = (1, 2, 3)


class Broker:
    """Queues, sends and delivers as chance has it, and says so."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.last = 0
        self.stored = 0  # the last message of the groups before
        self.waiting: dict[int, set[int]] = {number: set() for number in SESSIONS}
        self.changes = Gathered()

    def group(self) -> Gathered:
        """The next group of changes."""
        self.stored, self.changes = self.last, Gathered()
        for _ in range(self.chance.randrange(1, 8)):
            self.chance.choice([self.queue, self.queue, self.send, self.deliver])()
        return self.changes

    def message(self) -> Publish:
        chance = self.chance
        properties: dict[str, object] = {}
        if chance.random() < 0.1:
            properties["content_type"] = "text/plain"
        if chance.random() < 0.1:
            properties["message_expiry_interval"] = 4_000_000_000
        packet = Publish(
            f"t/{chance.randrange(3)}",
            chance.randbytes(chance.randrange(300)),
            chance.choice([0, 1, 1, 1, 1, 2]),
            chance.random() < 0.2,
            properties=properties,  # type: ignore[arg-type]
        )
        if not properties and chance.random() < 0.5:  # as a decoder makes it
            packet.frame = b"header" + packet.payload
            packet.payload_at = 6
            packet._payload = None
        return packet

    def queue(self) -> None:
        chance = self.chance
        messages = [self.message() for _ in range(chance.choice([1, 1, 5, 64, 200]))]
        first = self.last + 1
        self.last += len(messages)
        self.changes.came(MessageRun(first, messages, 1_700_000_000.5))
        for number in chance.sample(SESSIONS, chance.choice([1, 1, 2, 3])):
            shared = chance.random() < 0.2
            self.changes.queued(
                DeliveryRun(
                    number,
                    first,
                    messages,
                    "$share/g/t/+" if shared else "t/+",
                    shared,
                    chance.choice([1, 2]),
                    chance.random() < 0.5,
                    bytearray(chance.choice([b"", b"\x0b\x07"])),
                )
            )
            kept = {first + at for at, message in enumerate(messages) if message.qos}
            self.waiting[number] |= kept

    def some(self) -> tuple[int, list[int]]:
        """Messages that wait for a session, mostly the oldest."""
        number = self.chance.choice(SESSIONS)
        waiting = sorted(self.waiting[number])
        most = self.chance.choice([1, 20, 300])
        if self.chance.random() < 0.3:
            return number, self.chance.sample(waiting, min(len(waiting), most))
        return number, waiting[:most]

    def send(self) -> None:
        number, messages = self.some()
        gathered = {each: each % 65_535 + 1 for each in messages if each > self.stored}
        self.changes.sent(number, gathered)
        for each in messages:
            if each <= self.stored:
                row = DeliveryRow(number, each, "", 1, 0, b"", each % 65_535 + 1)
                self.changes.set_delivery(number, each, row)

    def deliver(self) -> None:
        number, messages = self.some()
        self.waiting[number] -= set(messages)
        self.changes.taken(number, [each for each in messages if each > self.stored])
        for each in messages:
            if each <= self.stored:
                self.changes.set_delivery(number, each, None)
            if not any(each in waiting for waiting in self.waiting.values()):
                if each > self.stored:
                    self.changes.gone.add(each)
                else:
                    self.changes.set_message(each, None)


@pytest.mark.parametrize("seed", range(8))
async def test_runs_are_written_as_their_rows_would_be(tmp_path: Path, seed: int) -> None:
    broker = Broker(random.Random(seed))  # noqa: S311 (what happens is no secret)
    memory, written = MemoryStorage(), SqliteStorage(tmp_path / "broker.sqlite3", "commit")
    await written.load()
    begin = Gathered()
    begin.sessions = {number: session(number) for number in SESSIONS}
    for group in (begin, *(broker.group() for _ in range(40))):
        as_rows = copy.deepcopy(group)
        assert bool(as_rows.messages or as_rows.deliveries or as_rows.sessions) == bool(group)
        await memory.append(as_rows)
        await written.append(group)
        if broker.chance.random() < 0.1:
            await written.append(group)  # what comes twice does no harm
    await written.close()
    found = await written.load()
    expected = await memory.load()
    await written.close()
    assert in_order(found) == in_order(expected)
    assert {row.message for row in found.deliveries if row.session == 1} == broker.waiting[1]


def test_what_comes_and_goes_within_a_group_leaves_nothing() -> None:
    changes = Gathered()
    messages = [Publish("t", b"x", 1)] * 3
    changes.came(MessageRun(1, messages, 1.0))
    changes.queued(DeliveryRun(1, 1, messages, "t", False, 1, False, bytearray()))
    changes.queued(DeliveryRun(2, 1, messages, "t", False, 1, False, bytearray()))
    assert changes
    assert changes.left == 6
    changes.taken(1, [1, 2, 3])
    changes.taken(2, [1, 3])
    changes.taken(2, [3])
    changes.gone.update([1, 3])
    assert changes.left == 1
    assert [row[:2] for row in changes.deliveries_left()] == [(2, 2)]
    assert [number for number, *_ in changes.messages_left()] == [2]
    changes.taken(2, [2])
    assert not changes
    assert changes.taken_count == 6
    assert changes.messages == {}
    assert changes.deliveries == {}
