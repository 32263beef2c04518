"""What is measured of a broker, under the names that Prometheus has for such things.

Nothing is counted for it that the broker does not count anyway, but for what is timed: all is read
when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import accumulate

import trio
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from trio_mqtt.attribute_docs import attribute_docs
from trio_mqtt.broker.broker import Broker
from trio_mqtt.broker.elsewhere import ClusterView
from trio_mqtt.broker.readings import Readings
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.timing import Times, Timing
from trio_mqtt.version import __version__

_PAUSE = 4  # times as long as a page has taken, until the next one is made
_LAG_EVERY = 1.0  # seconds between two looks at how late the loop is

# Of the statistics, those that go up and down; all others count since the start.
_GAUGES = {
    "clients_connected",
    "loop_lag",
    "memory",
    "queued_bytes",
    "sessions",
    "shared_subscriptions",
    "subscriptions",
    "will_bytes",
}
# Bytes have their unit before `_total`, as Prometheus wants it.
_NAMES = {
    "bytes_received": "mqtt_received_bytes",
    "bytes_sent": "mqtt_sent_bytes",
    "payload_bytes_received": "mqtt_payload_received_bytes",
    "payload_bytes_sent": "mqtt_payload_sent_bytes",
    "queued_bytes": "mqtt_queued_bytes",
    "will_bytes": "mqtt_will_bytes",
    "loop_lag": "mqtt_loop_lag_seconds",
    "memory": "mqtt_memory_bytes",
}
_REFUSED = "_refused"  # what ends so is one metric, by what was refused
# Parts of what was dropped, by cause; the rest is what clients published and was refused.
_CAUSES = {
    "queue_drops": "queue_full",
    "messages_expired": "expired",
    "messages_shed": "overload",
}
_DROPPED = {"messages_dropped", "queue_drops", "deliveries_refused"}


class Exposition:
    """The metrics of one broker, as pages."""

    def __init__(self, broker: Broker, timing: Timing) -> None:
        self._broker = broker
        self._lag = Times()
        self._figures = _Figures(broker.statistics, timing, self._lag)
        # One of its own: several brokers in a process, and what a program measures, stay apart.
        self._registry = CollectorRegistry()
        self._registry.register(self._figures)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._making = trio.Lock()

    async def page(self, accept: str) -> tuple[bytes, str]:
        """All metrics as they are now, in the format that is accepted, and its name.

        Nothing else happens in the loop while a page is made. So one is made after the other, and
        in between clients have several times as long, however often pages are asked for.
        """
        async with self._making:
            self._figures.readings = await self._broker.readings()
            began = time.perf_counter()
            try:
                encode, content_type = choose_encoder(accept)
            except (TypeError, ValueError):  # a version that is no number
                encode, content_type = choose_encoder("")
            page = encode(self._registry)
            await trio.sleep((time.perf_counter() - began) * _PAUSE)
        return page, content_type

    async def follow_lag(self) -> None:
        """Look each second how late the event loop comes to what was to be done."""
        while True:
            due = trio.current_time() + _LAG_EVERY
            await trio.sleep_until(due)
            self._lag.add(max(0.0, trio.current_time() - due))


class _Figures(Collector):
    """Makes metrics of what the broker has counted."""

    def __init__(self, statistics: Statistics, timing: Timing, lag: Times) -> None:
        self._statistics = statistics
        self._timing = timing
        self._lag = lag
        self._docs = attribute_docs(Statistics)
        self._highest: dict[str, float] = {}  # of each counter, what was told
        self.readings = Readings()

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: it is the only one that has such names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of the broker."""
        info = InfoMetricFamily("mqtt_broker", "The broker that is measured.")
        info.add_metric((), {"version": __version__})
        yield info
        yield from self._counted()
        yield from self._packets()
        yield self._refused()
        yield self._dropped()
        yield from self._now()
        if self.readings.cluster is not None:
            yield from self._cluster(self.readings.cluster)
        yield _histogram(
            "mqtt_delivery_seconds",
            "From the read that brought a message until it is handed to one client's connection,"
            " of some of the messages that wait for nobody who is away.",
            self._timing.deliveries,
        )
        yield _histogram(
            "mqtt_event_loop_lag_seconds",
            "How late the event loop comes to what is due, looked at once a second.",
            self._lag,
        )
        if self.readings.has_storage:
            yield _histogram(
                "mqtt_storage_commit_seconds",
                "How long the storage takes to keep what has gathered.",
                self._timing.commits,
            )

    def _counted(self) -> Iterator[Metric]:
        for name, value in _numbers(self._statistics):
            if name.endswith(_REFUSED) or name in _DROPPED:
                continue
            text = self._docs.get(name) or name.replace("_", " ")
            known_as = _NAMES.get(name, f"mqtt_{name}")
            if name in _GAUGES:
                yield GaugeMetricFamily(known_as, text, value)
                continue
            # Of a batch that is half sent, what was dropped is taken back before it is counted; to
            # Prometheus, a counter that goes down has begun anew.
            self._highest[name] = max(value, self._highest.get(name, 0))
            yield CounterMetricFamily(known_as, text, self._highest[name])

    def _packets(self) -> Iterator[Metric]:
        """Packets by kind and reason code; PUBLISH by its QoS, which its acknowledgement tells."""
        statistics = self._statistics
        for name, text, counted in (
            ("received", "that clients sent", statistics.kinds_received),
            ("sent", "that clients were sent", statistics.kinds_sent),
        ):
            metric = CounterMetricFamily(
                f"mqtt_packets_by_type_{name}",
                f"Packets {text}, but for PUBLISH, by type and reason code.",
                labels=("type", "code"),
            )
            for (kind, code), count in sorted(counted.items()):
                metric.add_metric((kind, f"0x{code:02X}"), count)
            yield metric
        publishes = CounterMetricFamily(
            "mqtt_publishes_received", "PUBLISH packets that clients sent, by QoS.", labels=("qos",)
        )
        acknowledged = 0
        for qos, kind in (("1", "PUBACK"), ("2", "PUBREC")):
            count = sum(number for (one, _), number in statistics.kinds_sent.items() if one == kind)
            publishes.add_metric((qos,), count)
            acknowledged += count
        publishes.add_metric(("0",), max(0, statistics.publishes_received - acknowledged))
        yield publishes

    def _refused(self) -> Metric:
        metric = CounterMetricFamily(
            "mqtt_refused", "What clients were refused, by what it was.", labels=("what",)
        )
        for name, value in _numbers(self._statistics):
            if name.endswith(_REFUSED):
                metric.add_metric((name.removesuffix(_REFUSED),), value)
        return metric

    def _dropped(self) -> Metric:
        statistics = self._statistics
        metric = CounterMetricFamily(
            "mqtt_messages_dropped",
            "Messages that reach nobody, or for each client that they do not reach, by the cause.",
            labels=("cause",),
        )
        refused = statistics.messages_dropped
        for name, cause in _CAUSES.items():
            count = getattr(statistics, name)
            metric.add_metric((cause,), count)
            refused -= count
        metric.add_metric(("not_allowed",), statistics.deliveries_refused)
        metric.add_metric(("refused",), refused)
        return metric

    def _now(self) -> Iterator[Metric]:
        readings = self.readings
        for name, text, value in (
            ("mqtt_connections", "Connections, also before CONNECT.", readings.connections),
            (
                "mqtt_queued_messages",
                "Messages that wait in the queues of all sessions.",
                readings.queued_messages,
            ),
            (
                "mqtt_in_flight_messages",
                "Messages that were sent and not acknowledged.",
                readings.in_flight,
            ),
            ("mqtt_retained_messages", "Retained messages.", readings.retained),
            ("mqtt_retained_bytes", "Bytes of retained messages.", readings.retained_bytes),
            (
                "mqtt_ready",
                "Whether clients are served: 0 while the storage fails or the broker ends.",
                int(not readings.problems),
            ),
            (
                "mqtt_storage_failing",
                "Whether the storage keeps nothing of what comes.",
                int(readings.storage_failure is not None),
            ),
        ):
            yield GaugeMetricFamily(name, text, value)

    def _cluster(self, cluster: ClusterView) -> Iterator[Metric]:
        """What a node of a cluster says of it; each node is asked for its own."""
        info = InfoMetricFamily("mqtt_cluster", "The cluster that the broker belongs to.")
        info.add_metric((), {"name": cluster.name, "node": cluster.node, "engine": cluster.engine})
        yield info
        for name, text, value in (
            (
                "mqtt_cluster_nodes",
                "Nodes that are alive, as far as this one knows.",
                len(cluster.nodes),
            ),
            (
                "mqtt_cluster_member",
                "Whether this broker is a node: 0 while others may take what it had.",
                int(bool(cluster.node_id)),
            ),
            (
                "mqtt_cluster_engine_reachable",
                "Whether the cluster's engine can be asked.",
                int(not cluster.is_cut_off),
            ),
            (
                "mqtt_cluster_inbox_lag_seconds",
                "How long what others had for this node waited lately, until it was read.",
                cluster.lag,
            ),
        ):
            yield GaugeMetricFamily(name, text, value)
        yield CounterMetricFamily(
            "mqtt_cluster_damaged_entries",
            "Entries of this node's inbox that could not be read.",
            cluster.damaged,
        )


def _numbers(statistics: Statistics) -> Iterator[tuple[str, float]]:
    for field in fields(statistics):
        value = getattr(statistics, field.name)
        if isinstance(value, (int, float)):
            yield field.name, value


def _histogram(name: str, text: str, times: Times) -> Metric:
    bounds = [*map(str, times.buckets), "+Inf"]
    buckets = list(zip(bounds, accumulate(times.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=times.total)
