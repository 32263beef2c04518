"""The reference of the HTTP API, in Markdown: made from its own description (OpenAPI)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from making.markdown import anchor, cell, code, prose, table

from trio_mqtt.web.description import description

_REF = "#/components/schemas/"
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
}


def operations() -> str:
    """What can be asked for: each request with what it takes and what it answers."""
    told = description()
    base = told["servers"][0]["url"]
    found = [
        (f"{method.upper()} {base}{path}", entry)
        for path, entries in told["paths"].items()
        for method, entry in entries.items()
    ]
    parts = [
        table(
            ("request", "what it does"),
            (
                (f"[`{request}`](#{anchor(request)})", cell(entry["summary"]))
                for request, entry in found
            ),
        )
    ]
    for request, entry in found:
        parts += [f"### `{request}`\n", *_operation(entry)]
    return "\n".join(parts)


def problems() -> str:
    """What each status means that is not 200."""
    told: dict[str, dict[str, None]] = {}
    for entries in description()["paths"].values():
        for entry in entries.values():
            for status, answer in entry["responses"].items():
                if status != "200":
                    told.setdefault(status, {})[answer["description"]] = None
    rows = [(status, cell(" ".join(texts))) for status, texts in sorted(told.items())]
    return table(("status", "when"), rows)


def forms() -> str:
    """The objects that requests and answers consist of."""
    parts = []
    for name, schema in sorted(description()["components"]["schemas"].items()):
        parts += [f"### `{name}`\n", *_form(schema)]
    return "\n".join(parts)


def _operation(entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"{prose(' '.join((entry['summary'], entry.get('description', ''))))}\n"
    if entry.get("parameters"):
        yield table(
            ("parameter", "is", "default", "meaning"),
            (
                (
                    code(one["name"]),
                    _kind(one["schema"]),
                    "must be given" if one["required"] else _default(one["schema"]),
                    cell(one["description"]),
                )
                for one in entry["parameters"]
            ),
        )
    if "requestBody" in entry:
        schema = entry["requestBody"]["content"]["application/json"]["schema"]
        if "$ref" in schema:
            yield f"Its body is {_kind(schema)}.\n"
        else:
            yield "Its body:\n"
            yield from _form(schema)
    (answer,) = [one for status, one in entry["responses"].items() if status == "200"]
    ((kind, content),) = answer["content"].items()
    streams = kind == "text/event-stream"
    what = "server-sent events" if streams else _kind(content["schema"])
    problems = ", ".join(status for status in sorted(entry["responses"]) if status != "200")
    yield f"Answer: {what}. Problems: {problems}.\n"


def _form(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        # Of a form that a class describes, what is below its first paragraphs is in the table.
        yield f"{prose(schema['description'].partition('Attributes:')[0].strip())}\n"
    if "properties" not in schema:
        yield f"{_kind(schema)}\n"
        return
    required = schema.get("required", ())
    yield table(
        ("field", "is", "default", "meaning"),
        (
            (
                code(name),
                _kind(field),
                "" if name in required else _default(field),
                cell(field.get("description", "")),
            )
            for name, field in schema["properties"].items()
        ),
    )


def _default(schema: Mapping[str, Any]) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    if value is None:
        return "null"
    if isinstance(value, bool):
        return code(str(value).lower())
    return code(f'"{value}"' if isinstance(value, str) else str(value))


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f"[{name}](#{anchor(name)})"
    if "enum" in schema:
        return ", ".join(code(f'"{one}"') for one in schema["enum"])
    if "const" in schema:
        return code(f'"{schema["const"]}"')
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_KINDS[one] for one in kind)
    if kind == "array":
        items = schema.get("items") or {}
        return f"a list of {_kind(items)}" if items else "a list"
    if kind == "object":
        more = schema.get("additionalProperties")
        return (
            f"an object, of {_kind(more)} each" if isinstance(more, dict) and more else "an object"
        )
    if kind == "string" and schema.get("format") in ("binary", "base64", "base64url"):
        return "base64"
    words = _KINDS[kind] if kind else "anything"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{words} from {least:,} to {most:,}"
    if least is not None:
        return f"{words}, {least:,} at least"
    return words
