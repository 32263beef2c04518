"""The whole file as dataclasses: its sections, and the settings that no other room has.

Types say what may be written, the text under a field says what it is for; one that begins with
"Seconds" or "Bytes" is a duration or a size. `secret` in a field's metadata hides its value where
settings are shown, `may_have_password` the password in a URL; a table with a field that is `alone`
may be written as that field's value, and what is not `written` is no setting.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field
from os import PathLike
from typing import Any, Literal, TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.broker.access.security import Security
from trio_mqtt.broker.limits import Limits
from trio_mqtt.broker.listen import Listen
from trio_mqtt.broker.options import BrokerOptions
from trio_mqtt.cluster.settings import Cluster
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.history.settings import HistorySettings
from trio_mqtt.monitoring.log_options import LogOptions
from trio_mqtt.monitoring.metrics_options import MetricsOptions
from trio_mqtt.records import record
from trio_mqtt.web.options import WebOptions

Path: TypeAlias = str | PathLike[str]


@with_attribute_docs
@record(kw_only=True)
class TokenSettings:
    """Which JSON Web Tokens count as passwords; `trio_mqtt.access.TokenVerifier` verifies them."""

    keys: Path
    """A file: the keys by which tokens are verified (PEM, JWKS or a secret)."""
    audience: Collection[str] = ()
    """Whom tokens must be meant for, one of them. None given: those that name one are refused."""
    issuer: Collection[str] = ()
    """Who must have made tokens, one of them. None given: anybody who has the key."""
    leeway: float = 0.0
    """Seconds by which the clocks may differ."""
    username_claim: str = "sub"
    """What in a token names the user."""
    access_claim: str = "mqtt"
    """What in a token says what it allows."""
    require_expiry: bool = True
    """Whether a token must say when it ends: one that never does cannot be taken back."""

    def __post_init__(self) -> None:
        if not self.leeway >= 0:
            raise ConfigurationError(f"leeway is 0 seconds or more, not {self.leeway}.")


@with_attribute_docs
@record(kw_only=True)
class ScramSettings:
    """Users who authenticate by SCRAM-SHA-256 (MQTT 5.0 §4.12): no password is sent."""

    users: Mapping[str, str] = field(repr=False, metadata={"secret": True})
    """Each user's password, or what `trio_mqtt.access.ScramCredentials.of(password).text` makes of
    it: SCRAM-SHA-256$…, as PostgreSQL has it, which nobody can connect with."""
    secret: str | None = field(default=None, repr=False, metadata={"secret": True})
    """What the salts of users that do not exist are made from, so that nobody learns which do. By
    default it is drawn anew at each start."""


@with_attribute_docs
@record(kw_only=True)
class ListenerAccess:
    """Who may connect by one listener, and what they may do there, in place of the broker's access.

    What it leaves out there is not here. Of plugins, the hooks are asked in any case; passwords,
    rules and authenticators are those of the broker's access alone.
    """

    passwords: Path | None = None
    """A file of user names and passwords, which `tmqtt passwd` makes, or Mosquitto's."""
    rules: Path | None = None
    """An access file: rules in Mosquitto's format or, named .toml, in TOML."""
    tokens: TokenSettings | None = None
    """JSON Web Tokens in place of passwords."""
    scram: ScramSettings | None = None
    """Users who authenticate by SCRAM-SHA-256."""
    authentication_required: bool = False
    """Whether clients must name a method of authentication (§4.12), such as SCRAM-SHA-256. Then all
    of MQTT 3 are refused."""


@with_attribute_docs
@record(kw_only=True)
class AccessSettings(ListenerAccess):
    """Who may connect, and what they may do there."""

    dynamic: Path | None = None
    """A file of users, groups and roles that change while the broker runs, by commands to
    `$CONTROL/dynamic-security/v1`: that of Mosquitto's plugin, which `mosquitto_ctrl dynsec init`
    makes."""
    allow_anonymous: bool | None = None
    """Whether clients that prove nothing are let in. By default they may come from this machine
    only, and only where there are no passwords and no tokens."""


@with_attribute_docs
@record(kw_only=True)
class ListenerSettings(Listen):
    """One listener: its address as a URL, and what holds for it alone."""

    security: Security | None = field(default=None, metadata={"written": False})
    """As `access` says."""
    access: ListenerAccess | None = None
    """Who may connect here and do what, in place of the broker's access as a whole. Of the plugins,
    only the hooks are asked here too."""


