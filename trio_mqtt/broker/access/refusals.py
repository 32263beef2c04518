"""What access refuses, in the log: who, what, and which rule decided; a flood of it in few lines.

The logger is `trio_mqtt.access`. Each record has `client_id`, `username`, `address`, `action`,
`topic`, `rule` and `count` as attributes, for those who make something of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from trio_mqtt.broker.log_lines import LogLines, shown
from trio_mqtt.broker.sources import source_of

if TYPE_CHECKING:
    from trio_mqtt.broker.access.protocols import ClientInfo
    from trio_mqtt.broker.timers import Timers
    from trio_mqtt.protocol.packets import Publish

logger = logging.getLogger("trio_mqtt.access")

RefusedAction = Literal["connect", "stay connected", "publish", "will", "subscribe", "unsubscribe",
                        "receive"]  # fmt: skip

# Lines in a minute, of which one client has a few: some 20 MB a day at most, whatever is refused.
LINES = 60
LINES_OF_ONE = 5

_WORDS: dict[RefusedAction, str] = {
    "connect": "may not connect",
    "stay connected": "may not stay connected",
    "publish": "may not publish to",
    "will": "may not have its will at",
    "subscribe": "may not subscribe to",
    "unsubscribe": "may not unsubscribe from",
    "receive": "may not receive",
}


class RefusalLog:
    """Writes refusals to the log: warnings, but for deliveries, which are left out as a matter of
    course where a client has subscribed to more than it may receive."""

    def __init__(self, timers: Timers) -> None:
        self._warnings = _Refusals(logging.WARNING, timers)
        self._deliveries = _Refusals(logging.INFO, timers)

    @property
    def has_deliveries(self) -> bool:
        """Whether the log takes deliveries that are refused."""
        return logger.isEnabledFor(logging.INFO)

    def record(
        self,
        client: ClientInfo,
        action: RefusedAction,
        topic: str = "",
        *,
        rule: str | Callable[[], str],
        count: int = 1,
    ) -> None:
        """A client was refused something; `rule` is asked for only where a line is written."""
        refusals = self._deliveries if action == "receive" else self._warnings
        if refusals.lines.take(_key(client, action), action, count):
            rule = rule if isinstance(rule, str) else rule()
            refusals.write(client, action, topic, rule, count)

    def record_messages(
        self,
        client: ClientInfo,
        action: RefusedAction,
        messages: Sequence[Publish],
        rule_of: Callable[[str], str],
    ) -> None:
        """A client may not publish or receive messages. It costs little where no line is left."""
        refusals = self._deliveries if action == "receive" else self._warnings
        key = _key(client, action)
        if not refusals.lines.left_for(key):
            refusals.lines.take(key, action, len(messages))
            return
        for topic, count in Counter(message.topic for message in messages).items():
            if refusals.lines.take(key, action, count):
                refusals.write(client, action, topic, rule_of(topic), count)

    def close(self) -> None:
        """The broker ends: what was left out is summed up now."""
        self._warnings.lines.sum_up()
        self._deliveries.lines.sum_up()


class _Refusals:
    """Writes refusals of one level."""

    def __init__(self, level: int, timers: Timers) -> None:
        self._level = level
        self.lines: LogLines[RefusedAction] = LogLines(
            logger, level, timers, self._sum_up, lines=LINES, lines_of_one=LINES_OF_ONE
        )

    def write(
        self, client: ClientInfo, action: RefusedAction, topic: str, rule: str, count: int
    ) -> None:
        """Write a line that was taken. What clients choose is quoted, so that it stays one line."""
        user = "no user name" if client.username is None else f"user {shown(client.username)}"
        what = f"{_WORDS[action]} {shown(topic)}" if topic else _WORDS[action]
        logger.log(
            self._level,
            "%s (%s, %s) %s%s: %s",
            shown(client.client_id),
            user,
            client.address,
            what,
            f" ({count:,} messages)" if count > 1 else "",
            rule,
            extra={
                "event": "refused",
                "client_id": client.client_id,
                "username": client.username,
                "address": client.address,
                "action": action,
                "topic": topic,
                "rule": rule,
                "count": count,
            },
        )

    def _sum_up(
        self,
        left_out: int,
        most: list[tuple[str, RefusedAction, int]],
        actions: set[RefusedAction],
    ) -> None:
        named = "; ".join(f"{who} {_WORDS[action]}: {count:,}" for who, action, count in most)
        logger.log(
            self._level,
            "%s more refusals in the last minute are not shown. Most of them: %s",
            f"{left_out:,}",
            named,
            extra={
                "event": "refused",
                "client_id": None,
                "username": None,
                "address": None,
                "action": next(iter(actions)) if len(actions) == 1 else None,
                "topic": "",
                "rule": None,
                "count": left_out,
            },
        )


def _key(client: ClientInfo, action: RefusedAction) -> str:
    """Who is counted as one: who has not been let in may call itself anything each time."""
    if action == "connect":
        return source_of(client.address)
    return shown(client.client_id)
