"""The reference of all metrics, in Markdown: made from what a broker shows of itself."""

from __future__ import annotations

from making.markdown import cell, code, table
from prometheus_client.core import Metric

from trio_mqtt.broker.elsewhere import ClusterView
from trio_mqtt.broker.readings import Readings
from trio_mqtt.broker.statistics import Statistics
from trio_mqtt.broker.timing import Times, Timing
from trio_mqtt.monitoring.metrics import _Figures

_MANY = 40  # values of a label that are named, and no more


def tables() -> str:
    """Every metric with its type, its labels and what it says."""
    found = collected()
    parts = []
    for title, chosen in (
        ("Of every broker", [one for one in found if not one.name.startswith("mqtt_cluster")]),
        ("Of a node of a cluster", [one for one in found if one.name.startswith("mqtt_cluster")]),
    ):
        rows = [
            (code(_name(one)), one.type, _labels(one), cell(one.documentation)) for one in chosen
        ]
        parts += [
            f"## {title}\n",
            table(("metric", "type", "labels", "what it says"), sorted(rows)),
        ]
    return "\n".join(parts)


def collected() -> list[Metric]:
    """The metrics of a broker that has all there is."""
    figures = _Figures(Statistics(), Timing(1, float), Times())
    cluster = ClusterView(
        name="",
        engine="",
        promise="",
        node="",
        node_id="",
        nodes=(),
        is_cut_off=False,
        lag=0,
        damaged=0,
    )
    figures.readings = Readings(has_storage=True, cluster=cluster)
    return list(figures.collect())


def _name(metric: Metric) -> str:
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def _labels(metric: Metric) -> str:
    names: tuple[str, ...] = getattr(metric, "_labelnames", ())  # also where it has no sample yet
    if metric.type == "info":
        return ", ".join(code(name) for sample in metric.samples for name in sample.labels)
    told = []
    for name in names:
        values = sorted({sample.labels[name] for sample in metric.samples})
        named = f": {', '.join(map(code, values))}" if 0 < len(values) <= _MANY else ""
        told.append(code(name) + named)
    return "; ".join(told)
