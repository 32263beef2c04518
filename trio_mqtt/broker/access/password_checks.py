"""Passwords that wait to be hashed: everybody gets a turn, and guesses cost only who guesses.

Hashing is slow on purpose, so a few hundred guesses would fill a plain queue for longer than
clients wait. Here networks take turns, within them addresses (IPv6 by /64), within those user
names: a thousand guesses from elsewhere are one turn before one's own.
"""

from __future__ import annotations

import hmac
import itertools
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterator
from enum import IntEnum
from typing import TYPE_CHECKING, TypeVar

import trio

from trio_mqtt.broker.sources import neighbourhood_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_mqtt.broker.access.protocols import PasswordCheck
    from trio_mqtt.broker.limits import Limits

_REMEMBERED = 10_000  # addresses, and passwords that were wrong: each some 200 bytes
_FORGIVEN = 60.0  # seconds after which a wrong password no longer counts against its address
_FREE = 3  # wrong passwords that are answered at once: people mistype
_FIRST_DELAY, _LONGEST_DELAY = 0.25, 2.0  # seconds until the next ones are answered
_REPEATED_DELAY = 1.0  # the same for a wrong password that the same address has shown before
_TIME_TO_ANSWER = 0.2  # part of the connect timeout that is left for hashing and answering


class Rank(IntEnum):
    """What is known of an address: those with a lower rank get more turns."""

    GOOD = 0  # a password from there was right before
    NEW = 1
    FAILING = 2  # a password from there was wrong a short while ago


# Whose turn it is, where all of them wait. Nobody is left out.
_TURNS = (Rank.GOOD, Rank.NEW, Rank.GOOD, Rank.NEW, Rank.GOOD, Rank.NEW, Rank.FAILING)


class TooManyChecksError(Exception):
    """No password is checked for this client now; the text tells it why."""


class _Check:
    """A client that waits for its password to be checked."""

    __slots__ = ("number", "path", "rank", "source", "turn", "turned_away", "username")

    def __init__(self, number: int, rank: Rank, peer: str, username: str) -> None:
        self.number = number
        self.rank = rank
        self.source = source_of(peer)
        self.username = username
        self.path = (neighbourhood_of(peer), self.source, username)
        self.turn = trio.Event()
        self.turned_away = ""  # why, once it is


T = TypeVar("T")
_Level = dict[object, "_Level"]


