"""Pictures of the page for the documentation: `nox -s pictures` makes them anew."""

from __future__ import annotations

import base64
import json
import math
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.interop.page.conftest import PICTURES, Served, log_in
from trio_mqtt import sync

pytestmark = pytest.mark.slow


def picture(page: Page, name: str) -> None:
    """Keep what is seen."""
    seen = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 75}
    )
    assert PICTURES is not None
    Path(PICTURES, f"page-{name}.webp").write_bytes(base64.b64decode(seen["data"]))


def figures(at: float) -> dict[str, float]:
    """A broker that is busy, at a moment."""
    wave = math.sin(at / 600) + 0.03 * math.sin(at / 45)
    received = 40 * at + 9_000 * wave
    return {
        "clients": 1_240 + round(90 * wave),
        "sessions": 1_420,
        "subscriptions": 2_893,
        "retained": 5_210,
        "queued_bytes": round(60_000 * (1.3 + wave)),
        "memory": 71_000_000 + round(900_000 * wave),
        "loop_lag": 0.0021 + 0.0008 * math.sin(at / 70),
        "messages_received": round(received),
        "messages_sent": round(2.7 * received),
        "messages_dropped": 0,
    }


class Busy:
    """As if the broker had been busy for an hour: a picture cannot wait for that."""

    def __init__(self) -> None:
        self.began = time.time() - 3_600

    def series(self, asked: Route) -> None:
        told = asked.fetch().json()
        hour = [figures(10.0 * place) for place in range(360)]
        found = {name: [one.get(name, 0) for one in hour] for name in told}
        found["at"] = [self.began + 10 * place for place in range(360)]
        asked.fulfill(json=found)

    def overview(self, asked: Route) -> None:
        told = asked.fetch().json()
        now = figures(told["at"] - self.began)
        totals = {name: now.get(name, count) for name, count in told["totals"].items()}
        asked.fulfill(json=told | now | {"totals": totals, "uptime": 3_600.0})


def test_pictures_for_the_documentation(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 1000, "height": 760})
    busy = Busy()
    page.route("**/overview/series*", busy.series)
    page.route("**/api/v1/overview", busy.overview)
    with sync.open_client(served.url, client_id="kitchen-sensor") as client:
        log_in(page, served)
        # Rates take two looks.
        expect(page.locator(".figure", has_text="Messages in").first).to_contain_text("/s")
        picture(page, "overview")
        page.unroute_all()
        page.emulate_media(color_scheme="dark")
        page.goto(f"{served.page}/#/topics/house%2Fkitchen%2Fclimate")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        for number in range(60):
            payload = {"t": round(21 + 2 * math.sin(number / 9), 2), "humidity": 40 + number % 7}
            client.publish("house/kitchen/climate", json.dumps(payload), retain=True, qos=1)
        client.publish("house/hall/door", "closed", retain=True, qos=1)
        page.reload()
        page.locator("[data-topic='house']").click()
        page.locator("[data-topic='house/kitchen']").click()
        expect(page.locator("[data-topic='house/kitchen/climate']")).to_be_visible()
        expect(page.locator("[aria-label='History'] svg")).to_be_visible()
        picture(page, "topic")
