"""What goes wrong, as Problem Details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from trio_mqtt.errors import LocalProtocolError, MqttError, NotFoundError, StoreError


class ProblemError(Exception):
    """A request that is answered with a problem: its status, and a sentence."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, object]:
        """The problem, as JSON says it."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }


def problem_of(error: MqttError) -> ProblemError:
    """The problem that an operation has met."""
    if isinstance(error, NotFoundError):
        return ProblemError(404, str(error))
    if isinstance(error, LocalProtocolError):
        return ProblemError(409, str(error))
    if isinstance(error, StoreError):
        return ProblemError(503, str(error), {"Retry-After": "5"})
    return ProblemError(500, str(error))
