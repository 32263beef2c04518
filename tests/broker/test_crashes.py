"""Whatever happens before a broker ends suddenly: what was promised is there after it."""

from __future__ import annotations

import random

import pytest

from tests.broker.crashes import Crashes

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(25))
async def test_what_was_promised_survives_sudden_ends(seed: int) -> None:
    await Crashes(random.Random(seed)).run(6, 120)  # noqa: S311  # a test
