"""Whom the messages of a topic reach, as it is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.routing.shared import SharedGroup
    from trio_mqtt.broker.routing.target import Target


class Match:
    """Whom the messages of a topic reach. Topics that reach the same share one match."""

    __slots__ = (
        "_elsewhere",
        "_here",
        "groups",
        "has_no_local",
        "is_counted",
        "is_direct",
        "is_empty",
        "is_simple",
        "reserved",
        "steps",
        "targets",
    )  # fmt: skip

    def __init__(
        self,
        targets: tuple[Target, ...],
        groups: tuple[SharedGroup, ...],
        *,
        elsewhere: int = 0,
        reserved: bool = False,
    ) -> None:
        # The last of them, so many, are other nodes that pass it on to their clients.
        self.targets = targets
        self._elsewhere = elsewhere
        self._here: Match | None = None
        # Topics that only the broker itself may publish to.
        self.reserved = reserved
        self.groups = groups
        self.has_no_local = any(target.no_local for target in targets)
        # Whether every target gets every message.
        self.is_simple = not groups and not self.has_no_local
        self.is_empty = not targets and not groups
        # Whether each may be sent a message as it came.
        self.is_direct = (
            self.is_simple
            and not reserved
            and not self.is_empty
            and all(target.direct is not None for target in targets)
        )
        # How much work a message of it is, the message itself included.
        self.steps = 2 + len(targets) + len(groups)
        self.is_counted = False  # among the bytes of what is remembered

    @property
    def here(self) -> Match:
        """Whom messages reach that another node has passed on: the subscriptions of this one."""
        if not self._elsewhere and not self.groups:
            return self
        if self._here is None:
            self._here = Match(self.targets[: len(self.targets) - self._elsewhere], ())
        return self._here

    @property
    def must_be_kept(self) -> bool:
        """Whether any of those whom it reaches outlives the broker."""
        return any(
            target.subscription.session.journal is not None for target in self.targets
        ) or any(group.must_be_kept for group in self.groups)

    @property
    def size(self) -> int:
        """Its bytes, near enough for a bound."""
        identifiers = sum(len(target.identifiers) for target in self.targets)
        return 200 + 8 * (2 * len(self.targets) + len(self.groups) + identifiers)