class PasswordChecks:
    """The checks of one broker: those that wait, and those that run in threads."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Who is cancelled leaves its thread behind, which occupies its place until it is done.
        self._threads = trio.CapacityLimiter(limits.password_threads)
        self._running = 0
        self._numbers = itertools.count()
        self._turns = itertools.cycle(_TURNS)
        # For each rank a tree: networks, addresses, user names, and who waits, each in turn.
        self._waiting: dict[Rank, _Level] = {rank: {} for rank in Rank}
        self._checks: dict[_Check, None] = {}
        self._of_network: Counter[str] = Counter()
        self._of_source: Counter[str] = Counter()
        self._of_user: Counter[str] = Counter()
        self._counters = (self._of_network, self._of_source, self._of_user)
        self._sources = _Sources()
        self._wrong = _WrongPasswords()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._checks)

    def threads_changed(self) -> None:
        """There are more or fewer threads than before."""
        self._threads.total_tokens = self._limits.password_threads
        self._go_on()

    async def hash(self, make: Callable[[], T]) -> T:
        """Have a thread make a hash, in the place of a check. Who is cancelled does not wait."""
        return await trio.to_thread.run_sync(make, limiter=self._threads, abandon_on_cancel=True)

    def remembers(
        self, passwords: PasswordCheck, username: str, password: bytes | None, peer: str
    ) -> bool:
        """Whether the password was right before, which a password file can tell without hashing."""
        recall: Callable[[str, bytes | None], bool] | None = getattr(passwords, "remembers", None)
        if recall is None or not recall(username, password):
            return False
        self._sources.was_right(source_of(peer))
        return True

    async def check(
        self,
        passwords: PasswordCheck,
        username: str,
        password: bytes | None,
        peer: str,
        answer_by: float,
    ) -> bool:
        """Whether it is the user's password; wrong ones are answered late after some.

        `answer_by` is the time on Trio's clock after which nobody waits for the answer. Raises
        TooManyChecksError for who does not get a turn. Who is cancelled while waiting costs
        nothing.
        """
        source = source_of(peer)
        if self._wrong.has(passwords, source, username, password):
            delay = _REPEATED_DELAY
        elif await self._hash(passwords, username, password, peer, answer_by):
            self._sources.was_right(source)
            return True
        else:
            self._wrong.add(passwords, source, username, password)
            delay = self._sources.was_wrong(source)
        left = answer_by - trio.current_time()
        await trio.sleep(max(0.0, min(delay, left)))
        return False

    async def _hash(
        self,
        passwords: PasswordCheck,
        username: str,
        password: bytes | None,
        peer: str,
        answer_by: float,
    ) -> bool:
        await self._wait_for_turn(username, peer, answer_by)
        try:
            return await trio.to_thread.run_sync(
                passwords.verify,
                username,
                password,
                limiter=self._threads,
                abandon_on_cancel=True,
            )
        finally:
            self._running -= 1
            self._go_on()

    async def _wait_for_turn(self, username: str, peer: str, answer_by: float) -> None:
        if self._running < self._limits.password_threads and not self._checks:
            self._running += 1
            return
        check = _Check(next(self._numbers), self._sources.rank(source_of(peer)), peer, username)
        self._make_room(check)
        self._add(check)
        try:
            with trio.move_on_at(answer_by):
                await check.turn.wait()
        except BaseException:
            if check.turn.is_set() and not check.turned_away:  # at the same moment: not needed
                self._running -= 1
                self._go_on()
            raise
        finally:
            if not check.turn.is_set():
                self._remove(check)
        if check.turned_away:
            raise TooManyChecksError(check.turned_away)
        if not check.turn.is_set():
            raise TooManyChecksError("the broker had no time to check its password: try again")

    # -- who waits ------------------------------------------------------------------------------

    def _add(self, check: _Check) -> None:
        self._checks[check] = None
        for counter, key in zip(self._counters, check.path, strict=True):
            counter[key] += 1
        level = self._waiting[check.rank]
        for key in check.path:
            level = level.setdefault(key, {})
        level[check] = {}

    def _remove(self, check: _Check) -> None:
        del self._checks[check]
        for counter, key in zip(self._counters, check.path, strict=True):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        levels = [self._waiting[check.rank]]
        for key in check.path:
            levels.append(levels[-1][key])
        keys: tuple[object, ...] = (check, *reversed(check.path))
        for level, name in zip(reversed(levels), keys, strict=True):
            del level[name]
            if level:
                break

    def _go_on(self) -> None:
        """Give the next ones their turn."""
        while self._checks and self._running < self._limits.password_threads:
            check = self._next()
            self._remove(check)
            self._running += 1
            check.turn.set()

    def _next(self) -> _Check:
        """Whose turn it is: on each level, whoever had one goes to the end."""
        ranks = (next(self._turns), *Rank)
        level = next(self._waiting[rank] for rank in ranks if self._waiting[rank])
        while True:
            key = next(iter(level))
            if isinstance(key, _Check):
                return key
            below = level[key] = level.pop(key)
            level = below

    def _make_room(self, new: _Check) -> None:
        """See that `new` can wait, if need be in the place of one that has less of a claim.

        Raises TooManyChecksError where none has.
        """
        limits = self._limits
        rivals: Iterator[_Check] | None = None
        if self._of_source[new.source] >= limits.maximum_password_checks_per_address:
            raise TooManyChecksError("too many passwords from its address wait to be checked")
        if self._of_user[new.username] >= limits.maximum_password_checks_per_user:
            rivals = (check for check in self._checks if check.username == new.username)
        elif len(self._checks) >= limits.maximum_password_checks:
            rivals = iter(self._checks)
        if rivals is None:
            return
        last = max(rivals, key=lambda check: (self._asks(check), check.number))
        rank, network, source = self._asks(new)
        if self._asks(last) <= (rank, network + 1, source + 1):
            raise TooManyChecksError("too many clients wait for their passwords to be checked")
        self._remove(last)
        last.turned_away = "too many clients wait for their passwords to be checked"
        last.turn.set()

    def _asks(self, check: _Check) -> tuple[int, int, int]:
        """The greater, the sooner a check makes room: how its address fares, and how many wait from
        its network and its address."""
        return check.rank, self._of_network[check.path[0]], self._of_source[check.source]


class _Sources:
    """What is remembered of addresses."""

    def __init__(self) -> None:
        self._good: OrderedDict[str, None] = OrderedDict()
        # How many wrong passwords came in a row, none more than a while after the other, and when.
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def rank(self, source: str) -> Rank:
        _, at = self._failures.get(source, (0, float("-inf")))
        if trio.current_time() - at < _FORGIVEN:
            return Rank.FAILING
        return Rank.GOOD if source in self._good else Rank.NEW

    def was_right(self, source: str) -> None:
        self._good[source] = None
        self._good.move_to_end(source)
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)

    def was_wrong(self, source: str) -> float:
        """Note a failure; the seconds until it is answered."""
        now = trio.current_time()
        count, at = self._failures.pop(source, (0, now))
        count = count + 1 if now - at < _FORGIVEN else 1
        self._failures[source] = (count, now)
        if len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        if count <= _FREE:
            return 0.0
        return min(_FIRST_DELAY * 2.0 ** min(count - _FREE - 1, 10), _LONGEST_DELAY)


class _WrongPasswords:
    """Wrong passwords that an address has shown: a device that is set up wrongly is not hashed for
    again and again.

    They are kept as digests with a key of this process. An address is only recognized by what it
    has shown itself: how soon the answer comes tells nobody what others have tried. Passwords that
    a program checks may become right at any time, and are not remembered.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._passwords: PasswordCheck | None = None
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def has(
        self, passwords: PasswordCheck, source: str, username: str, password: bytes | None
    ) -> bool:
        if passwords is not self._passwords:
            if not hasattr(passwords, "remembers"):
                return False
            self._passwords = passwords  # the file was read again: some may be right now
            self._digests.clear()
        digest = self._digest(source, username, password)
        if digest not in self._digests:
            return False
        self._digests.move_to_end(digest)
        return True

    def add(
        self, passwords: PasswordCheck, source: str, username: str, password: bytes | None
    ) -> None:
        if passwords is self._passwords:
            self._digests[self._digest(source, username, password)] = None
            if len(self._digests) > _REMEMBERED:
                self._digests.popitem(last=False)

    def _digest(self, source: str, username: str, password: bytes | None) -> bytes:
        parts = (source.encode(), username.encode(errors="surrogatepass"), password or b"")
        text = b"".join(b"%d:%s" % (len(part), part) for part in parts)
        return hmac.digest(self._key, text, "sha256")


def last_moment(connect_by: float, connect_timeout: float) -> float:
    """When a client must have its turn, so that it is answered before it is given up."""
    return connect_by - _TIME_TO_ANSWER * connect_timeout
