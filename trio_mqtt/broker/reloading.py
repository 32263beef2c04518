"""Reading a broker's files again while it runs, and what that changes for who is connected."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from trio_mqtt.errors import MqttError

if TYPE_CHECKING:
    from trio_mqtt.broker.core import Core
    from trio_mqtt.broker.reconfiguring import Reconfiguring
    from trio_mqtt.broker.timers import Timer

logger = logging.getLogger("trio_mqtt.broker")

_REMIND = 3_600.0  # seconds between two reminders of files that cannot be read
# What nobody must overlook: somebody may rely on what was changed.
_OLD = "Nothing that was changed in the files is in force, also not what they withdraw."


class Reloading:
    """Puts certificates, passwords, rules and keys in force anew, all or none."""

    def __init__(self, core: Core, reconfiguring: Reconfiguring) -> None:
        self._core = core
        self._reconfiguring = reconfiguring
        self._reminder: Timer | None = None  # of files that could not be read again

    async def reload(self) -> None:
        """See `Broker.reload`."""
        await self._reconfiguring.reconfigure()
        self.settled()

    def settled(self) -> None:
        """The files could be read again."""
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None

    async def try_reload(self, reload: Callable[[], Awaitable[None]] | None) -> bool:
        """See `Broker.try_reload`."""
        try:
            await (self.reload() if reload is None else reload())
        except (MqttError, OSError) as error:
            why = " ".join(str(error).splitlines())
            logger.error(  # noqa: TRY400  # a sentence says it all
                "%s The settings stay as they were. %s", why, _OLD
            )
            self._remind(f"The files could not be read when that was asked for: {why} {_OLD}")
            return False
        except Exception:
            # A defect, of a plugin perhaps: who is connected does not pay for it.
            logger.exception("The settings could not be read again. %s", _OLD)
            self._remind(f"The settings could not be read when that was asked for. {_OLD}")
            return False
        logger.info("The settings were read again.")
        return True

    def _remind(self, sentence: str) -> None:
        """Say in the log each hour what is wrong with the files, until they could be read again."""
        if self._reminder is not None:
            self._reminder.cancel()

        def say_again() -> None:
            logger.warning("%s", sentence)
            self._remind(sentence)

        self._reminder = self._core.timers.after(_REMIND, say_again)

    async def rules_changed(self) -> None:
        """See `Broker.rules_changed`."""
        for access in self._core.all_access():
            access.rules.changed()
        await self._reconfiguring.check_sessions()
