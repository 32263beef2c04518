"""Passwords of the broker's users, asked for by whoever else knows them by these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.access.password_checks import TooManyChecksError

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core


async def check_password(core: Core, username: str, password: str, address: str) -> bool:
    """Whether it is the user's password; False where there are none, or too many are checked."""
    passwords = core.access.passwords
    shown = password.encode(errors="replace")
    dynamic = core.access.dynamic
    is_disabled = dynamic is not None and dynamic.is_disabled(username)
    if passwords is None or not shown or is_disabled:
        await trio.lowlevel.checkpoint()
        return False
    answer_by = trio.current_time() + core.limits.connect_timeout
    try:
        return await core.access.password_checks.check(
            passwords, username, shown, address, answer_by
        )
    except TooManyChecksError:
        return False


def without_password(core: Core, usernames: Iterable[str]) -> list[str]:
    """Those of the users who have no password at this broker."""
    passwords = core.access.passwords
    return sorted(name for name in usernames if passwords is None or passwords.entry(name) is None)
