"""A program that publishes with a store and is killed: forked from one that is ready to.

It reads lines `BACKEND URL STORE FIRST` and forks a child for each, whose process identifier it
prints. Children print each number that `enqueue` has accepted. FIRST is the first number; -1 says
to deliver what is left and to end.
"""

from __future__ import annotations

import os
import sys
from itertools import count

import anyio

from trio_mqtt import open_client


async def publish(url: str, store: str, first: int) -> None:
    async with open_client(url, store=store) as client:
        if first < 0:
            with anyio.fail_after(60):
                while client.undelivered:  # noqa: ASYNC110 # a number is all that there is
                    await anyio.sleep(0.005)
            return

        async def enqueue(qos: int) -> None:
            for number in count(first):
                if number % 2 == qos % 2:
                    await client.enqueue(f"killed/{qos}", b"%d" % number, qos=qos)
                    os.write(1, b"%d\n" % number)

        async with anyio.create_task_group() as tasks:
            for qos in (1, 2):
                tasks.start_soon(enqueue, qos)


def main() -> None:
    for line in sys.stdin:
        backend, url, store, first = line.split()
        child = os.fork()
        if child == 0:
            try:
                anyio.run(publish, url, store, int(first), backend=backend)
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.write(1, b"child %d\n" % child)
        _, status = os.waitpid(child, 0)
        os.write(1, b"ended %d\n" % status)


if __name__ == "__main__":
    main()
