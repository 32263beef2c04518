"""What a file may say: sections and settings, as the dataclasses and attribute docs have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trio_mqtt.attribute_docs import attribute_docs
from trio_mqtt.broker.limits import Limits, range_of
from trio_mqtt.broker.listen import ListenerLimits
from trio_mqtt.configuration.kinds import Kind, Unit, kind_of
from trio_mqtt.configuration.places import Place
from trio_mqtt.configuration.sections import Settings
from trio_mqtt.records import record

_LIMITS = Limits()


@record
class Setting:
    """One setting: a value of some `kind`, or a `section` within the section.

    `form` says how many there are of these: one table, an array of tables, or tables by name.
    """

    name: str
    doc: str
    default: Any
    """MISSING where it must be given."""
    kind: Kind | None = None
    section: Section | None = None
    form: Literal["value", "table", "array", "named"] = "value"
    secret: bool = False
    may_have_password: bool = False
    """Whether it is a URL, of which a password in it is secret."""
    least: int | None = None
    most: int | None = None
    usual: Any = None
    """What it is where it is not given and has no default of its own, as those of a listener."""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING


@record
class Section:
    """A table of settings, which a dataclass takes as its arguments."""

    cls: type
    doc: str
    settings: Mapping[str, Setting]
    alone: str | None = None
    """The setting whose value may be written in place of the table."""


@cache
def root() -> Section:
    """The whole file."""
    return section_of(Settings)


@cache
def section_of(cls: type) -> Section:
    """The section that a dataclass makes."""
    # What is None in a program is left out in a file.
    docs = {name: doc.replace("None:", "Not given:") for name, doc in attribute_docs(cls).items()}
    types = get_type_hints(cls)
    settings = {}
    alone = None
    for field in fields(cls):
        if not field.metadata.get("written", True):
            continue
        setting = _setting(field, types[field.name], docs)
        if setting is not None:
            settings[field.name] = _bounded(setting, cls)
        if "alone" in field.metadata:
            alone = field.name
    # The first paragraph: the attributes stand below it.
    return Section(cls, " ".join((cls.__doc__ or "").split("\n\n")[0].split()), settings, alone)


def _setting(field: Field[Any], annotation: Any, docs: Mapping[str, str]) -> Setting | None:
    doc = docs.get(field.name, "")
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    secret = "secret" in field.metadata
    cls, form = _dataclass_in(annotation)
    if cls is not None:
        return Setting(field.name, doc, default, section=section_of(cls), form=form, secret=secret)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        meanings = attribute_docs(annotation)
        doc = " ".join(
            (doc, *(f'"{one.value}": {meanings[one.name]}' for one in annotation if meanings))
        )
    # A program without its source has no docs: there each number may be written with a unit.
    unit = _unit(doc) if docs else "seconds" if isinstance(default, float) else "bytes"
    kind = kind_of(annotation, unit)
    if kind is None:
        return None
    url = "may_have_password" in field.metadata
    return Setting(field.name, doc, default, kind, secret=secret, may_have_password=url)


def _bounded(setting: Setting, cls: type) -> Setting:
    """The same with the least and the most that it may be, where it is a limit."""
    if cls not in (Limits, ListenerLimits):
        return setting
    usual = getattr(_LIMITS, setting.name)
    least, most = range_of(setting.name, isinstance(usual, float))
    return replace(setting, least=least, most=most, usual=usual)


def _unit(doc: str) -> Unit:
    """In what a number is counted: attribute docs begin with it."""
    first = doc.partition(" ")[0]
    return "seconds" if first == "Seconds" else "bytes" if first == "Bytes" else ""


def _dataclass_in(annotation: Any) -> tuple[type | None, Literal["table", "array", "named"]]:
    """The dataclass that a type has in it, and whether there may be several."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation, "table"
    arguments = [one for one in get_args(annotation) if one not in (NoneType, Ellipsis, str)]
    if len(arguments) != 1 or not (isinstance(arguments[0], type) and is_dataclass(arguments[0])):
        return None, "table"
    origin = get_origin(annotation)
    if origin is tuple:
        return arguments[0], "array"
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return arguments[0], "named" if is_mapping else "table"


def find(keys: Iterable[str | int]) -> tuple[Setting | None, Place]:
    """The setting that keys lead to, with its place: numbers of arrays are numbers there.

    Keys that go on within a value lead to this value's setting; None where there is none.
    """
    section: Section | None = root()
    setting: Setting | None = None
    place: list[str | int] = []
    among = ""
    for key in keys:
        if among:  # a number or a name, of one among several
            is_number = among == "array" and str(key).isdecimal()
            if is_number:
                place.append(int(key))
            else:
                place.append(key)
            among = ""
            continue
        place.append(key)
        if section is not None:
            setting = section.settings.get(str(key))
            section = None if setting is None else setting.section
            among = setting.form if setting and setting.form in ("array", "named") else ""
    return setting, tuple(place)


def all_settings(section: Section, above: Place = ()) -> Iterator[tuple[Place, Setting]]:
    """Each setting with its place, section by section; one of several is number 0, or `NAME`."""
    for name, setting in section.settings.items():
        place: Place = (*above, name)
        yield place, setting
        if setting.section is not None:
            among: dict[str, Place] = {"array": (0,), "named": ("NAME",)}
            yield from all_settings(setting.section, place + among.get(setting.form, ()))
