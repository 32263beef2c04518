"""What the log says of a connection that fails: news aloud, its repetition quietly."""

from __future__ import annotations

import logging

from trio_mqtt.client.events import Connected
from trio_mqtt.errors import MqttError

# While the connection stays away, the log says so again after so many seconds.
REMINDER = 600.0


class AttemptLog:
    """Tells of failures in the log, for one client.

    A WARNING is each reason that is new since there was a connection, and every ten minutes
    whatever the reason; the other attempts are told at DEBUG. What ends the client is raised to the
    program, and not told here.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._told: set[str] = set()
        self._failures = 0
        self._since = self._last = 0.0

    def failed(
        self, reason: MqttError, client_id: str, url: str, *, delay: float, now: float
    ) -> None:
        """The connection or an attempt failed, and the next begins in `delay` seconds."""
        if not self._failures:
            self._since = self._last = now
        self._failures += 1
        sentence = str(reason)
        level = logging.DEBUG
        if sentence not in self._told or now - self._last >= REMINDER:
            self._told.add(sentence)
            self._last = now
            level = logging.WARNING
        away = now - self._since
        self._logger.log(
            level,
            "%s %s connects to %s again in %.1f s%s.",
            sentence,
            f"Client {client_id!r}" if client_id else "The client",
            url,
            delay,
            f" (for {away:.0f} s now)" if away >= REMINDER else "",
        )

    def connected(self, event: Connected, now: float) -> None:
        """There is a connection."""
        self._logger.info(
            "Connected to %s as %r (MQTT %s, session %s)%s.",
            event.url,
            event.client_id,
            event.protocol_version.text,
            "resumed" if event.session_present else "new",
            f", {now - self._since:.1f} s after the first of {self._failures} failures"
            if self._failures
            else "",
        )
        self._told.clear()
        self._failures = 0
