"""Where metrics and health checks are answered, and within which bounds."""

from __future__ import annotations

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record
from trio_mqtt.transport.http_addresses import host_and_port


@with_attribute_docs
@record(kw_only=True)
class MetricsOptions:
    """Metrics and health checks over HTTP. Raises ConfigurationError for what makes no sense."""

    listen: str | None = None
    """Where they are answered, as HOST:PORT, such as 127.0.0.1:9883; port 0 takes a free one. None:
    nowhere. Whoever can connect there may read them: elsewhere than on this machine, a network of
    one's own or a proxy has to see to that."""
    timed: int = 16
    """One in so many batches (the messages of one read) whose time through the broker is measured:
    few enough to cost nothing, and some thousand a second of a busy broker."""
    maximum_connections: int = 16
    """HTTP clients at once: Prometheus and a health check need one each. Beyond it, who has been
    silent longest makes room."""
    timeout: float = 10.0
    """Seconds for a client to ask, and to take the answer: Prometheus gives up by then itself."""

    def __post_init__(self) -> None:
        if self.listen is not None:
            _ = self.host_and_port
        for name in ("timed", "maximum_connections"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is 1 or more")
        if not self.timeout > 0:
            raise ConfigurationError("timeout is more than 0 seconds")

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address in `listen`."""
        return host_and_port(self.listen or "", "metrics are answered", "127.0.0.1:9883")
