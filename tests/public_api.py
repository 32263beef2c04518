"""The public API as text: `python -m tests.public_api` writes it to `tests/public_api.txt`.

It has all that a program may rest on: names, parameters with their defaults and annotations,
attributes, properties, bases, and the members of enumerations. What is inherited from a class that
is public itself stands there alone; what comes from one that is not stands with whoever inherits.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, is_typeddict

FACES = (
    "trio_mqtt",
    "trio_mqtt.access",
    "trio_mqtt.administration",
    "trio_mqtt.configuration",
    "trio_mqtt.durability",
    "trio_mqtt.events",
    "trio_mqtt.history",
    "trio_mqtt.monitoring",
    "trio_mqtt.sync",
    "trio_mqtt.testing",
    "trio_mqtt.web",
)
WRITTEN = Path(__file__).with_name("public_api.txt")
HOW_TO_WRITE = "python -m tests.public_api"

# What Python calls of an object where a program uses it: `async with`, `len`, `await`.
_CALLED_BY_PYTHON = {
    *("__call__", "__iter__", "__next__", "__aiter__", "__anext__", "__await__"),
    *("__enter__", "__exit__", "__aenter__", "__aexit__"),
    *("__len__", "__getitem__", "__setitem__", "__contains__", "__bool__"),
}
_INDENT = "    "
_STARS: dict[object, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_NOT_SAID = object()  # an attribute of which no more is known than its name


def api() -> str:
    """The public API of all faces."""
    lines = [line for face in FACES for line in ("", f"# {face}", *_face(face))]
    return "\n".join(lines[1:]) + "\n"


def names(face: str) -> list[str]:
    """The public names of a face, the modules that it has beside these left out."""
    module = import_module(face)
    listed = getattr(module, "__all__", None)
    if listed is None:
        found = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == face
        ]
    else:
        found = [name for name in listed if not inspect.ismodule(getattr(module, name))]
    return sorted(found)


@cache
def _public_classes() -> dict[type, str]:
    values = {name: getattr(import_module(face), name) for face in FACES for name in names(face)}
    return {value: name for name, value in values.items() if isinstance(value, type)}


def _face(face: str) -> Iterator[str]:
    module = import_module(face)
    for name in names(face):
        yield ""
        value = getattr(module, name)
        if isinstance(value, type):
            yield from _class(name, value)
        elif inspect.isfunction(value):
            yield _function(name, value)
        elif isinstance(value, bool | str):
            yield f"{name}: {type(value).__name__}"
        else:
            yield f"{name} = {_value(value)}"


def _class(name: str, cls: type) -> Iterator[str]:
    own = _own_classes(cls)
    bases = ", ".join(_bases(cls, own))
    kinds = " ".join(_kinds(cls))
    yield f"class {name}({bases}){f'  # {kinds}' if kinds else ''}"
    if issubclass(cls, Enum):
        for member in cls.__members__.values():
            yield f"{_INDENT}{member.name} = {member.value!r}"
    for line in _members(cls, own):
        yield f"{_INDENT}{line}"


def _own_classes(cls: type) -> list[type]:
    """A class, and those of its bases that are ours and not public."""
    return [
        one
        for one in cls.__mro__
        if one is cls or (one not in _public_classes() and one.__module__.startswith("trio_mqtt"))
    ]


def _bases(cls: type, own: list[type]) -> list[str]:
    """The nearest bases that are public or somebody else's."""
    bases: list[type] = []
    for base in cls.__mro__:
        is_known = base in own or any(issubclass(other, base) for other in bases)
        if not is_known and base.__module__ not in {"builtins", "typing"} | _PLAIN_BASES:
            bases.append(base)
    plain = [base for base in cls.__mro__ if base.__module__ == "builtins" and base is not object]
    bases += [base for base in plain[:1] if not any(issubclass(other, base) for other in bases)]
    return [_public_classes().get(base, base.__qualname__) for base in bases]


_PLAIN_BASES = {"abc"}


def _kinds(cls: type) -> Iterator[str]:
    if vars(cls).get("_is_protocol"):
        yield "protocol"
    if is_typeddict(cls):
        yield f"typed dictionary, total={cls.__total__}"  # type: ignore[attr-defined]
    if parameters := getattr(cls, "__parameters__", ()):
        yield f"of {', '.join(str(one) for one in parameters)}"
    if "__dataclass_params__" in vars(cls):
        yield "frozen" if vars(cls)["__dataclass_params__"].frozen else "dataclass"


def _members(cls: type, own: list[type]) -> Iterator[str]:
    values: dict[str, object] = {}
    for one in reversed(own):
        values |= dict.fromkeys(_set_by_init(one), _NOT_SAID) | dict(vars(one))
    annotations: dict[str, str] = {}
    for one in reversed(own):
        annotations |= _set_by_init(one)
        annotations |= {
            name: _annotation(value) for name, value in inspect.get_annotations(one).items()
        }
    init = values.pop("__init__", None)
    if inspect.isfunction(init) and init.__module__.startswith("trio_mqtt"):
        yield _function("__init__", init, cls)
    for name in sorted(annotations.keys() | values.keys()):
        if name in getattr(cls, "__members__", ()):
            continue
        if name.startswith("_") and name not in _CALLED_BY_PYTHON:
            continue
        yield _member(name, values.get(name, _NOT_SAID), annotations.get(name), cls)


