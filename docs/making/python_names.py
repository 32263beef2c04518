"""The reference of the Python API, in Markdown: made from signatures and docstrings.

Sphinx gets directives of its domain `py`, so that each name is in the index, in the search and in
`objects.inv`. Docstrings are prose with code in backticks, which is Markdown but for examples:
these are indented.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, ForwardRef, NamedTuple, get_origin

from making.markdown import prose

from trio_mqtt.attribute_docs import attribute_docs

# What programs import from, in the order of the pages.
FACES = (
    "trio_mqtt",
    "trio_mqtt.access",
    "trio_mqtt.administration",
    "trio_mqtt.configuration",
    "trio_mqtt.durability",
    "trio_mqtt.events",
    "trio_mqtt.history",
    "trio_mqtt.monitoring",
    "trio_mqtt.pytest_plugin",
    "trio_mqtt.sync",
    "trio_mqtt.testing",
    "trio_mqtt.web",
)
_WORD = re.compile(r"\b[A-Z_a-z]\w*\b")
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_ERROR = re.compile(r"(?<![`\w.<])[A-Z]\w+Error(?![`\w])")
_VALUE = re.compile(r"^(:(?:value|type): )(.+)$")
_ATTRIBUTES = "\n\nAttributes:\n"
_MANY = 3  # fields whose texts say more than a signature
_UNSEEN = re.compile(r"[<>]")  # within the repr of what no program writes so


class Kind(NamedTuple):
    """A part of a page."""

    title: str
    has: Callable[[object], bool]


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _is_function(value: object) -> bool:
    return inspect.isroutine(value) or (
        callable(value)
        and not isinstance(value, type)
        and hasattr(value, "__qualname__")
        and get_origin(value) is None
    )


KINDS = (
    Kind("Functions", _is_function),
    Kind("Classes", lambda value: isinstance(value, type) and not _is_error(value)),
    Kind("Errors", _is_error),
    Kind("Types and values", lambda value: not _is_function(value) and not isinstance(value, type)),
)


def page(face: str) -> str:
    """All public names of a module."""
    module = import_module(face)
    parts = [markdown(inspect.getdoc(module) or "", face), f"```{{py:module}} {face}\n```\n"]
    found = names(face)
    for kind in KINDS:
        chosen = {name: value for name, value in found.items() if kind.has(value)}
        if chosen:
            parts.append(f"## {kind.title}\n")
        for name, value in sorted(chosen.items()):
            parts.append(entry(face, name, value))
    return "\n".join(parts)


@cache
def names(face: str) -> dict[str, object]:
    """The public names of a module, without modules and its version."""
    module = import_module(face)
    listed = getattr(module, "__all__", None)
    if listed is None:
        listed = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == face
        ]
        listed += [name for name in vars(module) if _is_fixture(getattr(module, name))]
    found = {name: getattr(module, name) for name in dict.fromkeys(listed)}
    return {
        name: _unwrapped(value)
        for name, value in found.items()
        if not isinstance(value, ModuleType) and name != "is_compiled"
    }


@cache
def homes() -> dict[str, str]:
    """The module of each public name; of one that several have, the first."""
    found: dict[str, str] = {}
    for face in FACES:
        for name in names(face):
            found.setdefault(name, face)
    return found


def entry(face: str, name: str, value: object) -> str:
    """One name: how it is called, and what is said of it."""
    if isinstance(value, type):
        return _class(face, name, value)
    if _is_function(value):
        return _function(face, name, value, "function")
    return _directive("data", name, [*_type_of(value)], "")


@cache
def members(cls: type) -> dict[str, Any]:
    """What programs use of a class: what it or a base has that is not public itself."""
    seen: dict[str, Any] = {}
    for owner in cls.__mro__:
        ours = owner.__module__.startswith("trio_mqtt")
        if owner is not cls and (not ours or owner in _public_classes()):
            continue
        for name, value in vars(owner).items():
            if not name.startswith("_"):
                seen.setdefault(name, value)
    fields = getattr(cls, "__dataclass_fields__", {})
    found = {}
    for name, value in seen.items():
        plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(value, property) or (inspect.isroutine(plain) and name not in fields):
            found[name] = value
    return found


@cache
def _public_classes() -> frozenset[type]:
    return frozenset(
        value for face in FACES for value in names(face).values() if isinstance(value, type)
    )


def markdown(doc: str, face: str, owner: type | None = None) -> str:
    """A docstring as Markdown: examples as blocks, public names as links."""
    parts = []
    for part in _parts(inspect.cleandoc(doc)):
        if part.startswith("    "):
            text = textwrap.dedent(part)
            language = "python" if _is_python(text) else "text"
            parts.append(f"```{language}\n{text}\n```")
        else:
            parts.append(_linked(prose(part), face, owner))
    return "\n\n".join(parts) + "\n"


def _parts(doc: str) -> Iterator[str]:
    """Paragraphs and indented blocks, which may have empty lines within."""
    gathered: list[str] = []
    for part in doc.split("\n\n"):
        indented = part.startswith("    ")
        if gathered and indented != gathered[-1].startswith("    "):
            yield "\n\n".join(gathered)
            gathered = []
        gathered.append(part.rstrip())
    yield "\n\n".join(gathered)


def _is_python(text: str) -> bool:
    try:
        compile(text, "example", "exec", flags=0x2000)  # top-level await
    except SyntaxError:
        return False
    return True


def _linked(text: str, face: str, owner: type | None) -> str:
    # Which errors are raised stands there without backticks.
    text = _ERROR.sub(lambda found: f"`{found[0]}`" if found[0] in homes() else found[0], text)
    return _CODE.sub(lambda found: _link(found[1], face, owner), text)


def _link(text: str, face: str, owner: type | None) -> str:
    """Code that is a public name, or a module of such, leads there."""
    if text in FACES and text != face:
        return f"{{py:mod}}`{text}`"
    name, dot, attribute = text.removeprefix("trio_mqtt.").partition(".")
    if owner is not None and name == text and name in members(owner):
        return f"{{py:obj}}`{text} <{owner.__module__}.{owner.__name__}.{text}>`"
    home = face if name in names(face) else homes().get(name)
    if home is None or (name == text and name.islower() and not _is_function(names(home)[name])):
        return f"`{text}`"
    value = names(home)[name]
    if not dot:
        return f"{{py:obj}}`{text} <{home}.{name}>`"
    known = isinstance(value, type) and (
        attribute in members(value) or attribute in attribute_docs(value)
    )
    return f"{{py:obj}}`{text} <{home}.{name}.{attribute}>`" if known else f"`{text}`"


def _class(face: str, name: str, cls: type) -> str:
    own = inspect.getdoc(cls) or ""
    own = own.partition(_ATTRIBUTES)[0]
    public_bases = [base for base in cls.__bases__ if homes().get(base.__name__) == base.__module__]
    body = [markdown(own, face, cls)]
    if public_bases:
        bases = ", ".join(
            f"{{py:obj}}`{one.__name__} <{one.__module__}.{one.__name__}>`" for one in public_bases
        )
        body.insert(0, f"Derives from {bases}.\n")
    written = attribute_docs(cls)
    if issubclass(cls, enum.Enum):
        for one in cls:
            said = markdown(written.pop(one.name, ""), face, cls)
            body.append(_directive("attribute", one.name, [f":value: {one.value!r}"], said))
    defaults = _defaults(cls)
    for attribute, text in written.items():
        options = [f":type: {_annotation(_annotation_of(cls, attribute))}"]
        if attribute in defaults:
            options.append(f":value: {defaults[attribute]}")
        body.append(_directive("attribute", attribute, options, markdown(text, face, cls)))
    signature = "" if issubclass(cls, enum.Enum) or len(written) > _MANY else _made_by(cls)
    if not signature and dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            if not field.name.startswith("_") and field.name not in written:
                options = [f":type: {_annotation(field.type)}"]
                body.append(_directive("attribute", field.name, options, ""))
    for attribute, value in members(cls).items():
        body.append(_member(face, cls, attribute, value))
    kind = "exception" if _is_error(cls) else "class"
    return _directive(kind, f"{name}{signature}", [f":module: {face}"], "\n".join(body))


def _member(face: str, cls: type, name: str, value: Any) -> str:
    if isinstance(value, property):
        returned = inspect.signature(value.fget).return_annotation if value.fget else ""
        options = (
            [] if returned in ("", inspect.Parameter.empty) else [f":type: {_annotation(returned)}"]
        )
        return _directive("property", name, options, markdown(_doc_of(cls, name), face, cls))
    kind = {classmethod: "classmethod", staticmethod: "staticmethod"}.get(type(value), "method")
    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    return _function(face, name, plain, kind, cls)


def _function(face: str, name: str, value: Any, kind: str, cls: type | None = None) -> str:
    bound = cls is not None and kind != "staticmethod"
    options = [] if cls is not None else [f":module: {face}"]
    if inspect.iscoroutinefunction(value):
        options.append(":async:")
    doc = _doc_of(cls, name) if cls is not None else inspect.getdoc(value) or ""
    body = markdown(doc, face, cls)
    inner = inspect.unwrap(value)
    if inner is not value:
        if inspect.isasyncgenfunction(inner):
            body = f"*A block, for `async with`.*\n\n{body}"
        elif inspect.isgeneratorfunction(inner):
            body = f"*A block, for `with`.*\n\n{body}"
    kind = "method" if kind in ("classmethod", "staticmethod") else kind
    return _directive(kind, f"{name}{_signature(value, bound=bound)}", options, body)


def _doc_of(cls: type, name: str) -> str:
    return inspect.getdoc(getattr(cls, name)) or ""


def _directive(kind: str, head: str, options: list[str], body: str) -> str:
    """A directive, its fence longer than all within."""
    longest = max((len(found) for found in re.findall(r"^`{3,}", body, re.MULTILINE)), default=2)
    fence = "`" * (longest + 1)
    head = " ".join(head.split())
    if kind == "attribute":  # there are hundreds: each page's contents are part of every page
        options = [*options, ":no-contents-entry:"]
    told = [_VALUE.sub(_quoted, option) for option in options]
    lines = [f"{fence}{{py:{kind}}} {head}", *told, "", body.strip("\n"), fence, ""]
    return "\n".join(lines)


def _quoted(found: re.Match[str]) -> str:
    """A value of an option, which YAML would take the quotes of otherwise."""
    return found[1] + json.dumps(found[2], ensure_ascii=False)


def _made_by(cls: type) -> str:
    """The signature of what programs make; nothing of what the library makes."""
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return ""
    if getattr(cls, "_is_protocol", False) or inspect.isabstract(cls):
        return ""
    known = set(homes())
    for parameter in signature.parameters.values():
        words = _WORD.findall(_annotation(parameter.annotation))
        if any(
            word[0].isupper() and word not in known and word not in _ELSEWHERE for word in words
        ):
            return ""
    return _signature(cls)


_ELSEWHERE = {
    "Any", "AsyncIterable", "AsyncIterator", "Awaitable", "Callable", "Collection", "False",
    "Iterable", "Iterator", "Literal", "Mapping", "None", "Path", "PathLike", "SSLContext",
    "Sequence", "True", "Exception", "BaseException", "Protocol",
}  # fmt: skip


def _signature(value: Any, *, bound: bool = False) -> str:
    signature = inspect.signature(value)
    told = []
    parameters = list(signature.parameters.values())[int(bound) :]
    last = None
    for parameter in parameters:
        if last is not None and last.kind is parameter.POSITIONAL_ONLY is not parameter.kind:
            told.append("/")
        if parameter.kind is parameter.KEYWORD_ONLY and (
            last is None or last.kind not in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        ):
            told.append("*")
        told.append(_parameter(parameter))
        last = parameter
    if last is not None and last.kind is last.POSITIONAL_ONLY:
        told.append("/")
    returned = signature.return_annotation
    arrow = (
        ""
        if isinstance(value, type) or returned is signature.empty
        else f" -> {_annotation(returned)}"
    )
    return f"({', '.join(told)}){arrow}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = ""
    if parameter.kind is parameter.VAR_POSITIONAL:
        stars = "*"
    elif parameter.kind is parameter.VAR_KEYWORD:
        stars = "**"
    text = f"{stars}{parameter.name}"
    annotated = parameter.annotation is not parameter.empty
    if annotated:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        equals = " = " if annotated else "="
        text += f"{equals}{_value(parameter.default)}"
    return text


def _value(value: object) -> str:
    """A default as a program writes it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, type):
        return value.__name__
    shown = repr(value)
    return "..." if _UNSEEN.search(shown) or len(shown) > 60 else shown


def _defaults(cls: type) -> dict[str, str]:
    if not dataclasses.is_dataclass(cls):
        return {}
    return {
        field.name: _value(field.default)
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
    }


def _annotation_of(cls: type, attribute: str) -> object:
    for owner in cls.__mro__:
        found = vars(owner).get("__annotations__", {}).get(attribute)
        if found is not None:
            return found
    return ""


def _annotation(annotation: object) -> str:
    """A type as it is written, public names by their whole name."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if annotation is None:
        return "None"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = " ".join(text.split())
    known = homes()

    def whole(found: re.Match[str]) -> str:
        word = found[0]
        before = text[: found.start()]
        home = known.get(word)
        if home is None or before.endswith((".", "'", '"')) or not word[0].isupper():
            return word
        return f"{home}.{word}"

    return _WORD.sub(whole, text)


def _type_of(value: object) -> Iterator[str]:
    shown = _value(value) if not _UNSEEN.search(repr(value)) else ""
    if shown and shown != "...":
        yield f":value: {shown}"


def _is_fixture(value: object) -> bool:
    return type(value).__name__ == "FixtureFunctionDefinition"


def _unwrapped(value: Any) -> object:
    return value.__wrapped__ if _is_fixture(value) else value
