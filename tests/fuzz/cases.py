"""What some clients send to a broker, and when: a case, which a file holds and plays again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# What a client does, one step after the other:
#   send HEX            in one write, as its transport frames it
#   raw HEX             the same without WebSocket's framing
#   repeat HEX COUNT    so many times in as few writes as can be
#   dribble HEX SIZE    in writes of so many bytes, with pauses between
#   pause SECONDS
#   answer SECONDS      read, and answer messages as a client should, for so long
# and how it ends:
#   wait                read until nothing comes, or the broker closes
#   shutdown            say that nothing more comes, and read on
#   reset               end without a goodbye, what is unread included
#   close
Step = tuple[Any, ...]
ENDS = ("wait", "shutdown", "reset", "close")


@dataclass
class Script:
    """What one client does. `speaks` is tcp, tls, websocket or secure_websocket."""

    port: str  # mqtt, ws, mqtts, wss, any, mounted or metrics
    speaks: str
    steps: list[Step] = field(default_factory=list)
    end: str = "wait"
    # Whether it reads all the time, or only what is there at its end.
    reads: bool = True
    # For certain no CONNECT that may be accepted: by the standard, not by the library's decoder.
    must_be_refused: bool = False

    @property
    def sent(self) -> bytes:
        """The bytes that the client sends on its own."""
        parts = []
        for step in self.steps:
            if step[0] in ("send", "dribble"):
                parts.append(bytes.fromhex(step[1]))
            elif step[0] == "repeat":
                parts.append(bytes.fromhex(step[1]) * step[2])
        return b"".join(parts)


@dataclass
class Case:
    """Clients that act at the same time. `number` is its place in the run of its seed."""

    seed: int
    number: int
    scripts: list[Script]
    kind: str = ""

    def write(self, path: Path, problems: list[str]) -> None:
        """Keep the case in a file, with what was wrong."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"problems": problems, "case": asdict(self)}, indent=1) + "\n")

    @staticmethod
    def read(path: Path) -> Case:
        """A case as `write` has left it."""
        held = json.loads(path.read_text())["case"]
        scripts = [
            Script(**{**script, "steps": [tuple(step) for step in script["steps"]]})
            for script in held["scripts"]
        ]
        return Case(held["seed"], held["number"], scripts, held["kind"])
