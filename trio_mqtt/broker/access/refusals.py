"""What access refuses, in the log: who, what, and which rule decided; a flood of it in few lines.

The logger is `trio_mqtt.access`. Each record has `client_id`, `user`, `address`, `action`, `topic`,
`rule` and `count` as attributes, for those who make something of them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import trio

from trio_mqtt.broker.sources import source_of

if TYPE_CHECKING:
    from trio_mqtt.broker.access.protocols import ClientInfo
    from trio_mqtt.broker.timers import Timers
    from trio_mqtt.protocol.packets import Publish

logger = logging.getLogger("trio_mqtt.access")

RefusedAction = Literal["connect", "stay connected", "publish", "will", "subscribe", "receive"]

# Lines in a minute, of which one client has a few: some 20 MB a day at most, whatever is refused.
WINDOW = 60.0  # seconds
LINES = 60
LINES_OF_ONE = 5
_COUNTED = 1_000  # clients whose refusals are counted apart in a minute
_NAMED = 3  # of them, those with most are named
_SHOWN = 200  # characters of a name or a topic

_WORDS: dict[RefusedAction, str] = {
    "connect": "may not connect",
    "stay connected": "may not stay connected",
    "publish": "may not publish to",
    "will": "may not have its will at",
    "subscribe": "may not subscribe to",
    "receive": "may not receive",
}


class RefusalLog:
    """Writes refusals to the log: warnings, but for deliveries, which are left out as a matter of
    course where a client has subscribed to more than it may receive."""

    def __init__(self, timers: Timers) -> None:
        self._warnings = _Lines(logging.WARNING, timers)
        self._deliveries = _Lines(logging.INFO, timers)

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
        lines = self._deliveries if action == "receive" else self._warnings
        if lines.take(client, action, count):
            lines.write(client, action, topic, rule if isinstance(rule, str) else rule(), count)

    def record_messages(
        self,
        client: ClientInfo,
        action: RefusedAction,
        messages: Sequence[Publish],
        rule_of: Callable[[str], str],
    ) -> None:
        """A client may not publish or receive messages. It costs little where no line is left."""
        lines = self._deliveries if action == "receive" else self._warnings
        if not lines.left_for(client, action):
            lines.take(client, action, len(messages))
            return
        for topic, count in Counter(message.topic for message in messages).items():
            if lines.take(client, action, count):
                lines.write(client, action, topic, rule_of(topic), count)

    def close(self) -> None:
        """The broker ends: what was left out is summed up now."""
        self._warnings.sum_up()
        self._deliveries.sum_up()


class _Lines:
    """The lines of one level in the current minute, and what they leave out."""

    def __init__(self, level: int, timers: Timers) -> None:
        self._level = level
        self._timers = timers
        self._until = float("-inf")
        self._written = 0
        self._written_of: Counter[str] = Counter()
        self._left_out = 0
        self._left_out_of: Counter[tuple[str, RefusedAction]] = Counter()

    def left_for(self, client: ClientInfo, action: RefusedAction) -> bool:
        """Whether there is a line left for a client."""
        if not logger.isEnabledFor(self._level):
            return False
        now = trio.current_time()
        if now >= self._until:
            self.sum_up()
            self._until = now + WINDOW
            self._written = 0
            self._written_of.clear()
        return self._written < LINES and self._written_of[_key(client, action)] < LINES_OF_ONE

    def take(self, client: ClientInfo, action: RefusedAction, count: int) -> bool:
        """Take a line for a client, if there is one; else it is counted."""
        if self.left_for(client, action):
            self._written += 1
            self._written_of[_key(client, action)] += 1
            return True
        if logger.isEnabledFor(self._level):
            if not self._left_out:
                left = max(0.0, self._until - trio.current_time())
                self._timers.after(left, self.sum_up)
            self._left_out += count
            entry = (_key(client, action), action)
            if entry in self._left_out_of or len(self._left_out_of) < _COUNTED:
                self._left_out_of[entry] += count
        return False

    def write(
        self, client: ClientInfo, action: RefusedAction, topic: str, rule: str, count: int
    ) -> None:
        """Write a line that was taken. What clients choose is quoted, so that it stays one line."""
        user = "no user name" if client.username is None else f"user {_shown(client.username)}"
        what = f"{_WORDS[action]} {_shown(topic)}" if topic else _WORDS[action]
        logger.log(
            self._level,
            "%s (%s, %s) %s%s: %s",
            _shown(client.client_id),
            user,
            client.address,
            what,
            f" ({count:,} messages)" if count > 1 else "",
            rule,
            extra={
                "client_id": client.client_id,
                "user": client.username,
                "address": client.address,
                "action": action,
                "topic": topic,
                "rule": rule,
                "count": count,
            },
        )

    def sum_up(self) -> None:
        """Say how much was left out of the log."""
        left_out, self._left_out = self._left_out, 0
        counts = self._left_out_of.most_common(_NAMED)
        actions = {action for _, action in self._left_out_of}
        self._left_out_of.clear()
        if not left_out:
            return
        named = "; ".join(f"{who} {_WORDS[action]}: {count:,}" for (who, action), count in counts)
        logger.log(
            self._level,
            "%s more refusals in the last minute are not shown. Most of them: %s",
            f"{left_out:,}",
            named,
            extra={
                "client_id": None,
                "user": None,
                "address": None,
                "action": actions.pop() if len(actions) == 1 else None,
                "topic": "",
                "rule": None,
                "count": left_out,
            },
        )


def _key(client: ClientInfo, action: RefusedAction) -> str:
    """Who is counted as one: who has not been let in may call itself anything each time."""
    if action == "connect":
        return source_of(client.address)
    return _shown(client.client_id)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
