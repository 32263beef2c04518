"""What lives of a broker: for tests that what has ended does not wait for the collector."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_ROOMS = ("trio_mqtt.broker.", "trio_mqtt.transport.")
_PROTOCOL = frozenset({"ServerConnection", "Sender", "Receiver"})
# Cancelled timers stay until there are many of them, and refer to nothing.
_KEPT = frozenset({"Timer"})


def living() -> Counter[str]:
    """How many objects there are of each class of the broker, those in cycles included."""
    # By class first: a process that runs all tests has a million objects, and few classes.
    found: Counter[str] = Counter()
    for kind, number in Counter(map(type, gc.get_objects())).items():
        if _is_of_a_broker(kind):
            found[kind.__name__] += number
    return found


def _is_of_a_broker(kind: type) -> bool:
    module, name = _module_of(kind), kind.__name__
    if module.startswith(_ROOMS):
        return name not in _KEPT
    return name in _PROTOCOL and module.startswith("trio_mqtt.protocol.")


def _module_of(kind: type) -> str:
    # Classes that are made by other libraries may have anything there.
    module: object = kind.__module__
    return module if isinstance(module, str) else ""


@contextmanager
def without_collector() -> Iterator[None]:
    """Only reference counting frees what is no longer used."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
