"""Configurations written as texts: loaded, or refused in sentences."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from trio_mqtt.configuration import Configuration, InvalidConfiguration, Override, load


def loaded(
    file: Path, text: str, *overrides: Override, environment: dict[str, str] | None = None
) -> Configuration:
    file.write_text(dedent(text), encoding="utf-8")
    return load(file, environment=environment or {}, overrides=overrides)


def sentences(
    file: Path, text: str, *overrides: Override, environment: dict[str, str] | None = None
) -> list[str]:
    """What is wrong, with the name of the file alone."""
    with pytest.raises(InvalidConfiguration) as caught:
        loaded(file, text, *overrides, environment=environment)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return str(caught.value).replace(f"{file.parent}/", "").splitlines()
