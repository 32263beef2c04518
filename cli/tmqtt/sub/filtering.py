"""Which messages count: by topic, by whether they were retained, and by chance. Sans-IO."""

from __future__ import annotations

import random
from collections.abc import Sequence

import trio_mqtt

_REMEMBERED = 10_000  # topics


class Selection:
    """What is left of the messages."""

    def __init__(
        self,
        *,
        filter_out: Sequence[str] = (),
        no_retained: bool = False,
        retained_only: bool = False,
        no_live: bool = False,
        share: float | None = None,
    ) -> None:
        self._filter_out = tuple(filter_out)
        self._no_retained = no_retained
        self._retained_only = retained_only
        self._no_live = no_live
        self._share = share
        self._unwanted: dict[str, bool] = {}
        # Whether, with `retained_only`, a message has come that was not retained: that ends it.
        self.over = False
        # Whether it leaves anything out at all.
        self.selects = (
            bool(filter_out) or no_retained or retained_only or no_live or share is not None
        )

    def of(self, messages: Sequence[trio_mqtt.Message]) -> list[trio_mqtt.Message]:
        """Those of the messages that count."""
        found = []
        for message in messages:
            if self._retained_only and not message.retain:
                self.over = True
                break
            if self._no_retained if message.retain else self._no_live:
                continue
            if self._is_unwanted(message.topic):
                continue
            if self._share is None or random.random() < self._share:  # noqa: S311 # no secret
                found.append(message)
        return found

    def _is_unwanted(self, topic: str) -> bool:
        unwanted = self._unwanted.get(topic)
        if unwanted is None:
            if len(self._unwanted) >= _REMEMBERED:
                self._unwanted.clear()
            unwanted = any(trio_mqtt.topic_matches_filter(topic, one) for one in self._filter_out)
            self._unwanted[topic] = unwanted
        return unwanted
