"""One of the processes that `tmqtt broker --workers` starts: `python -m tmqtt.broker.worker`.

Its stdin says what is asked for, in one line, and ends when the process that started it does: then
this one ends too, as by SIGTERM. Not on Windows, where there are no workers.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import trio

from tmqtt.broker.asked import Asked
from tmqtt.broker.command import serve
from tmqtt.terminal.running import run
from tmqtt.terminal.terminal import Terminal

assert not TYPE_CHECKING or sys.platform != "win32"  # noqa: S101 # what follows is not there

_MOST = 1024 * 1024  # bytes of the line


def main() -> None:
    """Read what is asked for, and be a broker until told to stop."""
    asked = Asked.read(sys.stdin.buffer.readline(_MOST))
    run(lambda terminal: _serve(asked, terminal), stopped=0)


async def _serve(asked: Asked, terminal: Terminal) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with_stdin, terminal)
        await serve(
            asked.listen_at(),
            terminal,
            configuration=asked.configuration(),
            level=asked.level,
            welcomes=asked.worker == 1,
        )
        nursery.cancel_scope.cancel()


async def _end_with_stdin(terminal: Terminal) -> None:
    async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
        while await stdin.receive_some(_MOST):
            pass  # nothing is said after the first line
    terminal.signal = signal.SIGTERM
    terminal.scope.cancel()


if __name__ == "__main__":
    main()
