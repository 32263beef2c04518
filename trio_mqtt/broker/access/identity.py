"""Who a client is, once that is known."""

from __future__ import annotations

import time

from trio_mqtt.broker.access.protocols import AccessRules, ClientInfo
from trio_mqtt.records import record


@record
class Identity:
    """Who a client is, and what it brings along.

    `method` is the authentication method that it named. `entry` is what was known of its password
    when it was checked, by the user name `known_as`, which a hook may have replaced since: once
    that changes, the client is not let go on. `rules` are those of its token, `expires_at` the time
    of day at which that ends.
    """

    client: ClientInfo
    method: str | None = None
    known_as: str | None = None
    entry: object | None = None
    rules: AccessRules | None = None
    expires_at: float | None = None


def seconds_left(expires_at: float) -> float:
    """How long a token is valid, on a clock that goes on."""
    return max(0.0, expires_at - time.time())
