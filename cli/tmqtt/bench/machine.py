"""What a broker on this machine takes, and how busy the machine is."""

from __future__ import annotations

from contextlib import suppress

import psutil

from tmqtt.terminal.sentences import CommandError


class BrokerProcess:
    """A process on this machine, with those that it started."""

    def __init__(self, pid: int) -> None:
        """Raises CommandError where there is no such process, or it may not be looked at."""
        try:
            self._process = psutil.Process(pid)
            self._process.cpu_times()
        except psutil.NoSuchProcess as error:
            raise CommandError(f"There is no process {pid} on this machine.") from error
        except psutil.AccessDenied as error:
            raise CommandError(f"The process {pid} may not be looked at.") from error
        self.pid = pid

    @property
    def name(self) -> str:
        """What the process is called."""
        try:
            return str(self._process.name())
        except psutil.Error:
            return "ended"

    def cpu_seconds(self) -> float:
        """User and system time taken so far."""
        total = 0.0
        for process in self._all():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_bytes(self) -> int:
        """Memory held (resident)."""
        total = 0
        for process in self._all():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return []


class Machine:
    """How busy all cores are, from one look to the next."""

    def __init__(self) -> None:
        self._busy, self._all = _times()

    def begin(self) -> None:
        """Count from now on."""
        self._busy, self._all = _times()

    def share(self) -> float:
        """The share of all cores' time that was used since `begin`."""
        busy, total = _times()
        elapsed = total - self._all
        return (busy - self._busy) / elapsed if elapsed > 0 else 0.0


def _times() -> tuple[float, float]:
    times = psutil.cpu_times()
    total = float(sum(times)) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return total - idle, total
