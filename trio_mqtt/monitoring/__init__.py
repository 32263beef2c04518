"""A broker as those watch it who run it: its log, and what is measured of it.

`logging_to` writes the log that the library keeps by the standard logging module: dated lines, for
people or as JSON, on stderr, in a file, in the journal or by syslog. `LogOptions` says how.
`serving_metrics` answers Prometheus and health checks over HTTP, as `MetricsOptions` say.

This room stands above the broker, which knows nothing of it: what it needs it reads, or follows as
any program may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_mqtt.lazy_names import load_lazily

if TYPE_CHECKING or not load_lazily(__name__):
    from trio_mqtt.broker.readings import Readings as Readings
    from trio_mqtt.broker.timing import Times as Times
    from trio_mqtt.broker.timing import Timing as Timing
    from trio_mqtt.monitoring.log_options import LogOptions as LogOptions
    from trio_mqtt.monitoring.log_writer import LogWriter as LogWriter
    from trio_mqtt.monitoring.log_writer import logging_to as logging_to
    from trio_mqtt.monitoring.metrics_options import MetricsOptions as MetricsOptions
    from trio_mqtt.monitoring.metrics_server import MetricsServer as MetricsServer
    from trio_mqtt.monitoring.metrics_server import serving_metrics as serving_metrics
