"""The API described by itself: OpenAPI 3.1, made from the table of operations and its forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

import trio_mqtt.administration
from trio_mqtt.attribute_docs import attribute_docs
from trio_mqtt.broker.operations.table import OPERATIONS, Operation, Role
from trio_mqtt.version import __version__
from trio_mqtt.web.json_forms import adapter, written

_REF = "#/components/schemas/"
_PROBLEMS = {
    "401": "Nobody knows who asks.",
    "403": "Who asks may not do this.",
    "422": "It is not asked as described.",
    "503": "Too much is asked at one time, or the storage keeps nothing.",
}


_UNREAD = {
    "400": "The body has ended too early.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is no JSON.",
}


@cache
def description() -> dict[str, Any]:
    """The whole of it."""
    schemas, definitions = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _entry(
            operation, schemas, definitions
        )
    for path, entries in _logging_in().items():
        paths.setdefault(path, {}).update(entries)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "trio-mqtt",
            "version": __version__,
            "description": "What can be seen and done on a running broker. Times are seconds since"
            " 1970, sizes bytes; payloads are base64.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Problem": _PROBLEM, "Asker": _ASKER},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "tmqtt_session"},
            },
        },
    }


@cache
def written_description() -> bytes:
    """The same as JSON. To make it takes a tenth of a second, which is not the event loop's."""
    return written(description())


def _schemas() -> tuple[dict[tuple[type, str], Any], dict[str, Any]]:
    inputs: list[Any] = []
    for operation in OPERATIONS:
        inputs.append((operation.asked, "validation", adapter(operation.asked)))
        if operation.answer is not dict:
            inputs.append((operation.answer, "serialization", adapter(operation.answer)))
    found, rest = TypeAdapter.json_schemas(inputs, ref_template=_REF + "{model}")
    definitions: dict[str, Any] = rest.get("$defs", {})
    for name, schema in definitions.items():
        form = next(
            (
                getattr(face, name)
                for face in (trio_mqtt.administration, trio_mqtt.history)
                if hasattr(face, name)
            ),
            None,
        )
        docs = attribute_docs(form) if isinstance(form, type) else {}
        for field, shown in schema.get("properties", {}).items():
            if field in docs:
                shown["description"] = docs[field]
    return dict(found.items()), definitions


def _entry(
    operation: Operation, schemas: dict[tuple[type, str], Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    content: dict[str, Any]
    if operation.streams:
        content = {"text/event-stream": {"schema": {"type": "string"}}}
    else:
        answer = schemas[operation.answer, "serialization"]
        content = {"application/json": {"schema": answer}}
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"For the role {operation.role.name.lower()}, and those above it.",
        "responses": {"200": {"description": operation.summary, "content": content}},
    }
    problems = dict(_PROBLEMS)
    if operation.role is Role.SEE:
        del problems["403"]  # whoever is known may see
    problems["404"] = "What is named is not there."
    problems["409"] = "It cannot be done."
    if operation.method == "POST":
        problems |= _UNREAD
        body = schemas[operation.asked, "validation"]
        entry["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    else:
        entry["parameters"] = list(_parameters(operation, schemas, definitions))
    entry["responses"] |= _told(problems)
    return entry


def _told(problems: Mapping[str, str]) -> dict[str, Any]:
    """The answers that are problems, by their status."""
    return {
        status: {
            "description": sentence,
            "content": {"application/problem+json": {"schema": {"$ref": _REF + "Problem"}}},
        }
        for status, sentence in sorted(problems.items())
    }


def _logging_in() -> dict[str, dict[str, Any]]:
    """What is asked for beside operations: who asks, and by which cookie."""
    told = {"application/json": {"schema": {"$ref": _REF + "Asker"}}}
    login = {"application/json": {"schema": _LOGIN}}
    refused = {
        "401": "The user name or the password is wrong, or has no role.",
        "429": "Too many passwords were wrong.",
        "503": _PROBLEMS["503"],
    }
    unknown = {name: _PROBLEMS[name] for name in ("401", "503")}
    return {
        "/login": {
            "post": {
                "operationId": "log_in",
                "summary": "Log in by a password, for a cookie.",
                "security": [],
                "requestBody": {"required": True, "content": login},
                "responses": {
                    "200": {"description": "Who is logged in.", "content": told},
                    **_told({**_UNREAD, "422": _PROBLEMS["422"], **refused}),
                },
            }
        },
        "/logout": {
            "post": {
                "operationId": "log_out",
                "summary": "Log out.",
                "responses": {
                    "200": {"description": "Who was logged in.", "content": told},
                    **_told({**unknown, "403": _PROBLEMS["403"]}),
                },
            }
        },
        "/session": {
            "get": {
                "operationId": "session",
                "summary": "Who asks.",
                "responses": {
                    "200": {"description": "Who asks.", "content": told},
                    **_told(unknown),
                },
            }
        },
    }


def _parameters(
    operation: Operation, schemas: dict[tuple[type, str], Any], definitions: dict[str, Any]
) -> Iterable[dict[str, Any]]:
    reference = schemas[operation.asked, "validation"]["$ref"]
    schema = definitions[reference.removeprefix(_REF)]
    required = schema.get("required", [])
    for name, shown in schema.get("properties", {}).items():
        shown = dict(shown)
        text = shown.pop("description", "")
        # What may be left out is left out: there is no null in a query.
        kinds = [one for one in shown.get("anyOf", ()) if one != {"type": "null"}]
        if len(kinds) == 1 and "anyOf" in shown:
            shown = {**kinds[0]}
        shown.pop("title", None)
        if shown.get("default", 0) is None:
            del shown["default"]
        yield {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": text,
            "schema": shown,
        }


_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
_LOGIN = {
    "type": "object",
    "properties": {"user": {"type": "string"}, "password": {"type": "string"}},
    "required": ["user", "password"],
    "additionalProperties": False,
}
_ASKER = {
    "type": "object",
    "description": "Who asks.",
    "properties": {
        "user": {"type": "string", "description": "The user, or the name of the token."},
        "role": {
            "enum": [role.name.lower() for role in Role],
            "description": "What it may do.",
        },
        "csrf": {
            "type": ["string", "null"],
            "description": "What changes carry as X-CSRF-Token; null for who shows a token.",
        },
    },
    "required": ["user"],
}
