"""How far `tmqtt pub --every` strays from its schedule: `python -m benchmarks.drift`.

A subscriber takes the milliseconds that are in the messages: the thousandth tick is compared with
where a schedule from the first has it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import trio

import trio_mqtt

_LIMIT = 5.0  # milliseconds after 1,000 ticks


async def _stamps(ticks: int, period: int) -> list[int]:
    """The milliseconds in the messages of so many ticks, `period` milliseconds apart."""
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker,
        trio_mqtt.open_client(broker.url) as client,
        client.subscribe("drift", buffer=ticks + 1) as messages,
    ):
        command = [
            *(sys.executable, "-m", "tmqtt", "pub", "drift", "{ms}", "-b", broker.url),
            *("--every", f"{period}ms", "--count", str(ticks + 1)),
        ]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(trio.run_process, command)
            stamps = [int((await anext(messages)).payload) for _ in range(ticks + 1)]
            await process.wait()
    return stamps


def main() -> int:
    """Measure, and print how late ticks were; the status says whether the limit was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--ticks", type=int, default=1_000)
    parser.add_argument("--period", type=int, default=10, help="milliseconds (10)")
    options = parser.parse_args()
    try:
        stamps = trio.run(_stamps, options.ticks, options.period)
    except subprocess.SubprocessError as error:
        print(error, file=sys.stderr)
        return 2
    late = [stamp - stamps[0] - number * options.period for number, stamp in enumerate(stamps)]
    # A tick may be late because the processor was taken; drift is what all ticks have in common.
    tail = sorted(late[-100:])
    drift = tail[len(tail) // 2]
    print(
        f"after {options.ticks} ticks of {options.period} ms: drift {drift} ms,"
        f" the latest tick {max(late)} ms late"
    )
    return 0 if abs(drift) < _LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
