"""The servers that a client was given: in which order they are tried, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trio_mqtt.errors import ConnectionFailedError, MqttError
from trio_mqtt.transport.connectors.srv_records import servers_of
from trio_mqtt.transport.urls import Address

# Servers that a session is remembered of; past so many the memory starts anew.
_MAX_REMEMBERED = 1_000


class Servers:
    """Where a client belongs: any of these, which are tried in turn, the last good one first.

    A domain with SRV records is looked up anew each time, and stands for the servers they name.
    """

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._places = list(addresses)
        self._good: Address | None = None

    @property
    def text(self) -> str:
        """What they are called in a sentence."""
        others = len(self._places) - 1
        first = self._places[0].url
        return f"{first} or one of {others} more" if others else first

    @property
    def are_several(self) -> bool:
        """Whether there may be another where one fails."""
        return len(self._places) > 1 or self._places[0].is_by_records

    def in_turn(self) -> list[Address]:
        """The places, which `found_at` makes servers of."""
        return list(self._places)

    async def found_at(self, place: Address) -> list[Address]:
        """The servers at a place. Raises ConnectionFailedError where its records tell of none."""
        if not place.is_by_records:
            return [place]
        found = await servers_of(place)
        if self._good in found:
            found.remove(self._good)
            found.insert(0, self._good)
        return found

    def is_good(self, place: Address, server: Address) -> None:
        """A server of that place has accepted the client."""
        self._places.remove(place)
        self._places.insert(0, place)
        self._good = server

    def moved(self, home: Address) -> None:
        """The server that was good last is to be found there now, as the same user."""
        place = self._places[0]
        if not place.is_by_records:
            self._places[0] = replace(home, username=place.username, password=place.password)


class SessionPlaces:
    """At which servers the session of a client is the one that it has now.

    Servers may share it, or have one each. One that said that it knows of none has begun anew; then
    what the others have from before is another session, whose packet identifiers stand for other
    messages: at QoS 2, a new message would count there as a repetition.
    """

    def __init__(self) -> None:
        self._visited: set[str] = set()
        self._present: set[str] = set()

    def is_outdated(self, url: str) -> bool:
        """Whether what that server may still have is a session from before."""
        return url in self._visited and url not in self._present

    def accepted(self, url: str, *, present: bool) -> None:
        """A server has accepted the client, and known the session or not."""
        if not present:
            self._present.clear()
        self._visit(url)
        self._present.add(url)

    def begun_in_vain(self, url: str) -> None:
        """A server that knew of no session has begun one, and ended the connection at once.

        Nothing was asked for there: were that session gone on with, at this server or at one that
        shares it, nothing would come.
        """
        self._present.clear()
        self._visit(url)

    def _visit(self, url: str) -> None:
        if len(self._visited) >= _MAX_REMEMBERED:
            self._visited = set(self._present)
        self._visited.add(url)


def none_of(failures: Sequence[tuple[MqttError, bool]]) -> MqttError:
    """The error of a client whose servers all failed, each with whether that will not pass.

    It is one that may pass where one of them is.
    """
    if len(failures) == 1:
        return failures[0][0]
    passing = [error for error, lasts in failures if not lasts]
    said = " ".join(dict.fromkeys(str(error) for error, _ in failures))
    if not passing:
        first = failures[0][0]
        first.add_note(f"None of {len(failures)} servers accepts this client: {said}")
        return first
    failed = ConnectionFailedError(f"None of {len(failures)} servers can be used. {said}")
    failed.__cause__ = passing[-1]
    return failed
