"""What roles allow: which rule decides, and what an access file beside them says first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trio_mqtt.access import AccessFile, ClientInfo
from trio_mqtt.broker.access.dynamic.records import State
from trio_mqtt.broker.access.dynamic.roles import Asked, DynamicRoles
from trio_mqtt.broker.access.dynamic.security import DynamicSecurity
from trio_mqtt.broker.access.files.file_rules import FileRules

from .made import changed, command, with_admin


def acl(kind: str, topic: str, allow: bool = True, priority: int = 0) -> dict[str, object]:
    return {"acltype": kind, "topic": topic, "allow": allow, "priority": priority}


def role(name: str, *acls: dict[str, object]) -> dict[str, object]:
    return command("createRole", rolename=name, acls=acls)


def user(name: str, *roles: tuple[str, int]) -> dict[str, object]:
    given = [{"rolename": rolename, "priority": priority} for rolename, priority in roles]
    return command("createClient", username=name, roles=given)


def allows(state: State, asked: Asked, topic: str, username: str | None = "u") -> bool:
    return DynamicRoles(state).decide(asked, username, topic).allowed


BY_NAME = changed(
    State(),
    role(
        "r",
        acl("publishClientSend", "lamp/%c/state"),
        acl("publishClientSend", "user/%u/#"),
        acl("subscribePattern", "lamp/%c/#"),
        acl("subscribeLiteral", "as/%c"),
    ),
    role("careful", acl("publishClientSend", "o/#"), acl("publishClientSend", "o/%c", False, 1)),
    user("u", ("r", 1)),
    user("v", ("careful", 1)),
)


@pytest.mark.parametrize(
    ("asked", "topic", "username", "client_id", "allowed"),
    [
        ("publish", "lamp/7/state", "u", "7", True),
        ("publish", "lamp/8/state", "u", "7", False),
        ("publish", "user/u/x/y", "u", "7", True),
        ("publish", "user/7/x", "u", "7", False),
        ("publish", "lamp/%c/state", "u", "7", False),
        ("subscribe", "lamp/7/#", "u", "7", True),
        ("subscribe", "lamp/+/#", "u", "7", False),
        ("subscribe", "as/%c", "u", "7", True),  # to the letter
        ("subscribe", "as/7", "u", "7", False),
        # What a client calls itself is no wildcard, and no way round what is denied.
        ("publish", "lamp/8/state", "u", "+", False),
        ("subscribe", "lamp/+/#", "u", "+", False),
        ("publish", "lamp/a/b/state", "u", "a/b", False),
        ("publish", "o/x", "v", "7", True),
        ("publish", "o/7", "v", "7", False),
        ("publish", "o/a/b", "v", "a/b", False),
        ("publish", "o/x", "v", "#", False),
    ],
)
def test_rules_may_go_by_the_names_of_a_client(
    asked: Asked, topic: str, username: str, client_id: str, allowed: bool
) -> None:
    decision = DynamicRoles(BY_NAME).decide(asked, username, topic, client_id)
    assert decision.allowed is allowed, decision.text


SUBSCRIBING = changed(
    State(),
    role(
        "r",
        acl("subscribePattern", "p/+/x", priority=5),
        acl("subscribePattern", "q/#"),
        acl("subscribePattern", "q/deny/#", allow=False, priority=9),
        acl("subscribeLiteral", "lit/+"),
        acl("subscribeLiteral", "q/deny/1"),
        acl("unsubscribePattern", "q/#", allow=False),
    ),
    user("u", ("r", 0)),
)


@pytest.mark.parametrize(
    ("topic_filter", "allowed"),
    [
        ("p/a/x", True),
        ("p/+/x", True),
        ("p/#", False),
        ("p/a/b/x", False),
        ("q/#", True),
        ("q/a/#", True),
        ("q", True),
        ("q/deny/1", True),  # what is literal comes first
        ("q/deny/2", False),
        ("q/deny/#", False),
        ("q/+/1", True),
        ("lit/+", True),
        ("lit/a", False),
        ("$SYS/#", False),
        ("#", False),
        ("$share/g/q/a", True),
        ("$share/g/lit/a", False),
    ],
)
def test_a_pattern_covers_filters_and_a_literal_is_one(topic_filter: str, allowed: bool) -> None:
    assert allows(SUBSCRIBING, "subscribe", topic_filter) is allowed


def test_unsubscribing_is_a_matter_of_its_own() -> None:
    assert not allows(SUBSCRIBING, "unsubscribe", "q/a")
    assert allows(SUBSCRIBING, "unsubscribe", "p/a/x")


@pytest.mark.parametrize(
    ("pattern", "covered", "left"),
    [
        ("#", ["#", "+/a", "a", "a/#"], ["$SYS/#", "$SYS/a"]),
        ("+", ["+", "a"], ["#", "a/b", "+/+", "$SYS"]),
        ("a/+", ["a/+", "a/b", "a/"], ["a/#", "a", "a/b/c"]),
        ("a/#", ["a", "a/#", "a/+/#", "a/b"], ["#", "+/a", "b"]),
        ("$SYS/#", ["$SYS/#", "$SYS/+"], ["#", "$OTHER"]),
    ],
)
def test_what_patterns_cover(pattern: str, covered: list[str], left: list[str]) -> None:
    state = changed(State(), role("r", acl("subscribePattern", pattern)), user("u", ("r", 0)))
    assert [one for one in covered if not allows(state, "subscribe", one)] == []
    assert [one for one in left if allows(state, "subscribe", one)] == []


def test_the_rule_with_the_highest_priority_decides() -> None:
    state = changed(
        State(),
        role(
            "r",
            acl("publishClientSend", "a/#", allow=True, priority=1),
            acl("publishClientSend", "a/b/#", allow=False, priority=2),
            acl("publishClientSend", "a/b/c", allow=True, priority=3),
        ),
        user("u", ("r", 0)),
    )
    assert allows(state, "publish", "a/x")
    assert not allows(state, "publish", "a/b/x")
    assert allows(state, "publish", "a/b/c")
    decision = DynamicRoles(state).decide("publish", "u", "a/b/x")
    assert decision.text == "the role r: publishClientSend a/b/# deny (priority 2)"


def test_roles_are_asked_by_priority_and_own_ones_before_those_of_groups() -> None:
    state = changed(
        State(),
        role("yes", acl("publishClientSend", "a")),
        role("no", acl("publishClientSend", "a", allow=False)),
        role("other", acl("publishClientSend", "b")),
        user("u", ("yes", 1), ("no", 2)),
        user("v", ("yes", 2), ("no", 1)),
        user("w", ("other", 1)),
        command("createGroup", groupname="low", roles=[{"rolename": "no"}]),
        command("createGroup", groupname="high", roles=[{"rolename": "yes"}]),
        command("addGroupClient", groupname="low", username="w", priority=1),
        command("addGroupClient", groupname="high", username="w", priority=5),
        command("addGroupClient", groupname="high", username="u", priority=99),
    )
    assert not allows(state, "publish", "a", "u")
    assert allows(state, "publish", "a", "v")
    assert allows(state, "publish", "a", "w")
    assert allows(state, "publish", "b", "w")


def test_what_no_rule_says_the_default_decides_but_not_for_control() -> None:
    state = changed(State(), user("u"))
    for asked, allowed in (("publish", False), ("receive", True), ("subscribe", False)):
        assert allows(state, asked, "a") is allowed  # type: ignore[arg-type]  # literals
    kinds = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    state = changed(
        state,
        command("setDefaultACLAccess", acls=[{"acltype": kind, "allow": True} for kind in kinds]),
    )
    assert allows(state, "publish", "a")
    assert allows(state, "subscribe", "#")
    assert not allows(state, "publish", "$CONTROL/dynamic-security/v1")
    assert not allows(state, "receive", "$CONTROL/dynamic-security/v1/response")
    assert not allows(state, "subscribe", "$CONTROL/#")


def test_anonymous_clients_have_the_roles_of_their_group() -> None:
    state = changed(
        State(),
        role("r", acl("publishClientSend", "a")),
        command("createGroup", groupname="g", roles=[{"rolename": "r"}]),
    )
    assert not allows(state, "publish", "a", None)
    assert allows(changed(state, command("setAnonymousGroup", groupname="g")), "publish", "a", None)


def test_who_is_not_known_may_nothing_but_leave() -> None:
    state = changed(State(), user("u"))
    assert not allows(state, "receive", "a", "stranger")
    assert not allows(state, "subscribe", "a", "stranger")
    assert allows(state, "unsubscribe", "a", "stranger")


def test_a_role_that_stays_is_compiled_once(tmp_path: Path) -> None:
    state = changed(State(), role("r", acl("publishClientSend", "a")), user("u", ("r", 0)))
    first = DynamicSecurity(str(tmp_path / "f"), state)
    first.roles.decide("publish", "u", "a")
    second = first.changed(changed(state, user("v", ("r", 0))))
    assert second.roles.compiled["r"] is first.roles.compiled["r"]
    assert second.roles.decide("publish", "v", "a").allowed
    third = second.changed(
        changed(second.state, command("addRoleACL", rolename="r", **acl("publishClientSend", "b")))
    )
    assert third.roles.decide("publish", "v", "b").allowed
    assert not second.roles.decide("publish", "v", "b").allowed


# -- beside other rules -----------------------------------------------------------------------


def client(username: str | None, *, proved: bool = True) -> ClientInfo:
    return ClientInfo("c", username, "127.0.0.1:1", "5", authenticated=proved)


@pytest.fixture
def state() -> State:
    return with_admin(
        role(
            "r",
            acl("publishClientSend", "home/#"),
            acl("subscribePattern", "news/#"),
            acl("publishClientReceive", "secret/#", allow=False),
        ),
        user("u", ("r", 0)),
    )


def test_a_file_decides_what_one_of_its_rules_says_and_roles_the_rest(
    tmp_path: Path, state: State
) -> None:
    path = tmp_path / "access"
    path.write_text("user u\ntopic deny home/safe\ntopic readwrite secret/#\n")
    path.chmod(0o600)
    file = FileRules(AccessFile.load(path), "the file")
    rules = DynamicSecurity("dynamic.json", state).rules_beside(file)
    u = client("u")
    assert not rules.may_publish(u, "home/safe")  # though the role allows it
    assert rules.may_publish(u, "home/lamp")
    assert rules.may_receive(u, "secret/plan")  # though the role denies it
    assert not rules.may_publish(u, "garden")
    assert rules.may_subscribe(u, "news/today")
    assert rules.explain("publish", u, "home/safe") == "the file, line 2: topic deny home/safe"
    assert rules.explain("publish", u, "home/lamp") == (
        "dynamic.json, the role r: publishClientSend home/# allow (priority 0)"
    )


def test_a_file_that_lets_receive_some_of_a_filter_does_not_let_subscribe_to_all_of_it(
    tmp_path: Path, state: State
) -> None:
    """Else the default of roles, which is to receive, would bring the rest of it."""
    path = tmp_path / "access"
    path.write_text("user u\ntopic read home/#\ntopic deny home/safe/#\npattern read mail/%u/#\n")
    path.chmod(0o600)
    file = FileRules(AccessFile.load(path), "the file")
    assert file.may_subscribe(client("u"), "#")  # where there is nothing beside it
    rules = DynamicSecurity("dynamic.json", state).rules_beside(file)
    u = client("u")
    allowed = ["home/#", "home/+", "home", "news/#", "mail/u/#", "mail/u/new"]
    denied = ["#", "+/lamp", "home/safe/#", "home/safe", "mail/#", "mail/+/new", "mail/v/#"]
    assert [one for one in allowed if not rules.may_subscribe(u, one)] == []
    assert [one for one in denied if rules.may_subscribe(u, one)] == []


def test_only_a_name_that_was_proved_counts(state: State) -> None:
    rules = DynamicSecurity("dynamic.json", state).rules_beside(None)
    assert rules.may_publish(client("u"), "home/lamp")
    assert not rules.may_publish(client("u", proved=False), "home/lamp")


def test_a_programs_rules_and_the_roles_must_both_allow(state: State) -> None:
    class Own:
        def may_publish(self, client: ClientInfo, topic: str) -> bool:
            return topic != "home/safe"

        def may_subscribe(self, client: ClientInfo, topic_filter: str) -> bool:
            return topic_filter != "news/#"

        def may_receive(self, client: ClientInfo, topic: str) -> bool:
            return topic != "news/old"

    rules = DynamicSecurity("dynamic.json", state).rules_beside(Own())
    u = client("u")
    assert rules.may_publish(u, "home/lamp")
    assert not rules.may_publish(u, "home/safe")
    assert not rules.may_publish(u, "garden")
    assert rules.may_subscribe(u, "news/today")
    assert not rules.may_subscribe(u, "news/#")
    assert rules.may_receive(u, "news/today")
    assert not rules.may_receive(u, "news/old")
    assert rules.explain("publish", u, "home/safe") == "the program's rules"
    assert "the default of publishClientSend is deny" in rules.explain("publish", u, "garden")


def test_who_is_disabled_or_under_another_identifier_is_refused(state: State) -> None:
    def refusal(after: State, info: ClientInfo) -> str | None:
        return DynamicSecurity("dynamic.json", after).refusal(info)

    assert refusal(state, client("u")) is None
    disabled = changed(state, command("disableClient", username="u"))
    assert refusal(disabled, client("u")) == "its user is disabled"
    assert refusal(disabled, client("u", proved=False)) is None
    assert refusal(disabled, client(None)) is None
    fixed = changed(state, command("setClientId", username="u", clientid="mine"))
    assert refusal(fixed, client("u")) == "its user has another client identifier"
    assert refusal(fixed, replace(client("u"), client_id="mine")) is None
