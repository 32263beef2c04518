"""Draw the pictures bench.svg and top.svg: both commands run for real, with a broker of their own.

    python docs/making/measuring.py

It takes half a minute.
"""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

PICTURES = Path(__file__).parents[1] / "pictures"
WIDTH = 92
LINES = 24
_DEADLINE = 60.0  # seconds
_REDRAWN = re.compile(r"[^\n]*\r\x1b\[2K")
_URL = "mqtt://localhost:1883"


def shown(arguments: list[str], until: str | None, times: int = 1) -> str:
    """What a command shows in a terminal, until it ends or has shown `until` so many times."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (LINES, WIDTH))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(  # noqa: S603 # our own commands
        [sys.executable, "-m", "tmqtt", *arguments],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=environment,
    )
    os.close(inner)
    text = ""
    deadline = time.monotonic() + _DEADLINE
    while until is None or len(re.findall(until, text)) < times:
        if time.monotonic() > deadline:
            raise SystemExit(f"tmqtt {' '.join(arguments)} shows only:\n{text}")
        try:
            text += os.read(outer, 65_536).decode(errors="replace")
        except OSError:
            break  # it has ended
    process.send_signal(signal.SIGINT)
    process.wait()
    os.close(outer)
    return text.replace("\r\n", "\n")


def draw(name: str, command: str, text: str) -> None:
    """Write a picture of a terminal with this in it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    prompt = Text.assemble(("$ ", "dim"), (command, "bold"))
    console.print(Group(prompt, Text.from_ansi(text.rstrip("\n"))))
    svg = console.export_svg(title="tmqtt", unique_id=name)
    # Without web fonts: a picture should not make its reader's browser call anybody.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (PICTURES / f"{name}.svg").write_text(svg)


def main() -> None:
    """Measure a broker, and watch it while others use it."""
    code = (
        "import sys, trio, trio_mqtt;"
        "options = trio_mqtt.BrokerOptions(system_topics_interval=1);"
        "print('up', flush=True);"
        "trio.run(lambda: trio_mqtt.serve('mqtt://127.0.0.1:1883', options=options))"
    )
    broker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)  # noqa: S603
    load: subprocess.Popen[bytes] | None = None
    try:
        time.sleep(2)
        arguments = ["bench", "pair", "-c", "10", "--rate", "200/s", "--duration", "5s"]
        text = shown([*arguments, "--pid", str(broker.pid)], None)
        draw("bench", f"tmqtt {' '.join(arguments)} --pid {broker.pid}", _REDRAWN.sub("", text))
        load = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tmqtt", "bench", "fan-out", _URL, "--rate", "150/s",
             "--duration", "1m"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        text = shown(["top", _URL], r"It tells news every", 15)
        frame = text.split("\x1b[H")[-1].split("\x1b[?25h")[0]
        draw("top", f"tmqtt top {_URL}", frame.replace("\x1b[K", "").replace("\r", ""))
    finally:
        if load is not None:
            load.terminate()
            load.wait()
        broker.terminate()
        broker.wait()


if __name__ == "__main__":
    main()
