"""What the URL of an engine says, and what it may not say."""

from __future__ import annotations

import pytest

from trio_mqtt import InvalidUrlError
from trio_mqtt.cluster.engine.addresses import EngineAddress, Kind, Place, parse_engine_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (
            "redis://host",
            EngineAddress(kind=Kind.SINGLE, places=(Place("host", 6379),)),
        ),
        (
            "redis://user:p%40ss@[::1]:7000/3",
            EngineAddress(
                kind=Kind.SINGLE,
                places=(Place("::1", 7000),),
                username="user",
                password="p@ss",
                database=3,
            ),
        ),
        (
            "redis://:secret@host/0",
            EngineAddress(kind=Kind.SINGLE, places=(Place("host", 6379),), password="secret"),
        ),
        (
            "rediss://host?cafile=/etc/ca.pem&certfile=a.pem&keyfile=b.pem",
            EngineAddress(
                kind=Kind.SINGLE,
                places=(Place("host", 6379),),
                is_tls=True,
                cafile="/etc/ca.pem",
                certfile="a.pem",
                keyfile="b.pem",
            ),
        ),
        (
            "unix:///run/redis/a%20b.sock?db=2",
            EngineAddress(
                kind=Kind.SINGLE, places=(Place(path="/run/redis/a b.sock"),), database=2
            ),
        ),
        (
            "redis+sentinel://a,b:1,c/mymaster/1",
            EngineAddress(
                kind=Kind.SENTINEL,
                places=(Place("a", 26379), Place("b", 1), Place("c", 26379)),
                service="mymaster",
                database=1,
            ),
        ),
        (
            "rediss+cluster://a:1,b:2",
            EngineAddress(kind=Kind.CLUSTER, places=(Place("a", 1), Place("b", 2)), is_tls=True),
        ),
    ],
)
def test_an_address_says_where_the_engine_is(url: str, address: EngineAddress) -> None:
    assert parse_engine_url(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mqtt://host", "does not start with redis://"),
        ("redis://", "names no host"),
        ("redis://a,b", "names several hosts"),
        ("redis://host:x", "is not an address"),
        ("redis://host/x", "no number of a database"),
        ("redis://host?cafile=x", "no 'cafile' in such an address"),
        ("rediss://host?nonsense=x", "it may have cafile, certfile, keyfile"),
        ("redis://u:a#b@host", "written %23"),
        ("redis+cluster://a/1", "database 0 alone"),
        ("redis+sentinel://a,b", "what the Sentinels call the engine"),
        ("unix://run/redis.sock", "three slashes"),
    ],
)
def test_a_wrong_address_is_told_with_a_right_one(url: str, why: str) -> None:
    with pytest.raises(InvalidUrlError, match=why):
        parse_engine_url(url)


@pytest.mark.parametrize("url", ["redis://u:secret@a,b", "redis://u:secret@host?x=1"])
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        parse_engine_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:secret@host", "host:6379"),
        ("unix:///run/x.sock", "/run/x.sock"),
        ("redis+sentinel://a,b/main", "main (of the Sentinels at a:26379, b:26379)"),
        ("redis://[::1]", "[::1]:6379"),
    ],
)
def test_people_see_where_it_is(url: str, shown: str) -> None:
    assert parse_engine_url(url).shown == shown
