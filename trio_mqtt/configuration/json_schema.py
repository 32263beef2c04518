"""The JSON Schema of the file, by which editors complete and check it."""

from __future__ import annotations

import math
from dataclasses import MISSING
from enum import Enum
from functools import cache
from typing import Any, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from trio_mqtt.configuration.description import Section, Setting, root, section_of

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The JSON Schema of a broker's configuration, as a dictionary that JSON can write."""
    made = _without_titles(_model(root().cls).model_json_schema())
    return {"$schema": _DIALECT, "title": "Configuration of a tmqtt broker", **made}


def _without_titles(node: Any) -> Any:
    """The same without the titles that are mere names of classes and fields."""
    if isinstance(node, list):
        return [_without_titles(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(one)
        for key, one in node.items()
        if key != "title" or not isinstance(one, str)
    }


@cache
def _model(cls: type) -> type[BaseModel]:
    """A model of Pydantic with what a section may have."""
    section = section_of(cls)
    made: type[BaseModel] = create_model(
        cls.__name__,
        __config__=ConfigDict(extra="forbid"),
        __doc__=section.doc,
        **_fields(section),
    )
    return made


def _fields(section: Section) -> Any:
    return {name: _field(setting) for name, setting in section.settings.items()}


def _field(setting: Setting) -> tuple[Any, Any]:
    """The type of a setting, and what is said of it."""
    annotation: Any
    if setting.section is None:
        annotation = setting.kind and setting.kind.annotation
    else:
        annotation = _model(setting.section.cls)
        if setting.section.alone is not None:
            annotation = Union[str, annotation]  # noqa: UP007  # a value, not a type
        if setting.form == "array":
            annotation = list[annotation]
        elif setting.form == "named":
            annotation = dict[str, annotation]
    default = _default(setting)

    def complete(made: dict[str, Any]) -> None:
        # What is None here is left out in TOML.
        made.pop("default", None)
        if default is not None:
            made["default"] = default
        for one in made.get("anyOf", [made]):
            if one.get("type") in ("integer", "number"):
                one |= {"minimum": setting.least} if setting.least is not None else {}
                one |= {"maximum": setting.most} if setting.most is not None else {}

    required = setting.default is MISSING
    return annotation, Field(
        ... if required else None,
        description=setting.doc or None,
        json_schema_extra=complete,
    )


def _default(setting: Setting) -> Any:
    """The default as JSON has it; None where it has none, or a table has it."""
    default = setting.default
    if setting.section is not None or default is MISSING or default == math.inf:
        return None
    if isinstance(default, Enum):
        return default.value
    return list(default) if isinstance(default, tuple) else default
