"""What every storage keeps to. A class of tests for each derives from `StorageContract`."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path

import trio

from trio_mqtt.storage.rows import (
    Changes,
    DeliveryRow,
    IdentifierRow,
    Kept,
    MessageRow,
    RetainedRow,
    SessionRow,
    Storage,
    SubscriptionRow,
)

# Longer than any run of the tests takes, which has these from its beginning.
LONG = 7 * 86_400
EARLIER = time.time() - 60
LATER = time.time() + LONG
RECEIVED_AT = 1_750_000_000.25


def message(number: int, expires_at: float | None = None) -> MessageRow:
    payload = b"\x00payload" * (number % 7)
    return MessageRow(
        number, "a/b", payload, 1, 0, RECEIVED_AT, b"\x02\x00\x00\x00\x09", expires_at
    )


def delivery(session: int, number: int, packet_id: int = 0, is_released: int = 0) -> DeliveryRow:
    return DeliveryRow(session, number, "a/#", 1, 0, b"\x0b\x01", packet_id, is_released, 0)


def subscription(session: int, topic_filter: str = "a/#", qos: int = 1) -> SubscriptionRow:
    return SubscriptionRow(session, topic_filter, qos, 0, 1, 7, f"b/#\0$share/g/{topic_filter}", 0)


def session(number: int, expires_at: float | None = None, will: bytes | None = None) -> SessionRow:
    author = None if will is None else '{"client_id": "c"}'
    return SessionRow(number, f"client-{number}", "ann", 3600, expires_at, will, None, author)


def retained(topic: str, payload: bytes = b"on", expires_at: float | None = None) -> RetainedRow:
    return RetainedRow(topic, payload, 1, RECEIVED_AT, b"", '["client"]', expires_at)


def changes(*rows: object) -> Changes:
    """Changes that have these rows; a pair of session and identifier is a row, too."""
    made = Changes()
    for row in rows:
        match row:
            case MessageRow():
                made.messages[row.number] = row
            case DeliveryRow():
                made.deliveries[row.session, row.message] = row
            case SubscriptionRow():
                made.subscriptions[row.session, row.topic_filter] = row
            case SessionRow():
                made.sessions[row.number] = row
            case RetainedRow():
                made.retained[row.topic] = row
            case (int(number), int(identifier)):
                made.identifiers[number, identifier] = True
            case _:
                raise AssertionError(row)
    return made


def in_order(kept: Kept) -> Kept:
    """The rows sorted where their order is nobody's business."""
    return kept._replace(
        messages=sorted(kept.messages, key=lambda row: row.number),
        identifiers=sorted(kept.identifiers),
        subscriptions=sorted(kept.subscriptions, key=lambda row: (row.session, row.topic_filter)),
        sessions=sorted(kept.sessions, key=lambda row: row.number),
        retained=sorted(kept.retained, key=lambda row: row.topic),
    )


EMPTY = Kept([], [], [], [], [], [])


