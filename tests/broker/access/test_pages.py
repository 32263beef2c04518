"""The page on hooks has every event."""

from __future__ import annotations

from pathlib import Path

import trio_mqtt.events
from trio_mqtt.broker.events.kinds import ALL_KINDS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_has_every_event_and_they_are_public() -> None:
    page = (DOCS / "how-to" / "hooks.md").read_text()
    for kind in ALL_KINDS:
        assert f"`{kind.__name__}`" in page
        assert getattr(trio_mqtt.events, kind.__name__) is kind
