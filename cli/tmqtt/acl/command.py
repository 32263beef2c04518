"""`tmqtt acl`: what an access file allows, and why."""

from __future__ import annotations

import json

import typer

from tmqtt.terminal.plainly import WRONG_FILE, errors_as_sentences, say
from trio_mqtt import topic_filter_problem, topic_name_problem
from trio_mqtt.access import ACTIONS, AccessFile, Section


def explain(
    path: str,
    topic: str,
    *,
    username: str | None,
    client_id: str,
    action: str | None,
    as_json: bool,
) -> None:
    """Print what decides about each action; exit with 1 where one of them is denied."""
    with errors_as_sentences(WRONG_FILE):
        file = AccessFile.load(path)
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
        each: file.decide(each, client_id=client_id, username=username, topic=topic)
        for each in asked
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


def show_rules(path: str, *, as_json: bool) -> None:
    """Print the rules, those of each user in the order in which they stand."""
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
