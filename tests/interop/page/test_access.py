"""Users, groups and roles on the page: seen and changed, passwords never shown, names only text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
from playwright.sync_api import Locator, Page, expect

import trio_mqtt
from tests.interop.page.conftest import EVIL, Served, log_in
from trio_mqtt import sync

pytestmark = pytest.mark.slow

SECRET = "hunter2-never-shown"


@pytest.fixture(autouse=True)
def nobody_is_left(served: Served) -> Iterator[None]:
    """Each test begins with no user, group or role, and leaves none."""
    yield
    kinds = (("Client", "username"), ("Group", "groupname"), ("Role", "rolename"))
    listed = served.change_access(*({"command": f"list{kind}s"} for kind, _ in kinds))
    commands: list[dict[str, object]] = []
    for (kind, key), answer in zip(kinds, listed, strict=True):
        names = answer["data"][f"{kind.lower()}s"]
        commands += ({"command": f"delete{kind}", key: name} for name in names)
    if commands:
        answers = served.change_access(*commands)
        assert not any("error" in answer for answer in answers), answers


def send(form: Locator, button: str, fields: Mapping[str, str] = {}) -> None:
    """Fill in the fields by their labels, and press the button."""
    for label, value in fields.items():
        form.get_by_label(label).fill(value)
    form.get_by_role("button", name=button).click()


def part(page: Page, name: str) -> Locator:
    return page.locator(f'[aria-label="{name}"]')


def test_a_user_with_a_group_and_a_role_is_made_and_shut_out(page: Page, served: Served) -> None:
    told: list[str] = []
    page.on("response", lambda answer: told.append(answer.url))
    log_in(page, served, where="#/access/roles")
    send(page.locator("form", has_text="Make a role"), "Make", {"Name": "writers"})
    rules = part(page, "Rules")
    rules.get_by_label("What").select_option("publishClientSend")
    rules.get_by_label("Which is").select_option("deny")
    send(rules, "Add this rule", {"Topic filter": "closed/#", "Priority": "7"})
    expect(rules.locator("tbody tr")).to_contain_text(["publishClientSendclosed/#7deny"])

    page.get_by_role("link", name="Groups").click()
    send(page.locator("form", has_text="Make a group"), "Make", {"Name": "staff"})
    send(part(page, "Roles"), "Give this role", {"Role": "writers"})
    expect(part(page, "Roles").get_by_role("link", name="writers")).to_be_visible()

    page.get_by_role("link", name="Users").click()
    form = page.locator("form", has_text="Make a user")
    send(form, "Make", {"Name": "lamp", "Password": SECRET})
    send(part(page, "Groups"), "Put into this group", {"Group": "staff"})
    expect(part(page, "Groups").get_by_role("link", name="staff")).to_be_visible()

    # What the rules say of it, before it has ever come.
    page.get_by_role("link", name="Rules and bans").click()
    asked = page.locator("form", has_text="May this client do that?")
    which = {"Client identifier": "lamp-1", "User": "lamp", "Topic, or filter": "closed/1"}
    send(asked, "Ask the rules", which)
    expect(asked.get_by_role("status")).to_contain_text("No.")
    expect(asked.get_by_role("status")).to_contain_text("the role writers: publishClientSend")
    page.get_by_role("link", name="Users").click()
    row = page.locator("tbody tr", has_text="lamp")
    expect(row).to_contain_text("staff")
    expect(row).to_contain_text("yes")
    row.get_by_role("link", name="lamp").click()

    # What was made holds at once, and ends at once.
    with (  # noqa: PT012 # it may come as late as when the client leaves
        pytest.raises(trio_mqtt.DisconnectedByBrokerError, match="disabled"),
        sync.open_client(served.url, username="lamp", password=SECRET) as client,
        client.subscribe("silence") as messages,
    ):
        client.publish("open/1", "x", qos=1)
        with pytest.raises(trio_mqtt.RequestRefusedError):
            client.publish("closed/1", "x", qos=1)
        page.get_by_role("button", name="Disable").click()
        page.get_by_role("dialog").get_by_role("button", name="Disable").click()
        expect(page.get_by_text("may not connect", exact=True)).to_be_visible()
        next(messages)
    with (
        pytest.raises(trio_mqtt.ConnectionRefusedByBrokerError),
        sync.open_client(served.url, username="lamp", password=SECRET),
    ):
        pytest.fail("It is let in, though it is disabled.")
    assert SECRET not in page.content()
    assert not any(SECRET in url for url in told)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("tbody")).to_contain_text("No user.")


def test_scripts_in_users_groups_and_roles_stay_text(page: Page, served: Served) -> None:
    log_in(page, served, where="#/access/roles")
    for name in ("role", "group", "user"):
        page.get_by_role("link", name=f"{name.capitalize()}s", exact=True).click()
        send(page.locator("form", has_text=f"Make a {name}"), "Make", {"Name": EVIL})
        expect(page.locator("h2", has_text="<img src=x")).to_be_visible()
        if name == "role":
            send(part(page, "Rules"), "Add this rule", {"Topic filter": EVIL})
            expect(part(page, "Rules").locator("tbody")).to_contain_text("<script>")
        else:
            send(part(page, "Roles"), "Give this role", {"Role": EVIL})
            expect(part(page, "Roles").locator("tbody")).to_contain_text("<script>")
        if name == "user":
            send(part(page, "Groups"), "Put into this group", {"Group": f"no {EVIL}"})
            expect(page.locator("#notice")).to_have_class(re.compile("bad"))
        send(part(page, "Description"), "Change", {"Called": EVIL, "Description": EVIL})
    page.get_by_role("link", name="Users", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("<script>")
    assert page.locator("img, main script").count() == 0
    assert page.title() != "owned"


def test_who_may_not_administrate_sees_no_users(page: Page, served: Served) -> None:
    log_in(page, served, "bob", "#/access/users")
    expect(page.get_by_text("May this client do that?")).to_be_visible()
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
