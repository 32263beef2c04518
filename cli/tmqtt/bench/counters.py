"""What a worker counts: running totals, and latencies since they were last reported."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from tmqtt.bench.tracking import Latencies


@dataclass(slots=True)
class Counters:
    """Totals since the start. Those of several workers add up."""

    opened: int = 0  # connections
    refused_connections: int = 0
    lost_connections: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0  # messages
    expected: int = 0  # deliveries that should follow from what was sent
    received: int = 0
    received_bytes: int = 0
    repeated: int = 0
    reordered: int = 0
    unmarked: int = 0  # received without a mark: neither order nor latency is known
    missing: int = 0  # by the gaps in what was received, where the publishers are elsewhere

    def add(self, other: Counters) -> None:
        """Add another's totals to these."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def as_dict(self) -> dict[str, int]:
        """The totals by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True)
class Measured:
    """What one worker has measured."""

    totals: Counters = field(default_factory=Counters)
    delivery: Latencies = field(default_factory=Latencies)
    acknowledgement: Latencies = field(default_factory=Latencies)
    connection: Latencies = field(default_factory=Latencies)
    last_received: int = 0  # nanoseconds
    last_sent: int = 0
    problem: str = ""  # the first

    def note(self, problem: str) -> None:
        """Remember what went wrong first."""
        self.problem = self.problem or problem

    def latencies(self) -> dict[str, dict[int, int]]:
        """The latencies since the last call, by what they are of."""
        return {
            "delivery": self.delivery.take(),
            "acknowledgement": self.acknowledgement.take(),
            "connection": self.connection.take(),
        }