@with_attribute_docs
@record(kw_only=True)
class StorageSettings:
    """What outlives the broker: sessions, what waits in them, and retained messages."""

    path: Path | None = None
    """A folder for this broker alone, made where there is none. By default all ends with it."""
    durability: Literal["fsync", "commit", "memory"] | None = None
    """What is acknowledged survives a power cut ("fsync"), the end of the process ("commit", which
    takes less time), or nothing ("memory"). By default "fsync" with a path, else "memory"."""

    def __post_init__(self) -> None:
        if self.path is None and self.durability not in (None, "memory"):
            raise ConfigurationError(
                f'durability is "{self.durability}", which needs a folder to keep things in:'
                " storage.path, or --data DIR."
            )
        if self.path is not None and self.durability == "memory":
            raise ConfigurationError(
                f'durability is "memory", which keeps nothing, and {self.path} is asked to keep it:'
                " leave out one of them."
            )


@with_attribute_docs
@record(kw_only=True)
class Plugin:
    """A part of a program's own, made by a factory when the configuration is loaded."""

    factory: str = field(metadata={"alone": True})
    """What makes it: a class or function, as "package.module:name"."""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False, metadata={"secret": True})
    """What the factory is called with, as keyword arguments."""


@with_attribute_docs
@record(kw_only=True)
class PluginSettings:
    """Parts of a program's own, each "package.module:name" or a table with `factory`."""

    folder: Path | None = None
    """Where modules are looked for as well as where Python finds them, such as "." for the folder
    of this file. A module is loaded once: what is changed in it holds after a new start."""
    hooks: Plugin | None = None
    """Its decisions about who connects and what they do (`trio_mqtt.access.AccessControl`)."""
    passwords: Plugin | None = None
    """Its own check of passwords (`trio_mqtt.access.PasswordCheck`), in place of a file."""
    rules: Plugin | None = None
    """Its own rules (`trio_mqtt.access.AccessRules`), in place of a file."""
    authenticators: Mapping[str, Plugin] = field(default_factory=dict)
    """By their names, methods of authentication (`trio_mqtt.access.Authenticator`). A listener with
    an access of its own does not have them."""
    storage: Plugin | None = None
    """Its own storage (`trio_mqtt.Storage`), in place of the folder."""


@with_attribute_docs
@record(kw_only=True)
class Settings:
    """The whole configuration of a broker."""

    listeners: tuple[ListenerSettings, ...] = ()
    """Where the broker listens. None given: mqtt://127.0.0.1:1883, this machine only."""
    access: AccessSettings = field(default_factory=AccessSettings)
    """Who may connect, and what they may do there."""
    limits: Limits = field(default_factory=Limits)
    """What the broker accepts at most."""
    options: BrokerOptions = field(default_factory=BrokerOptions)
    """What the broker offers to its clients."""
    storage: StorageSettings = field(default_factory=StorageSettings)
    """What outlives the broker."""
    cluster: Cluster | None = None
    """The cluster that the broker belongs to, whose engine keeps what outlives it. None given: it
    is alone."""
    history: HistorySettings | None = None
    """What is kept of topics, to look back. None given: nothing is."""
    logging: LogOptions | None = None
    """What is logged, how and where to. None given: no log is written; what `tmqtt broker` shows is
    a view of what happens."""
    metrics: MetricsOptions = field(default_factory=MetricsOptions)
    """Metrics for Prometheus, and health checks."""
    web: WebOptions = field(default_factory=WebOptions)
    """What can be seen and done on the broker, over HTTP."""
    plugins: PluginSettings = field(default_factory=PluginSettings)
    """Parts of a program's own."""

    def __post_init__(self) -> None:
        if self.history is not None and self.history.path is None and self.storage.path is None:
            raise ConfigurationError(
                "history needs a file to be in: history.path, or a folder for all that is kept"
                " (storage.path, --data DIR)."
            )
        if self.cluster is None:
            return
        if self.storage.path is not None:
            raise ConfigurationError(
                "storage is for a broker alone; in a cluster the engine keeps what outlives it."
                " Leave out storage.path (--data DIR), or cluster.url (--cluster URL)."
            )
        if self.plugins.storage is not None:
            raise ConfigurationError(
                "plugins is to bring a storage, which is for a broker alone; in a cluster the"
                " engine keeps what outlives it. Leave out plugins.storage, or cluster.url"
                " (--cluster URL)."
            )
