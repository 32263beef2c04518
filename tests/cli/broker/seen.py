"""Which settings have a test that sees them work: test_every_setting.py looks for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T", bound=Callable[..., object])

SEEN: set[str] = set()


def sees(*settings: str) -> Callable[[T], T]:
    """Say of a test that it fails where these settings do nothing."""

    def told(test: T) -> T:
        SEEN.update(settings)
        return test

    return told
