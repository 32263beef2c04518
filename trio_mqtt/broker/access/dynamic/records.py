"""Users, groups and roles as dynamic security knows them: records that never change.

A change makes others in their place, so that what is in force can be looked at, and written, while
the next change is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trio_mqtt.broker.access.files.hashes import Pbkdf2

# What a rule of a role is about, in the order in which roles are shown.
ACL_TYPES = (
    "publishClientSend",
    "publishClientReceive",
    "subscribeLiteral",
    "subscribePattern",
    "unsubscribeLiteral",
    "unsubscribePattern",
)

# What holds where no rule of a role matches.
DEFAULT_ACCESS: Mapping[str, bool] = {
    "publishClientSend": False,
    "publishClientReceive": True,
    "subscribe": False,
    "unsubscribe": True,
}

UNSET = -1  # the priority of what was given none


@dataclass(frozen=True, slots=True)
class Acl:
    """A rule of a role. Of those that match, the one with the highest priority decides."""

    acltype: str
    topic: str
    priority: int = 0
    allow: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """A role or a group that somebody has. The higher its priority, the earlier it is asked."""

    name: str
    priority: int = UNSET


@dataclass(frozen=True, slots=True)
class Role:
    """Rules under a name."""

    rolename: str
    textname: str | None = None
    textdescription: str | None = None
    acls: tuple[Acl, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Roles that several have. Who belongs to it is said with each client."""

    groupname: str
    textname: str | None = None
    textdescription: str | None = None
    roles: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """A user. Without a password it cannot be shown by one; with a `clientid`, only under that."""

    username: str
    clientid: str | None = None
    textname: str | None = None
    textdescription: str | None = None
    disabled: bool = False
    roles: tuple[Given, ...] = ()
    groups: tuple[Given, ...] = ()
    password: Pbkdf2 | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class State:
    """All of it, by names. Every role and group that somebody has is there."""

    clients: Mapping[str, Client] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_access: Mapping[str, bool] = field(default_factory=lambda: dict(DEFAULT_ACCESS))
    anonymous_group: str | None = None

    def members(self) -> dict[str, list[Client]]:
        """Who belongs to each group, in the order of names."""
        members: dict[str, list[Client]] = {name: [] for name in self.groups}
        for username in sorted(self.clients):
            client = self.clients[username]
            for group in client.groups:
                members[group.name].append(client)
        return members


def in_order(given: Iterable[Given]) -> tuple[Given, ...]:
    """Roles or groups in the order in which they are asked."""
    return tuple(sorted(given, key=lambda one: (-one.priority, one.name)))


def acls_in_order(acls: Iterable[Acl]) -> tuple[Acl, ...]:
    """Rules by kind, each kind in the order in which they are asked; the older comes first."""
    return tuple(sorted(acls, key=lambda acl: (ACL_TYPES.index(acl.acltype), -acl.priority)))
