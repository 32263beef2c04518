"""`tmqtt acl`: what an access file allows, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import typer

from tmqtt.terminal.plainly import WRONG_FILE, errors_as_sentences, say
from trio_mqtt import topic_filter_problem, topic_name_problem
from trio_mqtt.access import ACTIONS, AccessFile, Decision, DynamicSecurity, Section


def explain(
    path: str,
    topic: str,
    *,
    username: str | None,
    client_id: str,
    action: str | None,
    as_json: bool,
    dynamic_security: str | None = None,
) -> None:
    """Print what decides about each action; exit with 1 where one of them is denied.

    A file that is named .json is one of dynamic security.
    """
    with errors_as_sentences(WRONG_FILE):
        decide = _decider(path, dynamic_security)
        problem = topic_filter_problem(topic)
        if problem is not None:
            raise ValueError(f"The topic {topic!r} {problem}: topics read home/kitchen/lamp.")
        asked = [each for each in ACTIONS if action in (None, each)]
        if topic_name_problem(topic) is not None or topic.startswith("$share/"):
            if action not in (None, "subscribe"):
                raise ValueError(
                    f"{topic!r} is a topic filter, and messages have a topic: write one, or"
                    " --action subscribe."
                )
            asked = ["subscribe"]
    decisions = {
        each: decide(each, client_id=client_id, username=username, topic=topic) for each in asked
    }
    if as_json:
        say(
            json.dumps(
                {
                    each: {"allowed": found.allowed, "line": found.line, "rule": found.text}
                    for each, found in decisions.items()
                },
                ensure_ascii=False,
            )
        )
    else:
        for each, found in decisions.items():
            say(f"{each:<9}  {'allowed' if found.allowed else 'denied ':<7}  {found.text}")
    if not all(found.allowed for found in decisions.values()):
        raise typer.Exit(1)


def _decider(path: str, dynamic_security: str | None) -> Callable[..., Decision]:
    """What decides by an access file, by dynamic security, or by both."""
    if _is_dynamic(path):
        if dynamic_security is not None:
            raise ValueError(
                f"{path} is a file of dynamic security, and so is --dynamic-security: name the"
                " access file first."
            )
        return DynamicSecurity.load(path).decide
    file = AccessFile.load(path)
    if dynamic_security is None:
        return file.decide
    return partial(DynamicSecurity.load(dynamic_security).decide, beside=file)


def _is_dynamic(path: str) -> bool:
    return path.endswith(".json")


def show_rules(path: str, *, as_json: bool) -> None:
    """Print the rules, those of each user in the order in which they stand."""
    if _is_dynamic(path):
        _show_roles(path, as_json=as_json)
        return
    with errors_as_sentences(WRONG_FILE):
        file = AccessFile.load(path)
    sections: list[tuple[str, Section]] = [("anonymous clients", file.anonymous)]
    sections += [(f"user {name}", section) for name, section in file.users.items()]
    sections.append(("everybody", file.everyone))
    if as_json:
        rules = [
            {
                "for": whom,
                "access": rule.grants,
                "filter": rule.topic_filter,
                "line": rule.line,
            }
            for whom, section in sections
            for rule in section.rules
        ]
        say(json.dumps({"rules": rules, "warnings": file.warnings}, ensure_ascii=False))
        return
    for whom, section in sections:
        if not section.rules:
            continue
        say(f"{whom}:")
        for rule in sorted(section.rules, key=lambda rule: rule.grants != "deny"):  # as they decide
            line = "" if rule.line is None else f"  (line {rule.line})"
            say(f"  {rule.grants:<9} {rule.topic_filter}{line}")
    for warning in file.warnings:
        say(f"Warning: {warning}", problem=True)


def _show_roles(path: str, *, as_json: bool) -> None:
    """Print the roles, their rules in the order in which they decide, and who has them."""
    with errors_as_sentences(WRONG_FILE):
        dynamic = DynamicSecurity.load(path)
    state = dynamic.state
    if as_json:
        rules = [
            {
                "role": name,
                "acltype": acl.acltype,
                "filter": acl.topic,
                "allow": acl.allow,
                "priority": acl.priority,
            }
            for name, role in sorted(state.roles.items())
            for acl in role.acls
        ]
        say(json.dumps({"rules": rules, "warnings": dynamic.warnings}, ensure_ascii=False))
        return
    for name, role in sorted(state.roles.items()):
        say(f"role {name}:")
        for acl in role.acls:
            word = "allow" if acl.allow else "deny"
            say(f"  {word:<5} {acl.acltype:<20} {acl.topic}  (priority {acl.priority})")
    for name, group in sorted(state.groups.items()):
        anonymous = ", anonymous clients" if name == state.anonymous_group else ""
        say(f"group {name}{anonymous}: {', '.join(one.name for one in group.roles) or 'no roles'}")
    for name, client in sorted(state.clients.items()):
        has = [one.name for one in client.roles] + [f"group {one.name}" for one in client.groups]
        disabled = ", disabled" if client.disabled else ""
        say(f"user {name}{disabled}: {', '.join(has) or 'no roles'}")
    for warning in dynamic.warnings:
        say(f"Warning: {warning}", problem=True)
