"""A process that appends group after group until it is killed, and what is in each group.

    python -m tests.storage.killed PATH DURABILITY FIRST

It prints the number of each group that is durable.
"""

from __future__ import annotations

import sys

import trio

from tests.storage.contract import changes, delivery, message, retained, session, subscription
from trio_mqtt.storage.rows import Changes
from trio_mqtt.storage.sqlite import Durability, SqliteStorage

WIDTH = 100  # numbers for each group


def group(number: int) -> Changes:
    """What the group has: small ones and great ones, rows that are new, others, and gone.

    All of it names the group, so that a part of it would show.
    """
    size = (1, 3, 40)[number % 3]
    first = number * WIDTH
    made = changes(
        session(number),
        subscription(number),
        retained("last", b"%d" % number),
        retained(f"of/{number % 7}", b"%d" % number * size),
        (number, number & 0xFFFF),
        *[message(first + each) for each in range(size)],
        *[delivery(number, first + each) for each in range(size)],
    )
    before = number - 5
    if before > 0:
        made.messages |= dict.fromkeys(range(before * WIDTH, before * WIDTH + 100))
        made.sessions[before] = None
    return made


async def append_groups(path: str, durability: Durability, number: int) -> None:
    storage = SqliteStorage(path, durability)
    await storage.load()
    while True:
        await storage.append(group(number))
        print(number, flush=True)  # noqa: T201
        number += 1


if __name__ == "__main__":
    path, how, first = sys.argv[1:]
    trio.run(append_groups, path, "fsync" if how == "fsync" else "commit", int(first))
