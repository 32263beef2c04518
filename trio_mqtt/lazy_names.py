"""Public faces whose names are loaded when they are first used, and say where they are public.

A face writes its names once, as imports that type checkers follow, at its end:

    if TYPE_CHECKING or not load_lazily(__name__):
        from trio_mqtt.broker.limits import Limits as Limits

They are read from there, so that each is imported only when somebody asks for it: a program that
only publishes does not wait for the broker. Where there is no source to read (a frozen program),
the face imports them all.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import ForwardRef

# The names that a module has for faces, with these, until it is loaded.
_unnamed: dict[str, list[tuple[str, str]]] = {}


def load_lazily(face: str) -> bool:
    """Have a face load its names when they are used; False where it must import them itself.

    What it loads has the face as its `__module__`: from there programs import it, and so `repr`,
    `help`, pickles and tracebacks show it. `inspect.getsource` finds no class whose `__module__`
    was changed, but its methods.
    """
    module = sys.modules[face]
    homes = _homes(module)
    for name, home in homes.items():
        _unnamed.setdefault(home, []).append((name, face))

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {face!r} has no attribute {name!r}")
        if home == face:
            return import_module(f"{face}.{name}")
        value: object = getattr(import_module(home), name)
        _name_what_is_loaded()
        setattr(module, name, value)
        return value

    if homes:
        vars(module).update(
            __all__=[name for name in homes if not name.startswith("_")],
            __getattr__=load,
            __dir__=lambda: sorted(homes),
        )
    return bool(homes)


def _homes(module: ModuleType) -> dict[str, str]:
    """The module that each name is imported from; none where they cannot be read."""
    # Compiling the source would take longer than all else here.
    _, found, imports = _source(module).rpartition(f"{load_lazily.__name__}(__name__):\n")
    homes: dict[str, str] = {}
    home = ""
    words = iter(imports.replace(",", " ").split())
    for word in words if found else ():
        if word == "from":
            home = next(words)
        elif word == "as":
            homes[next(words)] = home
    return homes


def _source(module: ModuleType) -> str:
    try:
        with open(str(module.__file__), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):  # it is in an archive, compiled, or nowhere
        get_source = getattr(module.__loader__, "get_source", None)
        return "" if get_source is None else get_source(module.__name__) or ""


def _name_what_is_loaded() -> None:
    """Say in all public things that are loaded by now where they are public."""
    for home in list(_unnamed):  # of which other threads may load some meanwhile
        if home not in sys.modules:
            continue
        there = vars(sys.modules[home])
        names = _unnamed.pop(home, [])
        # Those that are not there yet, as a thread is loading them, have their turn later.
        missing = [(name, face) for name, face in names if name not in there]
        if missing:
            _unnamed[home] = missing
        for name, face in names:
            value = there.get(name)
            if getattr(value, "__module__", None) != home:
                continue
            value.__module__ = face
            if isinstance(value, type):
                _keep_annotations(value, home)


def _keep_annotations(public: type, home: str) -> None:
    """Have `typing.get_type_hints` look up annotations where they are written, not in the face."""
    annotations = vars(public).get("__annotations__", {})
    for name, annotation in annotations.items():
        if isinstance(annotation, str):
            annotations[name] = ForwardRef(annotation, module=home, is_class=True)
