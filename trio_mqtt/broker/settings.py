"""What holds for a broker's clients: for all, and for those that come by one listener."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.errors import ConfigurationError

if TYPE_CHECKING:
    from trio_mqtt.broker.access.in_force import AccessInForce
    from trio_mqtt.broker.access.protocols import AccessControl
    from trio_mqtt.broker.listen import Listen


class LimitsInForce(Limits):
    """The limits of a running broker, as all of its parts see them.

    Whoever is bounded by them looks here each time, so that others hold for all at once.
    """

    __slots__ = ()

    @classmethod
    def of(cls, limits: Limits) -> LimitsInForce:
        """The same limits, which may become others."""
        in_force = cls()
        in_force.become(limits)
        return in_force

    def plain(self) -> Limits:
        """What they are now, for good."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})

    def become(self, limits: Limits) -> None:
        """From now on these are the limits."""
        for field in fields(Limits):
            object.__setattr__(self, field.name, getattr(limits, field.name))


class OptionsInForce(BrokerOptions):
    """The options of a running broker, for those parts of it that keep to them at all times."""

    __slots__ = ()

    @classmethod
    def of(cls, options: BrokerOptions) -> OptionsInForce:
        """The same options, which may become others."""
        in_force = cls()
        in_force.become(options)
        return in_force

    def become(self, options: BrokerOptions) -> None:
        """From now on these are the options."""
        for field in fields(BrokerOptions):
            object.__setattr__(self, field.name, getattr(options, field.name))


class Settings:
    """What holds for the clients of one listener, or for those that come by none.

    `limits`, `options` and `access` are the broker's, with what the listener has of its own.
    `connections` is how many there are now; `is_full` that the last one was turned away.
    """

    __slots__ = ("access", "connections", "is_full", "limits", "listen", "options")

    def __init__(
        self,
        limits: LimitsInForce,
        options: BrokerOptions,
        access: AccessInForce,
        listen: Listen | None = None,
    ) -> None:
        self.limits = limits
        self.options = options
        self.access = access
        self.listen = listen
        self.connections = 0
        self.is_full = False

    def at(self, listen: Listen) -> Settings:
        """Those of a listener, where these are the broker's; its own access is to be loaded.

        Raises ConfigurationError for an access that a listener cannot have.
        """
        limits, options, security = listen.limits, listen.options, listen.security
        if security is not None and security.dynamic is not None:
            raise ConfigurationError(
                f"Dynamic security is the broker's, not that of its listener {listen.url}: name the"
                " file in the broker's own Security."
            )
        return Settings(
            LimitsInForce.of(self.limits if limits is None else limits.over(self.limits)),
            self.options if options is None else options.over(self.options),
            self.access if security is None else self.access.beside(security),
            listen,
        )

    def become(self, others: Settings) -> None:
        """From now on these are the settings, but for the access."""
        self.limits.become(others.limits)
        self.options = others.options
        self.listen = others.listen

    @property
    def mount_point(self) -> str:
        """What stands before all topics of its clients."""
        return "" if self.listen is None else self.listen.mount_point

    def hooks(self) -> AccessControl | None:
        """The program's hooks that are asked about its clients."""
        return self.access.hooks
