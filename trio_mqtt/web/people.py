"""Who asks: people who have logged in, programs with tokens, and the broker's own user."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from trio_mqtt.broker.operations.table import Role

if TYPE_CHECKING:
    from trio_mqtt.web.options import WebOptions, WebRole

COOKIE = "tmqtt_session"
_MOST_SESSIONS = 1_000
_MOST_FAILURES = 10_000  # users and addresses that are remembered
_MINUTE = 60.0

_ROLES: Mapping[WebRole, Role] = {
    "see": Role.SEE,
    "operate": Role.OPERATE,
    "administrate": Role.ADMINISTRATE,
}


@dataclass(slots=True, eq=False)
class LogIn:
    """Somebody who has logged in; `key` is the digest of the cookie."""

    key: bytes
    username: str
    csrf: str
    began: float
    used: float


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: what people call it, what it may do, and its login if it has one."""

    name: str
    role: Role
    login: LogIn | None = None


class People:
    """Those who may ask at one broker; a user who `is_disabled` there may not, however known."""

    def __init__(self, options: WebOptions, is_disabled: Callable[[str], bool]) -> None:
        self._options = options
        self._is_disabled = is_disabled
        # By digests: how long a comparison takes tells nothing of what is kept.
        self._tokens = {
            _digest(one.token): Asker(name, _ROLES[one.role])
            for name, one in options.tokens.items()
        }
        self._logins: OrderedDict[bytes, LogIn] = OrderedDict()

    def by_token(self, token: str) -> Asker | None:
        """The program of a token."""
        return self._tokens.get(_digest(token))

    def role_of(self, username: str) -> Role | None:
        """What a user may do."""
        role = self._options.roles.get(username)
        return None if role is None else _ROLES[role]

    def log_in(self, username: str) -> tuple[str, LogIn]:
        """Somebody has proved to be a user: the value of the cookie, and the login."""
        now = trio.current_time()
        value = secrets.token_urlsafe(32)
        login = LogIn(_digest(value), username, secrets.token_urlsafe(32), now, now)
        while len(self._logins) >= _MOST_SESSIONS:
            self._logins.popitem(last=False)
        self._logins[login.key] = login
        return value, login

    def log_out(self, value: str) -> None:
        """The cookie counts no more."""
        self._logins.pop(_digest(value), None)

    def by_cookie(self, value: str) -> Asker | None:
        """Who has logged in, as long as that counts."""
        key = _digest(value)
        login = self._logins.get(key)
        if login is None:
            return None
        role = self.role_of(login.username)
        if role is None or not self.is_valid(login):
            del self._logins[key]
            return None
        login.used = trio.current_time()
        self._logins.move_to_end(key)
        return Asker(login.username, role, login)

    def is_valid(self, login: LogIn) -> bool:
        """Whether a login counts still."""
        now = trio.current_time()
        return (
            self._logins.get(login.key) is login
            and not self._is_disabled(login.username)
            and now - login.began < self._options.session_time
            and now - login.used < self._options.idle_time
        )


def is_csrf(login: LogIn, shown: str) -> bool:
    """Whether a page of ours asks, and not another that rides on the cookie."""
    return hmac.compare_digest(login.csrf.encode(), shown.encode(errors="replace"))


class Failures:
    """Wrong passwords of users, and from addresses, in the last minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        # From where users have logged in: what others try by their names does not keep them out.
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._levels: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait(self, username: str, address: str) -> float:
        """Seconds until a password of that user from there is looked at; 0 is now."""
        of_user, of_address = _keys(username, address)
        if (of_user[1], address) in self._right:
            return self._wait(of_address)
        return max(self._wait(of_user), self._wait(of_address))

    def count(self, username: str, address: str) -> None:
        """A password is looked at, which may be wrong."""
        now = trio.current_time()
        for key in _keys(username, address):
            self._levels[key] = self._level(key, now) + 1, now
            self._levels.move_to_end(key)
            if len(self._levels) > _MOST_FAILURES:
                self._levels.popitem(last=False)

    def was_right(self, username: str, address: str) -> None:
        """It was right: it does not count."""
        now = trio.current_time()
        here = _keys(username, address)[0][1], address
        self._right[here] = None
        self._right.move_to_end(here)
        if len(self._right) > _MOST_FAILURES:
            self._right.popitem(last=False)
        for key in _keys(username, address):
            if key in self._levels:
                self._levels[key] = max(0.0, self._level(key, now) - 1), now

    def _level(self, key: tuple[str, str], now: float) -> float:
        level, at = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - at) * self._most / _MINUTE)

    def _wait(self, key: tuple[str, str]) -> float:
        beyond = self._level(key, trio.current_time()) + 1 - self._most
        return max(0.0, beyond * _MINUTE / self._most)


def _keys(username: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    if len(username) > 64:  # 64 KiB each are not theirs to have remembered
        username = hashlib.sha256(username.encode(errors="replace")).hexdigest()
    return ("user", username), ("address", address)


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode(errors="replace")).digest()
