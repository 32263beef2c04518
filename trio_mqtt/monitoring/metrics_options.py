"""Where metrics and health checks are answered, and within which bounds."""

from __future__ import annotations

import ipaddress

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record


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
        text = self.listen or ""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
            is_host = _is_ipv6(host)
        else:
            is_host = bool(host) and ":" not in host and "/" not in host
        if not colon or not is_host or not port.isascii() or not port.isdecimal():
            raise ConfigurationError(
                f"metrics are answered at HOST:PORT, such as 127.0.0.1:9883, not at {text!r}"
            )
        if int(port) > 65_535:
            raise ConfigurationError(f"there is no port {port}: 65535 is the last one")
        return host, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
