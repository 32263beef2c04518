"""Where a cluster's engine is, how this node is known in it, and what is kept there at most."""

from __future__ import annotations

import math
import re
import socket
from dataclasses import field, fields
from os import PathLike, fspath
from pathlib import Path

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

# What may stand in a key beside what is looked up by it: no brace, no slash, no colon.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# What each number may be, where that is not 1 or more.
_LEAST = {
    "lease": 0.1,
    "timeout": 0.05,
    "wait": 0,
    "keep_clients": 0,
    "replicas": 0,
    "log_age": 1.0,
    "log_bytes": 4096,
}
# Times that need not end.
_ENDLESS = ("wait", "keep_clients", "log_age")


@with_attribute_docs
@record(kw_only=True)
class Cluster:
    """A cluster that a broker belongs to: brokers that share an engine behave as one.

    Times are in seconds, sizes in bytes; `wait`, `keep_clients` and `log_age` may be `math.inf`:
    then there is no bound.

    Raises ConfigurationError, a ValueError, for what cannot be, and TypeError for what is of
    another kind.
    """

    url: str = field(repr=False, metadata={"may_have_password": True})
    """Where the engine is, Redis or Valkey. Such as `redis://HOST:PORT/DATABASE`, `rediss://` with
    TLS (`?cafile=FILE` where its certificate is not one of those that the machine trusts),
    `unix:///PATH`, `redis+sentinel://HOST:PORT,HOST:PORT/NAME` and
    `redis+cluster://HOST:PORT,HOST:PORT`."""
    name: str = "tmqtt"
    """The cluster's name: several of different names share an engine and know nothing of each
    other."""
    node: str = ""
    """This node's name, for people: in logs, metrics and lists. The machine's name if empty."""
    server_reference: str = ""
    """How clients reach this node, `HOST:PORT`: what others name to theirs when they send them
    here (MQTT 5.0 §4.11). If empty, none is sent here by name."""
    username: str | None = None
    """The engine's user, where the URL does not name it. It needs the commands
    `+@read +@write +@scripting +@connection +info +time +wait` on the keys `{NAME}*` and `{NAME/*`;
    with `+config|get` this node says as well how often the engine writes to its disk, and a Redis
    Cluster needs `+cluster|slots`."""
    password: str | None = field(default=None, repr=False, metadata={"secret": True})
    """That user's password, where neither URL nor file has it."""
    password_file: str | PathLike[str] | None = None
    """A file whose first line is that password; it is read again for each connection, so that it
    can be changed meanwhile."""
    lease: float = 10.0
    """Seconds that this node counts as alive after it last said so, which it does three times as
    often. So long its sessions wait for others to take them if it dies; so long it may be cut off
    from the engine before it gives them up."""
    timeout: float = 5.0
    """Seconds until an answer of the engine must have come, or a connection: later, it counts as
    gone. At most half of the lease, so that a node knows in time."""
    wait: float = math.inf
    """Seconds that this node waits at its start for an engine that cannot be reached, or still
    loads what it keeps; then it gives up. Where the engine answers, but cannot be used, or not
    with this password, it gives up at once."""
    keep_clients: float = 30.0
    """Seconds that a node which does not reach the engine keeps the clients of durable sessions
    after the end of its lease. If no node has reached the engine meanwhile, it goes on with them;
    if others have, its sessions are theirs to take. It cannot tell which it is: after this time it
    lets these clients go, so that they find another node."""
    replicas: int = 0
    """Replicas of the engine that must have each write before it counts as done (`WAIT`). 0: the
    engine's own word is enough, and a failover may lose what replicas did not have yet."""
    log_age: float = 7 * 86_400.0
    """Seconds that a message waits at most for durable sessions."""
    log_messages: int = 1_000_000
    """Messages that wait at most for all durable sessions of one topic filter."""
    log_bytes: int = 1024 * 1024 * 1024
    """Bytes of those messages."""
    prefer_local: bool = True
    """Whether members of a shared subscription at the node where a message is published come before
    all others. Else it goes to members of all nodes, as `BrokerOptions.shared_strategy` says;
    least-loaded is round-robin then, as no node knows what waits at others."""
    inbox_bytes: int = 64 * 1024 * 1024
    """Bytes of the batches that wait at most for one node."""
    inbox_entries: int = 10_000
    """Batches that wait at most for one node. A node that falls back further finds what durable
    sessions must have elsewhere; the rest is dropped and counted."""

    def __post_init__(self) -> None:
        for one in fields(self):
            self._check(one.name, getattr(self, one.name))
        for name in ("name", "node"):
            if not _NAME.fullmatch(getattr(self, name) or "empty"):
                raise ConfigurationError(
                    f"{name} {getattr(self, name)!r} cannot be: it has 1 to 64 letters, digits,"
                    " hyphens, underscores and dots, for example floor-2."
                )
        if not self.name:
            raise ConfigurationError("The name of a cluster cannot be empty.")
        if self.timeout > self.lease / 2:
            raise ConfigurationError(
                f"timeout ({self.timeout:g} s) can be half of lease ({self.lease:g} s) at most: a"
                " node has to know that the engine is gone, and to reach it again, before others"
                " count it as dead."
            )
        if self.password is not None and self.password_file is not None:
            raise ConfigurationError("password and password_file exclude each other.")

    def _check(self, name: str, value: object) -> None:
        default = type(self).__dataclass_fields__[name].default
        if name == "password_file" and isinstance(value, PathLike):
            return
        if isinstance(default, str) or name in ("url", "username", "password", "password_file"):
            if not isinstance(value, str) and not (value is None and default is None):
                raise TypeError(f"{name} is a str, not {value!r}")
            return
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise TypeError(f"{name} is True or False, not {value!r}")
            return
        kinds = (int,) if isinstance(default, int) else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(f"{name} is a number, not {value!r}")
        least = _LEAST.get(name, 1)
        if not least <= value or (value == math.inf and name not in _ENDLESS):
            raise ConfigurationError(f"{name} cannot be {value:g}: it is {least:g} or more.")

    @property
    def node_name(self) -> str:
        """This node's name as people see it: `node`, or what the machine calls itself."""
        return self.node or _fitting(socket.gethostname())

    @property
    def shown_url(self) -> str:
        """The engine's address as people may see it: without a password."""
        return without_password(self.url)

    def current_password(self) -> str | None:
        """The password as it is now: that of the file is read.

        Raises ConfigurationError if the file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            lines = Path(self.password_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            path = fspath(self.password_file)
            raise ConfigurationError(
                f"The file of the engine's password, {path}, cannot be read: {why}."
            ) from error
        return lines[0] if lines else ""


def _fitting(name: str) -> str:
    """A machine's name as that of a node: what may not be in one is a hyphen."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:64] or "node"


def without_password(url: str) -> str:
    """A URL as people may see it: a password in it is "…"."""
    scheme, mark, rest = url.partition("://")
    host_at = rest.partition("?")[0].rfind("@")
    user, colon, password = rest[: max(host_at, 0)].partition(":")
    if not colon or not password:
        return url
    return f"{scheme}{mark}{user}:…{rest[host_at:]}"
