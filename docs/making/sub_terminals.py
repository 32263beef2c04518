"""Draw the pictures sub.svg, sub-watch.svg, sub-tree.svg and explore.svg: commands run for real.

python docs/making/sub_terminals.py
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pyte
import trio
from rich.console import Console
from rich.text import Text

import trio_mqtt

FOLDER = Path(__file__).parents[1] / "pictures"
COLUMNS, ROWS = 86, 18
_WIDE = 110
# The words of each command, the width of its terminal, and what is typed there.
PICTURES = {
    "sub": (["sub", "home/#", "-q", "1"], COLUMNS, b""),
    "sub-watch": (["sub", "home/#", "--watch"], COLUMNS, b""),
    "sub-tree": (["sub", "home/#", "--tree"], COLUMNS, b""),
    "explore": (["explore", "home/#"], _WIDE, b"e" + b"j" * 10),
}


class Terminal:
    """A pseudo-terminal with a command in it."""

    def __init__(self, words: list[str], columns: int, url: str) -> None:
        self.columns = columns
        self.screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self._descriptor, inner = pty.openpty()
        termios.tcsetwinsize(inner, (ROWS, columns))
        self._process = subprocess.Popen(  # noqa: S603 # our own command
            [sys.executable, "-m", "tmqtt", *words, "-b", url],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(inner)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, 65_536)
            except OSError:
                return
            # Pictures are of the screen as it stood: giving it back is not followed.
            self._stream.feed(data)

    def picture(self) -> Text:
        """The screen as it stands."""
        text = Text()
        for row in range(ROWS):
            cells = [self.screen.buffer[row][column] for column in range(self.columns)]
            for style, run in itertools.groupby(cells, _style):
                text.append("".join(cell.data for cell in run), style)
            text.append("\n")
        return text

    def type(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._thread.join()
        os.close(self._descriptor)


def _style(cell: pyte.screens.Char) -> str:
    words = ["bold"] * cell.bold + ["reverse"] * cell.reverse
    if cell.fg != "default":
        words.append(cell.fg.replace("brown", "yellow"))
    return " ".join(words)


async def publish(client: trio_mqtt.Client) -> None:
    """What happens in a house."""
    for step in range(60):
        wave = math.sin(step / 4)
        await client.publish("home/kitchen/temperature", f"{21 + wave:.2f}")
        await client.publish("home/attic/temperature", f"{15 + 3 * math.cos(step / 7):.2f}")
        if step % 4 == 0:
            state = json.dumps({"power": 1_200 + step, "on": True, "hours": 17.5})
            await client.publish("home/kitchen/oven", state, qos=1)
        if step % 10 == 0:
            await client.publish("home/door/lock", bytes((0x01, 0xF0, step, 0xFF)))
            await client.publish("home/hall/lamp", "on", properties={"content_type": "text/plain"})
        await trio.sleep(0.12)


async def main() -> None:
    """Run all of them, and draw what they show."""
    async with (
        trio_mqtt.open_broker("mqtt://127.0.0.1:0") as broker,
        trio_mqtt.open_client(broker.url) as client,
    ):
        with broker.sample(trio_mqtt.events.Subscribed, limit=100) as sample:
            terminals = {
                name: Terminal(words, columns, broker.url)
                for name, (words, columns, _) in PICTURES.items()
            }
            granted = 0
            while granted < len(terminals):
                await trio.sleep(0.1)
                granted += len(sample.take())
        try:
            await publish(client)
            for name, terminal in terminals.items():
                terminal.type(PICTURES[name][2])
            await trio.sleep(1)
            for name, terminal in terminals.items():
                console = Console(
                    record=True, width=terminal.columns, file=io.StringIO(), color_system="256"
                )
                console.print(terminal.picture())
                svg = console.export_svg(
                    title=f"tmqtt {' '.join(PICTURES[name][0])}", unique_id=name
                )
                # Without web fonts: a picture should not make its reader's browser call anybody.
                svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
                await trio.Path(FOLDER / f"{name}.svg").write_text(svg)
        finally:
            for terminal in terminals.values():
                await trio.to_thread.run_sync(terminal.stop)


if __name__ == "__main__":
    trio.run(main)
