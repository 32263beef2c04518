"""The tokens and the methods of authentication of one listener, as those find it who come by it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jwt
import pytest
import scramp

from tests.cli.broker.seen import sees
from tests.cli.broker.wire import V5, Wire, broker_of, dialled
from tests.cli.programs import Program
from trio_mqtt.protocol.decoding import PacketDecoder
from trio_mqtt.protocol.encoding import encode
from trio_mqtt.protocol.packet_types import PacketType
from trio_mqtt.protocol.packets import Auth, Connect, Packet
from trio_mqtt.protocol.reason_codes import ReasonCode

pytestmark = pytest.mark.slow

METHOD = "SCRAM-SHA-256"
KEY = "a secret of more than sixty-four bytes, which is what HS512 asks for at least."
LISTENERS = {
    "plain": "",
    "audience": "tokens.audience = ['mqtt']",
    "issuer": "tokens.issuer = ['us']",
    "leeway": "tokens.leeway = '1h'",
    "require_expiry": "tokens.require_expiry = false",
    "username_claim": "tokens.username_claim = 'name'",
    "access_claim": "tokens.access_claim = 'may'",
    "secret": "scram.users = { alice = 'hers' }\nscram.secret = 'of both'",
    "the same secret": "scram.users = { bob = 'his' }\nscram.secret = 'of both'",
    "no secret": "scram.users = { bob = 'his' }",
}


class Running(NamedTuple):
    broker: Program
    urls: dict[str, str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("access")
    for name in ("key", "other"):
        (folder / name).write_text(KEY if name == "key" else KEY[::-1])
        (folder / name).chmod(0o600)
    text = "".join(
        "[[listeners]]\nurl = 'mqtt://127.0.0.1:0'\n[listeners.access]\n"
        + ("" if "scram" in one else "tokens.keys = 'key'\n")
        + f"{one}\n"
        for one in LISTENERS.values()
    )
    with broker_of(text, folder) as (broker, urls):
        yield Running(broker, dict(zip(LISTENERS, urls, strict=True)))


def by_token(url: str, claims: Mapping[str, object], key: str = KEY) -> Wire:
    """A client with a token that ends in an hour, by default, and names alice."""
    everything: dict[str, object] = {"sub": "alice", "exp": int(time.time()) + 3_600, **claims}
    given = {name: value for name, value in everything.items() if value is not None}
    return Wire(url, username="", password=jwt.encode(given, key, "HS256").encode())


@sees("listeners.access.tokens.keys")
def test_tokens_count_that_the_key_has_signed(running: Running) -> None:
    for key, code in ((KEY, 0), (KEY[::-1], ReasonCode.BAD_USER_NAME_OR_PASSWORD)):
        with by_token(running.urls["plain"], {}, key) as client:
            assert client.connack.reason_code == code


@sees(
    "listeners.access.tokens.audience",
    "listeners.access.tokens.issuer",
    "listeners.access.tokens.leeway",
    "listeners.access.tokens.require_expiry",
)
@pytest.mark.parametrize(
    ("name", "claims", "at"),
    [
        ("audience", {"aud": "mqtt"}, {"audience": True, "plain": False}),
        ("audience", {"aud": "web"}, {"audience": False}),
        ("issuer", {"iss": "us"}, {"issuer": True, "plain": True}),
        ("issuer", {"iss": "them"}, {"issuer": False, "plain": True}),
        ("leeway", {"exp": 1_000}, {"leeway": True, "plain": False}),
        ("require_expiry", {"exp": None}, {"require_expiry": True, "plain": False}),
    ],
)
def test_what_a_token_must_say(
    name: str, claims: dict[str, object], at: dict[str, bool], running: Running
) -> None:
    if name == "leeway":
        claims = {"exp": int(time.time()) - 1_000}
    for where, welcome in at.items():
        with by_token(running.urls[where], claims) as client:
            assert (client.connack.reason_code == 0) is welcome


@sees("listeners.access.tokens.username_claim")
def test_the_claim_that_is_named_has_the_user(running: Running) -> None:
    with by_token(running.urls["username_claim"], {"name": "carol"}) as client:
        assert client.connack.reason_code == 0
        running.broker.out.expect("connected from .* user carol")


@sees("listeners.access.tokens.access_claim")
def test_the_claim_that_is_named_has_what_is_allowed(running: Running) -> None:
    claims = {"may": {"publish": ["hers"]}, "mqtt": {"publish": ["another"]}}
    for where, allowed in (("access_claim", "hers"), ("plain", "another")):
        with by_token(running.urls[where], claims) as client:
            for topic in ("hers", "another"):
                refused = client.publish(topic) == ReasonCode.NOT_AUTHORIZED
                assert refused is (topic != allowed)


def challenged(url: str, name: str) -> Packet:
    """What a client gets that begins to authenticate by SCRAM."""
    first = scramp.ScramClient([METHOD], name, "password").get_client_first().encode()
    connect = Connect(
        "c", properties={"authentication_method": METHOD, "authentication_data": first}
    )
    with dialled(url) as sock:
        sock.sendall(encode(connect, V5))
        decoder = PacketDecoder(PacketType.AUTH, V5)
        packets: list[Packet] = []
        while not packets:
            data = sock.recv(65_536)
            assert data, "the broker ended the connection"
            packets = decoder.feed(data)
            assert decoder.violation is None
        return packets[0]


@sees("listeners.access.scram.secret")
def test_who_does_not_exist_has_a_salt_by_the_secret(running: Running) -> None:
    salts = []
    for name in ("secret", "the same secret", "no secret"):
        challenge = challenged(running.urls[name], "nobody")
        assert isinstance(challenge, Auth)
        found = re.search(rb",s=([^,]+)", challenge.properties["authentication_data"])
        assert found is not None
        salts.append(found[1])
    assert salts[0] == salts[1] != salts[2]