def _member(name: str, value: object, annotation: str | None, cls: type) -> str:
    if annotation:
        defaults = getattr(cls, "_field_defaults", {})
        return f"{name}: {annotation}" + (
            f" = {_value(defaults[name])}" if name in defaults else ""
        )
    if isinstance(value, property):
        settable = "" if value.fset is None else ", settable"
        return f"{name}: {_returned(value.fget)}  # property{settable}"
    if isinstance(value, cached_property):
        return f"{name}: {_returned(value.func)}  # property"
    if isinstance(value, classmethod):
        return f"classmethod {_function(name, value.__func__, cls)}"
    if isinstance(value, staticmethod):
        return f"staticmethod {_function(name, value.__func__)}"
    if inspect.isfunction(value):
        return _function(name, value, cls)
    if value is _NOT_SAID or inspect.isdatadescriptor(value):
        return name
    return f"{name} = {_value(value)}"


def _returned(function: object) -> str:
    return _annotation(getattr(function, "__annotations__", {}).get("return", ""))


def _function(name: str, function: Callable[..., Any], cls: type | None = None) -> str:
    """Its signature; of a method of a class without the object that it is called on."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[cls is not None :]
    made_anew = _made_anew(cls) if name == "__init__" and cls is not None else {}
    shown: list[str] = []
    kinds = inspect.Parameter
    by_name = False
    for place, each in enumerate(parameters):
        if each.kind is kinds.KEYWORD_ONLY and not by_name:
            by_name = True
            shown.append("*")
        text = _STARS.get(each.kind, "") + each.name
        by_name = by_name or each.kind is kinds.VAR_POSITIONAL
        if each.annotation is not kinds.empty:
            text += f": {_annotation(each.annotation)}"
        if each.default is not kinds.empty:
            text += f" = {made_anew.get(each.name) or _value(each.default)}"
        shown.append(text)
        others = parameters[place + 1 :]
        is_last_by_place = not others or others[0].kind is not kinds.POSITIONAL_ONLY
        if each.kind is kinds.POSITIONAL_ONLY and is_last_by_place:
            shown.append("/")
    text = f"{_how(function)}{name}({', '.join(shown)})"
    if signature.return_annotation is inspect.Signature.empty or name == "__init__":
        return text
    return f"{text} -> {_annotation(signature.return_annotation)}"


def _how(function: Callable[..., Any]) -> str:
    """How it is called: `await f()`, `async with f()`."""
    inner = inspect.unwrap(function)
    if inspect.iscoroutinefunction(inner):
        return "async def "
    if inspect.isasyncgenfunction(inner):
        return "async with " if inner is not function else "async for "
    if inspect.isgeneratorfunction(inner):
        return "with " if inner is not function else "for "
    return "def "


def _made_anew(cls: type) -> dict[str, str]:
    """What makes the default of each field that has one of its own in each object."""
    return {
        each.name: f"{_value(each.default_factory)}()"
        for each in (dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ())
        if each.default_factory is not dataclasses.MISSING
    }


def _set_by_init(cls: type) -> dict[str, str]:
    """The public attributes that `__init__` sets, with what is said of each."""
    init = vars(cls).get("__init__")
    if not inspect.isfunction(init):
        return {}
    try:
        source = inspect.getsource(init)
    except OSError:  # made of the fields
        return {}
    (node,) = ast.parse(textwrap.dedent(source)).body
    if not isinstance(node, ast.FunctionDef):
        return {}
    given = {
        each.arg: ast.unparse(each.annotation)
        for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if each.annotation is not None
    }
    found: dict[str, str] = {}
    for statement in ast.walk(node):
        match statement:
            case ast.AnnAssign(target=ast.Attribute(ast.Name("self"), attr=name), annotation=said):
                found[name] = ast.unparse(said)
            case ast.Assign(targets=[ast.Attribute(ast.Name("self"), attr=name)], value=value):
                text = given.get(value.id, "") if isinstance(value, ast.Name) else ""
                found.setdefault(name, text)
    return {name: said for name, said in found.items() if not name.startswith("_")}


def _annotation(annotation: object) -> str:
    if isinstance(annotation, str):
        return annotation
    return _value(annotation)


def _value(value: object) -> str:
    """A default, a constant or a type, the same on each system and in each version of Python."""
    shown = _type(value) or _collection(value)
    if shown:
        return shown
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, PurePath):
        return f"Path({value.as_posix()!r})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(_differing(value))})"
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    return f"<{type(value).__name__}>"


def _type(value: object) -> str:
    if isinstance(value, ForwardRef):
        return value.__forward_arg__
    if value is types.NoneType:
        return "None"
    if value is ...:
        return "..."
    origin, arguments = get_origin(value), get_args(value)
    if origin in (Union, types.UnionType):
        return " | ".join(map(_value, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        return f"{_value(origin)}[{', '.join(map(_value, arguments))}]"
    if isinstance(value, type) or inspect.isroutine(value):
        return str(value.__qualname__)
    return ""


def _collection(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_value(key)}: {_value(one)}' for key, one in value.items())}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_value, value)))}}}"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(_value, value))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return ""


def _differing(value: Any) -> Iterator[str]:  # noqa: ANN401 # a dataclass
    """Those fields of an object that are not as they are by default."""
    for each in dataclasses.fields(value):
        is_made = each.default_factory is not dataclasses.MISSING
        default = each.default_factory() if is_made else each.default  # type: ignore[operator]
        if each.init and (one := getattr(value, each.name)) != default:
            yield f"{each.name}={_value(one)}"


if __name__ == "__main__":
    WRITTEN.write_text(api(), encoding="utf-8")
