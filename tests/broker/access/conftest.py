"""What the tests of access have in common."""

from __future__ import annotations

import pytest

from trio_mqtt.broker.access.files import hashes


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests do not wait for hashes that are slow on purpose."""
    monkeypatch.setattr(hashes, "ARGON2_MEMORY", 16)
    monkeypatch.setattr(hashes, "ARGON2_PASSES", 1)
    monkeypatch.setattr(hashes, "PBKDF2_ITERATIONS", 10)
