"""Who connects too often or guesses passwords is held off for a while, which grows.

By address (IPv6: by /64), by client identifier at an address, and by user name at an address from
which others are right: a gateway's whole fleet must not suffer from one of its devices, nor anybody
from who takes their identifier elsewhere. This machine is never held off.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import trio

from trio_mqtt.broker.log_lines import LogLines, shown
from trio_mqtt.broker.sources import is_this_machine, source_of
from trio_mqtt.protocol.reason_codes import ReasonCode

if TYPE_CHECKING:
    from trio_mqtt.broker.limits import Limits
    from trio_mqtt.broker.statistics import Statistics
    from trio_mqtt.broker.timers import Timers

logger = logging.getLogger("trio_mqtt.connections")

_REMEMBERED = 10_000  # of each kind: some 3 MB when all are full
_LONG = 64  # characters of a name, beyond which its digest is remembered
_MINUTE = 60.0
_BURST = 10.0  # seconds' worth of connections that one address may open at once
_GATEWAY = 10  # times as many wrong passwords may come from where others are right
_TOLD = 10  # connections that hear why, each time that an address is held off

_OFTEN = "it connects too often"
_GUESSES = "too many passwords from there were wrong"


class HeldOff(NamedTuple):
    """Why a client is not served now; `is_told` that it may hear so once it has said CONNECT."""

    reason_code: ReasonCode
    reason: str
    is_told: bool = True


class _Record:
    """What is remembered of one address, client or user."""

    __slots__ = ("at", "level", "strikes", "told", "until")

    def __init__(self, now: float) -> None:
        self.level = 0.0  # how often it came lately: what came a while ago counts less and less
        self.at = now
        self.strikes = 0  # times that it was held off, none long after the one before
        self.until = now
        self.told = 0

    def left(self, now: float, rate: float) -> float:
        """How often it came, where `rate` a second are forgotten."""
        return max(0.0, self.level - (now - self.at) * rate)

    def count(self, now: float, rate: float) -> float:
        """It has come once more, where `rate` a second are forgotten; how often, then."""
        self.level = self.left(now, rate) + 1
        self.at = now
        return self.level


class _Records:
    """The records of one kind: whose have not been used for longest go first."""

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def find(self, source: str, name: str = "") -> _Record | None:
        return self._records.get(_key(source, name))

    def of(self, source: str, name: str, now: float) -> _Record:
        key = _key(source, name)
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = _Record(now)
            if len(self._records) > _REMEMBERED:
                self._records.popitem(last=False)
        else:
            self._records.move_to_end(key)
        return record

    def forget(self, source: str, name: str = "") -> None:
        self._records.pop(_key(source, name), None)

    def __len__(self) -> int:
        return len(self._records)


def _key(source: str, name: str) -> tuple[str, str]:
    # Nobody knows yet who gives the name: 64 KiB each are not theirs to have remembered.
    if len(name) > _LONG:
        name = hashlib.sha256(name.encode()).hexdigest()
    return source, name


class HoldingOff:
    """Keeps account of those who come to one broker."""

    def __init__(self, limits: Limits, statistics: Statistics, timers: Timers) -> None:
        self._limits = limits
        self._statistics = statistics
        # Whole networks may come: the log is not theirs to fill.
        self._lines: LogLines[str] = LogLines(
            logger, logging.WARNING, timers, _sum_up, lines=60, lines_of_one=5
        )
        self._addresses = _Records()  # how fast they connect
        self._clients = _Records()  # how often each connects
        self._guesses = _Records()  # passwords that were wrong, of an address or of a user there
        # Addresses from which somebody was let in.
        self._good: OrderedDict[str, None] = OrderedDict()

    def connecting(self, peer: str) -> HeldOff | None:
        """A connection was opened from HOST:PORT; why it is not served, if it is not."""
        if is_this_machine(peer):
            return None
        source, now = source_of(peer), trio.current_time()
        record = self._guesses.find(source)
        if record is not None and record.until > now:
            return self._held_off(record, ReasonCode.BANNED, _GUESSES)
        rate = self._limits.maximum_connect_rate_per_address
        if rate < float("inf"):
            record = self._addresses.of(source, "", now)
            if record.count(now, rate) > max(1.0, rate * _BURST):
                record.level -= 1  # who is turned away does not pay for it
                self._statistics.connects_too_fast += 1
                record.told = record.told + 1 if now < record.until else 1
                record.until = now + 1
                return HeldOff(
                    ReasonCode.CONNECTION_RATE_EXCEEDED, _OFTEN, is_told=record.told <= _TOLD
                )
        return None

    def identified(self, peer: str, client_id: str) -> HeldOff | None:
        """CONNECT has come from a client; why it is not let in, if it is not.

        It does not count yet: anybody may call themselves so.
        """
        if not self._clients:
            return None
        source, now = source_of(peer), trio.current_time()
        record = self._clients.find(source, client_id)
        if record is None:
            return None
        most = self._limits.maximum_connects_per_minute
        if record.until <= now and record.left(now, most / _MINUTE) + 1 > most:
            who = f"The client {shown(client_id)} at {source}"
            self._hold_off(record, now, who, _OFTEN, address=source, client_id=client_id)
        if record.until > now:
            return self._held_off(record, ReasonCode.CONNECTION_RATE_EXCEEDED, _OFTEN)
        return None

    def has_session(self, peer: str, client_id: str) -> None:
        """A client was let in, and a session by the name that it has given is its own."""
        most = self._limits.maximum_connects_per_minute
        if client_id and most < float("inf") and not is_this_machine(peer):
            now = trio.current_time()
            self._clients.of(source_of(peer), client_id, now).count(now, most / _MINUTE)

    def logging_in(self, peer: str, username: str | None) -> HeldOff | None:
        """A user name has come with CONNECT; why it is not looked at, if it is not."""
        record = self._guesses.find(source_of(peer), username or "") if username else None
        if record is not None and record.until > trio.current_time():
            return self._held_off(record, ReasonCode.BANNED, _GUESSES)
        return None

    def was_wrong(self, peer: str, username: str | None) -> None:
        """What a client has shown to prove its name was wrong."""
        most = self._limits.maximum_failed_logins_per_minute
        if most == float("inf") or is_this_machine(peer):
            return
        source, now = source_of(peer), trio.current_time()
        if source in self._good and username:
            user = self._guesses.of(source, username, now)
            if user.count(now, most / _MINUTE) > most:
                who = f"The user {shown(username)} at {source}"
                self._hold_off(user, now, who, _GUESSES, address=source, username=username)
            most *= _GATEWAY  # who tries one user after the other
        record = self._guesses.of(source, "", now)
        if record.count(now, most / _MINUTE) > most:
            self._hold_off(record, now, f"The address {source}", _GUESSES, address=source)

    def was_right(self, peer: str, username: str | None) -> None:
        """A client was let in."""
        if is_this_machine(peer):
            return
        source = source_of(peer)
        self._good[source] = None
        self._good.move_to_end(source)
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)
        if username:
            self._guesses.forget(source, username)

    def _hold_off(self, record: _Record, now: float, who: str, why: str, **about: str) -> None:
        limits = self._limits
        longest = limits.maximum_hold_off
        if now - record.until > longest:
            record.strikes = 0  # it was quiet for long
        seconds = min(limits.first_hold_off * 2.0 ** min(record.strikes, 60), longest)
        record.strikes += 1
        record.until = now + seconds
        record.level = 0.0
        record.told = 0
        self._statistics.hold_offs += 1
        if self._lines.take(who, why):
            about |= {"event": "held_off", "reason": why}
            logger.warning("%s is held off for %g s: %s", who, seconds, why, extra=about)

    def _held_off(self, record: _Record, code: ReasonCode, reason: str) -> HeldOff:
        self._statistics.clients_held_off += 1
        record.told += 1
        return HeldOff(code, reason, is_told=record.told <= _TOLD)


def _sum_up(left_out: int, most: list[tuple[str, str, int]], _whys: set[str]) -> None:
    who = ", ".join(f"{one} ({count} times)" for one, _, count in most)
    logger.warning("%d more were held off in the last minute, most of all %s", left_out, who)
