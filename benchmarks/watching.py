"""What `tmqtt sub --watch` costs beside plain `tmqtt sub`: processor time a message.

    python -m benchmarks.watching [MESSAGES] [TOPICS]

Both read the same messages from a broker of their own process; a terminal takes what is drawn.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading

import trio

import trio_mqtt

MODES = {"plain": [], "--json": ["--json"], "--watch": ["--watch", "--sort", "rate"],
         "--tree": ["--tree"]}  # fmt: skip


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65_536):
            pass
    except OSError:
        pass  # the terminal has no other end any more
    os.close(descriptor)


async def _measure(mode: str, messages: int, topics: int) -> tuple[float, float]:
    """The seconds of processor and of the wall that one `sub` takes."""
    async with trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker:
        screen, inner = pty.openpty()
        termios.tcsetwinsize(inner, (40, 120))
        command = [sys.executable, "-m", "tmqtt", "sub", "b/#", "-q", "1", "-b", broker.url]
        in_terminal = mode in ("--watch", "--tree")
        with broker.sample(trio_mqtt.events.Subscribed, limit=10) as sample:
            process = subprocess.Popen(  # noqa: ASYNC220 # it starts at once
                [*command, "-C", str(messages), *MODES[mode]],
                stdin=inner,
                stdout=inner if in_terminal else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            os.close(inner)
            threading.Thread(target=_drain, args=(screen,), daemon=True).start()
            while not any(  # noqa: ASYNC110 # a sample is looked at, it does not call
                isinstance(one, trio_mqtt.events.Subscribed) for one in sample.take()
            ):
                await trio.sleep(0.05)
        began = trio.current_time()
        async with trio_mqtt.open_client(broker.url) as client:
            for number in range(messages):
                await client.publish(f"b/{number % topics}", b"%d.5" % (number % 1_000))
        _, _, used = await trio.to_thread.run_sync(os.wait4, process.pid, 0)
        process.returncode = 0
        return used.ru_utime + used.ru_stime, trio.current_time() - began


async def main(messages: int, topics: int) -> None:
    """Measure each mode with few messages and with many: the difference is what a message takes."""
    plain = 0.0
    few = messages // 10
    for mode in MODES:
        start, _ = await _measure(mode, few, topics)
        total, wall = await _measure(mode, messages, topics)
        each = (total - start) / (messages - few) * 1e6
        plain = plain or each
        print(
            f"{mode:8} {each:6.2f} µs of processor a message, {messages / wall:9,.0f}/s,"
            f" {plain / each:.2f} of plain"
        )


if __name__ == "__main__":
    sizes = [*map(int, sys.argv[1:]), *(200_000, 10_000)[len(sys.argv) - 1 :]]
    trio.run(main, sizes[0], sizes[1])