class StorageContract(ABC):
    """A storage, and the next that finds what it has kept."""

    @abstractmethod
    def storage(self, folder: Path) -> Storage:
        """The one that tests begin with."""

    @abstractmethod
    def next(self, storage: Storage) -> Storage:
        """One that a broker would have after the other was closed."""

    async def kept(self, storage: Storage) -> Kept:
        """What the next broker loads."""
        await storage.close()
        storage = self.next(storage)
        kept = await storage.load()
        await storage.close()
        return in_order(kept)

    async def test_it_begins_empty(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        assert await storage.load() == EMPTY
        await storage.append(Changes())
        assert await self.kept(storage) == EMPTY

    async def test_each_row_is_there_again_as_it_was(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        kept = Kept(
            [message(1), message(2, LATER)],
            [delivery(4, 1), delivery(5, 1, packet_id=9), delivery(4, 2, 3, is_released=1)],
            [IdentifierRow(4, 1), IdentifierRow(4, 0xFFFF), IdentifierRow(5, 1)],
            [subscription(4), subscription(4, "ä/+"), subscription(5)],
            [session(4, LATER), session(5, None, b"\x00will")],
            [retained("a"), retained("b/c", b"", LATER)],
        )
        await storage.append(changes(*[row for rows in kept[:-1] for row in rows]))
        assert await self.kept(storage) == kept

    async def test_a_row_that_comes_again_is_as_it_came_last(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(
            changes(session(1), message(1), delivery(1, 1), subscription(1), retained("a"), (1, 1))
        )
        last = Kept(
            [message(1)],
            [delivery(1, 1, packet_id=7)],
            [IdentifierRow(1, 1)],
            [subscription(1, qos=2)],
            [session(1, LATER, b"will")],
            [retained("a", b"off")],
        )
        await storage.append(changes(*last.deliveries, *last.identifiers, *last.subscriptions))
        await storage.append(changes(*last.sessions, *last.retained))
        assert await self.kept(storage) == last

    async def test_what_is_gone_is_gone_and_the_rest_stays(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        numbers = range(1, 200)
        await storage.append(
            changes(
                session(1),
                *[message(number) for number in numbers],
                *[delivery(1, number) for number in numbers],
                *[(1, number) for number in numbers],
                *[subscription(1, f"a/{number}") for number in numbers],
                *[retained(f"a/{number}") for number in numbers],
            )
        )
        gone = Changes()
        for number in numbers:
            if number % 3:
                gone.messages[number] = None
                gone.deliveries[1, number] = None
                gone.identifiers[1, number] = False
                gone.subscriptions[1, f"a/{number}"] = None
                gone.retained[f"a/{number}"] = None
        await storage.append(gone)
        kept = await self.kept(storage)
        left = [number for number in numbers if number % 3 == 0]
        assert [row.number for row in kept.messages] == left
        assert [row.message for row in kept.deliveries] == left
        assert kept.identifiers == [(1, number) for number in left]
        assert {row.topic_filter for row in kept.subscriptions} == {f"a/{each}" for each in left}
        assert {row.topic for row in kept.retained} == {f"a/{each}" for each in left}

    async def test_with_a_session_goes_what_is_its_own(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        for number in (1, 2, 3):
            await storage.append(
                changes(session(number), message(number), message(9), delivery(number, number))
            )
            await storage.append(
                changes(delivery(number, 9), subscription(number), (number, 1), (number, 0xFFFF))
            )
        gone = Changes()
        gone.sessions[2] = None
        gone.messages[2] = None
        await storage.append(gone)
        kept = await self.kept(storage)
        assert kept == Kept(
            [message(1), message(3), message(9)],
            [delivery(1, 1), delivery(3, 3), delivery(1, 9), delivery(3, 9)],
            [IdentifierRow(*each) for each in ((1, 1), (1, 0xFFFF), (3, 1), (3, 0xFFFF))],
            [subscription(1), subscription(3)],
            [session(1), session(3)],
            [],
        )

    async def test_what_comes_with_the_end_of_its_session_is_not_kept(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(session(1)))
        end = changes(message(1), delivery(1, 1), subscription(1), (1, 1))
        end.sessions[1] = None
        await storage.append(end)
        await storage.append(changes(message(2), delivery(1, 2)))
        assert await self.kept(storage) == EMPTY

    async def test_deliveries_come_in_the_order_of_their_messages(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(session(1), session(2)))
        for number in (5, 300, 2, 70_000, 1):
            await storage.append(changes(message(number), delivery(2, number), delivery(1, number)))
        kept = await self.kept(storage)
        assert [row.message for row in kept.deliveries] == [
            number for number in (1, 2, 5, 300, 70_000) for _ in (1, 2)
        ]

    async def test_the_same_changes_do_no_harm_again(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(session(1), session(2), message(1), retained("a")))
        again = changes(session(3), message(2), delivery(3, 2), subscription(3), (3, 1))
        again.sessions[1] = again.messages[1] = again.retained["a"] = None
        await storage.append(again)
        await storage.append(again)
        kept = await self.kept(storage)
        assert kept.sessions == [session(2), session(3)]
        assert kept.deliveries == [delivery(3, 2)]

    async def test_what_expired_is_not_loaded(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(
            changes(
                session(1, EARLIER),
                session(2, LATER),
                *[message(1), delivery(1, 1), subscription(1), (1, 1)],
                *[message(2, EARLIER), delivery(2, 2)],
                *[message(3, LATER), delivery(2, 3)],
                *[retained("a", expires_at=EARLIER), retained("b", expires_at=LATER)],
            )
        )
        assert await self.kept(storage) == Kept(
            [message(3, LATER)],
            [delivery(2, 3)],
            [],
            [],
            [session(2, LATER)],
            [retained("b", expires_at=LATER)],
        )

    async def test_a_message_in_flight_does_not_expire(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        rows = [message(1, EARLIER), delivery(1, 1, packet_id=5)]
        await storage.append(changes(session(1), *rows))
        kept = await self.kept(storage)
        assert [*kept.messages, *kept.deliveries] == rows

    async def test_pubrel_is_left_without_its_message(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(session(1), message(1), delivery(1, 1, packet_id=5)))
        received = changes(delivery(1, 1, packet_id=5, is_released=1))
        received.messages[1] = None
        await storage.append(received)
        kept = await self.kept(storage)
        assert kept.messages == []
        assert kept.deliveries == [delivery(1, 1, packet_id=5, is_released=1)]

    async def test_a_session_with_a_will_is_left_for_it(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(session(1, EARLIER, b"will"), subscription(1)))
        kept = await self.kept(storage)
        assert kept.sessions == [session(1, EARLIER, b"will")]

    async def test_it_goes_on_after_each_load(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        for number in (1, 2, 3):
            kept = in_order(await storage.load())
            assert kept.sessions == [session(each) for each in range(1, number)]
            await storage.append(changes(session(number)))
            await storage.close()
            storage = self.next(storage)

    async def test_loading_tells_how_far_it_is(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        await storage.append(changes(*[retained(f"a/{number}") for number in range(25_000)]))
        await storage.close()
        storage = self.next(storage)
        told: list[tuple[int, int]] = []
        await storage.load(lambda done, total: told.append((done, total)))
        await storage.close()
        assert told == sorted(told)
        assert told[-1] == (25_000, 25_000)

    async def test_an_append_that_is_cancelled_is_done_or_not_begun(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        returned = set()

        async def append(number: int) -> None:
            await storage.append(
                changes(session(number), message(number), delivery(number, number))
            )
            returned.add(number)

        for number in range(1, 31):
            with trio.move_on_after(number % 10 / 5000):
                await append(number)
        kept = await self.kept(storage)
        assert {row.number for row in kept.sessions} == returned
        assert {row.session for row in kept.deliveries} == returned

    async def test_appends_that_overlap_are_all_kept(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        async with trio.open_nursery() as nursery:
            for number in range(1, 31):
                nursery.start_soon(storage.append, changes(session(number)))
        kept = await self.kept(storage)
        assert kept.sessions == [session(number) for number in range(1, 31)]

    async def test_deliveries_go_where_they_have_a_place(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        late = delivery(1, 4)._replace(place=2)
        later = delivery(1, 5)._replace(place=2)
        rows = delivery(1, 1), delivery(1, 3), late, later, delivery(1, 6)
        await storage.append(changes(session(1), *map(message, (1, 3, 4, 5, 6)), *rows))
        found = await self.kept(storage)
        assert [row.message for row in found.deliveries] == [1, 4, 5, 3, 6]
        assert found.deliveries[1] == late

    async def test_times_move_along_with_the_time_of_day(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        await storage.load()
        ends = session(2, EARLIER, None)._replace(will_due_at=EARLIER)
        lasts, none_ends = session(3), retained("for ever")
        moved = changes(
            message(1, EARLIER), message(2), delivery(2, 1), delivery(2, 2), ends, lasts,
            retained("t", expires_at=EARLIER), none_ends,
        )  # fmt: skip
        moved.clock_set = float(LONG)
        await storage.append(moved)
        await storage.append(changes(session(4, LATER)))
        assert await self.kept(storage) == Kept(
            [message(1, EARLIER + LONG)._replace(received_at=RECEIVED_AT + LONG), message(2)],
            [delivery(2, 1), delivery(2, 2)],
            [],
            [],
            [
                ends._replace(expires_at=EARLIER + LONG, will_due_at=EARLIER + LONG),
                lasts,
                session(4, LATER),
            ],
            [
                none_ends,
                retained("t", expires_at=EARLIER + LONG)._replace(received_at=RECEIVED_AT + LONG),
            ],
        )
