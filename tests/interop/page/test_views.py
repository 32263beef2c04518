"""The page in a real browser: each view with live traffic, and what is meant to go wrong."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Page, Route, expect

import trio_mqtt
from tests.cli.programs import DEADLINE
from tests.interop.page.conftest import EVIL, Served, log_in
from trio_mqtt import sync

pytestmark = pytest.mark.slow


def test_a_wrong_password_and_no_login_show_nothing(page: Page, served: Served) -> None:
    page.goto(served.page + "/#/clients")
    page.get_by_label("User").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    expect(page.get_by_role("table")).to_have_count(0)


def test_the_overview_shows_the_last_hour_and_follows_the_broker(
    page: Page, served: Served
) -> None:
    def an_hour_ago(asked: Route) -> None:
        told = asked.fetch().json()
        told = {name: [values[0], *values] for name, values in told.items()}
        told["at"][0] -= 3_000
        told["clients"][0] = 777
        asked.fulfill(json=told)

    page.route("**/overview/series*", an_hour_ago)
    log_in(page, served)
    expect(page.locator(".plots .figure", has_text="Clients")).to_contain_text("to 777")
    with sync.open_client(served.url, client_id="lamp-1") as client:
        client.publish("home/lamp", "on", retain=True, qos=1)
        expect(page.locator(".figure", has_text="Messages in").first).to_contain_text(
            re.compile(r"[\d.]+/s")
        )
        expect(page.locator(".figure", has_text="Retained").first).to_contain_text("1")
    assert page.locator("svg.plot").count() == 6


def test_a_client_is_found_watched_and_disconnected(page: Page, served: Served) -> None:
    log_in(page, served, where="#/clients")
    with (
        sync.open_client(served.url, client_id="lamp-7") as client,
        sync.open_client(served.url, client_id="other-9") as other,
    ):
        other.publish("x", "1", qos=1)
        # The broker sorts.
        head = page.get_by_role("columnheader", name="Client")
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", "descending")
        expect(page.locator("tbody tr").first).to_contain_text("other-9")
        page.get_by_label("Identifier, user, address").fill("LAMP")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_role("link", name="lamp-7").click()
        expect(page.locator("dl")).to_contain_text("connected since")
        page.get_by_role("button", name="Watch its packets").click()
        expect(page.get_by_text("Nothing yet.")).to_be_visible()
        client.publish("home/lamp/7", "hello", qos=1)
        expect(page.locator("pre.live")).to_contain_text("hello")
        expect(page.locator("pre.live")).to_contain_text("PUBACK")
        page.get_by_role("button", name="Disconnect").click()
        page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
        expect(page.locator("#notice")).to_contain_text("Done")
        expect(page.locator("pre.live")).to_contain_text("DISCONNECT")


def test_a_client_is_banned_on_its_page_until_that_is_lifted(page: Page, served: Served) -> None:
    log_in(page, served, where="#/client/nasty-1/")
    page.get_by_role("button", name="Ban").click()
    page.get_by_role("dialog").get_by_role("button", name="Ban").click()
    page.get_by_role("link", name="Access").click()
    expect(page.locator("tbody tr", has_text="nasty-1")).to_have_count(1)
    with (
        pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError),
        sync.open_client(served.url, client_id="nasty-1"),
    ):
        pytest.fail("It is let in, though it is banned.")
    page.get_by_role("button", name="Lift the ban of nasty-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Lift").click()
    expect(page.locator("tbody")).to_contain_text("Nobody is banned")
    with sync.open_client(served.url, client_id="nasty-1"):
        page.goto(f"{served.page}/#/client/nasty-1/")
        expect(page.locator("dl")).to_contain_text("connected since")


def until_kept(page: Page, served: Served, topic: str, count: int) -> None:
    """The history has so many messages of a topic."""
    asked: dict[str, str | float | bool] = {"topic_filter": topic, "last": count}
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        answer = page.request.get(f"{served.page}/api/v1/history", params=asked)
        if len(answer.json()["messages"]) == count:
            return
    pytest.fail("The history does not keep it.")


def test_topics_open_show_values_and_take_messages(page: Page, served: Served) -> None:
    with sync.open_client(served.url) as client:
        for number in range(3):
            client.publish(
                "house/kitchen/sensor", json.dumps({EVIL: 5, "t": 20 + number}), retain=True, qos=1
            )
        log_in(page, served, where="#/topics")
        until_kept(page, served, "house/kitchen/sensor", 3)
        house = page.get_by_role("button", name=re.compile("house"))
        expect(house).to_be_visible()
        # Tab leads into the tree and out of it; arrow keys lead through it.
        page.get_by_role("button", name="Watch").press("Tab")
        page.keyboard.press("End")
        expect(page.locator("[data-topic='$SYS']")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.locator(".tree :focus")).to_have_count(0)
        page.keyboard.press("Shift+Tab")
        expect(page.locator("[data-topic='$SYS']")).to_be_focused()
        house.click()
        page.get_by_role("button", name=re.compile("kitchen")).press("ArrowRight")
        page.get_by_role("button", name=re.compile("sensor")).press("Enter")
        value = page.locator("pre.value")
        expect(value).to_contain_text('"t": 22')
        # What was before the page was opened, in messages and drawn, by the way to its number.
        expect(page.locator("article table")).to_contain_text('"t": 20')
        history = page.locator('[aria-label="History"]')
        expect(history.locator("figcaption")).to_contain_text("<img src=x onerror=")
        page.get_by_label("Which number is drawn").select_option(".t")
        history.get_by_label("Which of the numbers").select_option("max")
        expect(history.locator("figcaption")).to_contain_text(".t, max 22 now")
        expect(page.get_by_text("live", exact=True)).to_be_visible()
        client.publish("house/kitchen/sensor", json.dumps({EVIL: 5, "t": 25}), qos=1)
        expect(value.locator("mark")).to_have_text('  "t": 25')
        expect(page.locator("svg.plot")).to_have_count(2)
        page.get_by_label("How the payload is shown").select_option("bytes")
        expect(value).to_contain_text("00000000  7b 22 3c 69")
        with client.subscribe("house/kitchen/sensor") as messages:
            page.get_by_label("Payload", exact=True).fill("new ü")
            page.get_by_role("button", name="Publish").click()
            found = [message.payload for _, message in zip(range(2), messages, strict=False)]
            assert "new ü".encode() in found
        page.get_by_role("button", name="Delete what is retained").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.locator("#notice")).to_contain_text("Removed")


def test_subscriptions_retained_access_and_log(page: Page, served: Served) -> None:
    with sync.open_client(served.url, client_id="sub-3") as client:
        client.publish("tidy/old", "1", retain=True, qos=1)
        with client.subscribe("tidy/+"):
            log_in(page, served, where="#/subscriptions")
            page.get_by_label("Matches this topic").fill("tidy/x")
            expect(page.locator("tbody tr", has_text="sub-3")).to_have_count(1)
            page.get_by_role("link", name="Access").click()
            form = page.locator("form", has_text="Who would get this message?")
            form.get_by_label("Topic").fill("tidy/x")
            form.get_by_role("button").click()
            expect(form).to_contain_text("sub-3 by tidy/+")
    page.get_by_role("link", name="Retained").click()
    page.get_by_label("Topic filter").fill("tidy/#")
    page.get_by_label("Topic filter").press("Enter")
    page.get_by_label("Orphaned").select_option("silent")
    expect(page.locator("tbody")).to_contain_text("Nothing is retained.")
    # Its author has gone by now.
    page.get_by_label("Orphaned").select_option("gone")
    expect(page.locator("tbody tr")).to_contain_text(["author gone"])
    page.get_by_role("button", name="Delete tidy/old").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("tbody")).to_contain_text("Nothing is retained")
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    with sync.open_client(served.url, client_id=f"comes-and-goes {EVIL}"):
        expect(page.locator("tbody")).to_contain_text("comes-and-goes <img")
    # So is who changes what.
    served.change_access({"command": "deleteRole", "rolename": EVIL})
    change = page.locator("tbody tr", has_text="ChangeRequested")
    expect(change).to_contain_text("user: tests, address: 127.0.0.1:")
    expect(change).to_contain_text('"command": "deleteRole", "rolename": "<img')
    page.get_by_label("Only with this text").fill("GOES connected")
    page.get_by_label("Which events").select_option("ClientConnected")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Only with this text").fill("goes nowhere")
    expect(page.locator("tbody tr")).to_have_count(0)
    page.get_by_role("link", name="Access").click()
    ban = page.locator("form.card", has=page.get_by_role("button", name="Ban"))
    ban.get_by_label("Who").fill("nasty")
    ban.get_by_role("button", name="Ban").click()
    expect(page.locator("tbody tr", has_text="nasty")).to_have_count(1)
    page.get_by_role("button", name="Lift the ban of nasty").click()
    page.get_by_role("dialog").get_by_role("button", name="Lift").click()
    expect(page.locator("tbody")).to_contain_text("Nobody is banned")


def test_who_may_only_see_is_offered_nothing_else(page: Page, served: Served) -> None:
    with sync.open_client(served.url, client_id="lamp-8"):
        log_in(page, served, "bob", "#/client/lamp-8/")
        expect(page.locator("dl")).to_contain_text("connected since")
        expect(page.get_by_role("button", name="Disconnect")).to_have_count(0)
        page.get_by_role("link", name="Access").click()
        expect(page.get_by_role("button", name="Ban")).to_have_count(0)


def test_scripts_in_all_that_clients_can_name_stay_text(page: Page, served: Served) -> None:
    with sync.open_client(served.url, client_id=EVIL) as client:
        client.publish(f"evil/{EVIL.replace('/', '|')}", EVIL, retain=True, qos=1)
        with client.subscribe(f"evil/{EVIL.replace('/', '|')}/#"):
            log_in(page, served, where="#/clients")
            for view in ("Clients", "Subscriptions", "Retained"):
                page.get_by_role("link", name=view, exact=True).click()
                expect(page.locator("tbody")).to_contain_text("<img src=x onerror=")
            page.goto(f"{served.page}/#/topics")
            page.get_by_role("button", name=re.compile("evil")).click()
            page.get_by_role("button", name=re.compile("<img")).click()
            expect(page.locator("pre.value")).to_contain_text("<script>")
            page.get_by_role("link", name="Clients", exact=True).click()
            page.get_by_role("link", name=re.compile("<img")).click()
            expect(page.locator("h1")).to_contain_text("<img src=x")
            assert page.locator("img, main script").count() == 0
            assert page.title() != "owned"


def test_a_session_that_is_over_asks_again(page: Page, served: Served) -> None:
    log_in(page, served, where="#/clients")
    page.context.clear_cookies()
    page.evaluate("location.hash = '#/retained'")  # or the list itself asks first
    expect(page.get_by_role("alert")).to_contain_text("session is over")
    expect(page.get_by_label("Password")).to_be_visible()


def test_a_broker_that_starts_anew_is_found_again(page: Page, served: Served) -> None:
    log_in(page, served)
    served.stop()
    expect(page.locator("#notice")).to_contain_text("does not answer")
    served.start()
    # Logins end with the broker.
    expect(page.get_by_label("Password")).to_be_visible()


def test_it_is_readable_on_a_phone_by_keyboard_and_in_the_dark(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    log_in(page, served)
    views = ("Clients", "Topics", "Subscriptions", "Retained", "Log", "Overview", "Access")
    for view in (*views, "Users", "Groups", "Roles"):
        link = page.get_by_role("link", name=view, exact=True)
        link.focus()
        page.keyboard.press("Enter")
        expect(link).to_have_attribute("aria-current", "page")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        # A word of a list stays whole: each of its cells has a line of its own.
        for box in page.locator("table.cards td").all()[:20]:
            assert box.evaluate("one => one.offsetWidth > 200 || !one.offsetWidth")
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
