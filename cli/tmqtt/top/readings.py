"""What a broker tells below $SYS: values, how fast totals grow, and how that went. Sans-IO.

The names are Mosquitto's, which other brokers use too.
"""

from __future__ import annotations

import math
import re
from collections import deque

ROOT = "$SYS/broker/"
FILTER = "$SYS/broker/#"
HISTORY = 300  # rates that are kept
# Seconds after a round's first value in which the rest of it comes.
SETTLE = 0.15

# Totals that grow, by what they are called here, each with the topics that may tell it.
TOTALS: dict[str, tuple[str, ...]] = {
    "messages_received": ("publish/messages/received", "messages/received"),
    "messages_sent": ("publish/messages/sent", "messages/sent"),
    "bytes_received": ("bytes/received", "publish/bytes/received"),
    "bytes_sent": ("bytes/sent", "publish/bytes/sent"),
    "messages_dropped": ("publish/messages/dropped", "messages/dropped"),
}
# Values that come and go.
LEVELS: dict[str, tuple[str, ...]] = {
    "clients_connected": ("clients/connected", "clients/active"),
    "clients_disconnected": ("clients/disconnected", "clients/inactive"),
    "clients_total": ("clients/total",),
    "clients_maximum": ("clients/maximum",),
    "clients_expired": ("clients/expired",),
    "subscriptions": ("subscriptions/count",),
    "shared_subscriptions": ("shared_subscriptions/count",),
    "retained_messages": ("retained messages/count",),
    "retained_bytes": ("retained messages/bytes",),
    "queued_messages": ("queues/messages/count",),
    "queued_bytes": ("queues/messages/bytes",),
    "stored_messages": ("store/messages/count", "messages/stored"),
    "stored_bytes": ("store/messages/bytes",),
    "heap_bytes": ("heap/current",),
    # Of the whole cluster that the broker belongs to; messages are those of a second.
    "cluster_nodes": ("cluster/nodes/count",),
    "cluster_clients": ("cluster/clients/connected",),
    "cluster_sessions": ("cluster/sessions/count",),
    "cluster_received": ("cluster/publish/received",),
    "cluster_sent": ("cluster/publish/sent",),
}
# Averages in a minute over 1, 5 and 15 minutes.
LOADS: dict[str, str] = {
    "messages_received": "load/publish/received",
    "messages_sent": "load/publish/sent",
    "bytes_received": "load/bytes/received",
    "bytes_sent": "load/bytes/sent",
    "connections": "load/connections",
    "sockets": "load/sockets",
}
MINUTES = (1, 5, 15)
_SECONDS = re.compile(r"([0-9]{1,12})(?: seconds)?", re.ASCII)
_LONGEST = 200  # characters of a value that anybody looks at


class Readings:
    """The latest values, and the rates between the rounds in which a broker tells them.

    A broker tells every few seconds what has changed. Its uptime always has: that begins a round,
    and what does not come in a round has stayed as it was.
    """

    def __init__(self) -> None:
        self.rates: dict[str, float] = {}
        self.history: dict[str, deque[float | None]] = {
            name: deque(maxlen=HISTORY) for name in TOTALS
        }
        self.rounds = 0
        self.interval: float | None = None  # seconds between the last two rounds
        self._values: dict[str, str] = {}
        self._round_at: float | None = None  # of the round that is coming in
        self._known: tuple[float, dict[str, float]] | None = None  # totals at the last round
        # Of a round that was retained, only its uptime says when it was told.
        self._retained = False
        self._told_at: int | None = None

    def __len__(self) -> int:
        """How many topics have told something."""
        return len(self._values)

    def take(self, topic: str, payload: bytes, now: float, *, retained: bool = False) -> None:
        """A message has come; `now` is in seconds. It is `retained` if it was told before."""
        if not topic.startswith(ROOT):
            return
        name = topic[len(ROOT) :]
        self._values[name] = payload[: _LONGEST * 4].decode(errors="replace")[:_LONGEST]
        if name == "uptime" and self._round_at is None:
            self._round_at = now
            self._retained = retained

    def settle(self, now: float) -> bool:
        """Whether a round has come in whole since the last call; the rates are then those of it."""
        at = self._round_at
        if at is None or now - at < SETTLE:
            return False
        self._round_at = None
        self.rounds += 1
        totals = {name: value for name in TOTALS if (value := self.total(name)) is not None}
        if self._known is not None and at > self._known[0]:
            before_at, before = self._known
            self.interval = at - before_at
            uptime = self.uptime
            if self._told_at is not None and uptime is not None and uptime > self._told_at:
                self.interval = float(uptime - self._told_at)
            for name in TOTALS:
                rate = None
                if name in totals and name in before and totals[name] >= before[name]:
                    rate = (totals[name] - before[name]) / self.interval
                    self.rates[name] = rate
                else:
                    self.rates.pop(name, None)  # the broker began anew
                self.history[name].append(rate)
        self._known = at, totals
        self._told_at = self.uptime if self._retained else None
        return True

    # What is known.

    def total(self, name: str) -> float | None:
        """A total since the broker's start."""
        return self._number(TOTALS[name])

    def level(self, name: str) -> float | None:
        """A value that comes and goes. Where the broker counts below nothing, that is nothing."""
        value = self._number(LEVELS[name])
        return None if value is None else max(value, 0)

    def load(self, name: str, minutes: int) -> float | None:
        """An average in a minute, over the last minutes."""
        return self._number((f"{LOADS[name]}/{minutes}min",))

    @property
    def version(self) -> str | None:
        return self._values.get("version")

    @property
    def uptime(self) -> int | None:
        """Seconds."""
        found = _SECONDS.fullmatch(self._values.get("uptime", ""))
        return int(found[1]) if found else None

    def snapshot(self) -> dict[str, object]:
        """All of it, for programs, as docs/reference/terminal-bench.md has it. Unknown: None."""
        return {
            "schema": "tmqtt-top/1",
            "version": self.version,
            "uptime_seconds": self.uptime,
            **{name: _whole(self.level(name)) for name in LEVELS},
            **{name: _whole(self.total(name)) for name in TOTALS},
            "per_second": {name: self.rates.get(name) for name in TOTALS},
            "per_minute_average": {
                name: {str(minutes): self.load(name, minutes) for minutes in MINUTES}
                for name in LOADS
            },
        }

    def _number(self, names: tuple[str, ...]) -> float | None:
        for name in names:
            text = self._values.get(name)
            if text is None:
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value):
                return value
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
