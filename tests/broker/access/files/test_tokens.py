"""JSON Web Tokens: whom they let in, what is read from them, and every way in which they lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker.access.files.signing import (
    FUTURE,
    SECRET,
    key_file,
    refusal,
    signed,
)
from trio_mqtt import InvalidTokenError
from trio_mqtt.access import TokenClaims, TokenVerifier
from trio_mqtt.broker.access.files.access_rules import Action


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def tokens(path: Path) -> TokenVerifier:
    """What verifies tokens by the secret."""
    return TokenVerifier.load(key_file(path, SECRET))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "EdDSA", "HS256"])
def test_a_token_that_is_rightly_signed_says_who_the_client_is(
    path: Path, private_keys: dict[str, Any], algorithm: str
) -> None:
    key = private_keys[algorithm]
    verifier = TokenVerifier.load(key_file(path, key))
    token = signed(key, algorithm)
    assert verifier.verify(token) == TokenClaims("alice", None, float(FUTURE))
    assert verifier.verify(token.encode()) == verifier.verify(token)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_secret_is_for_all_algorithms_that_it_is_long_enough_for(
    tokens: TokenVerifier, algorithm: str
) -> None:
    assert tokens.verify(signed(algorithm=algorithm)).username == "alice"


def test_a_short_secret_is_not_for_long_algorithms(path: Path) -> None:
    secret = b"thirty-two bytes of secret, or so"
    verifier = TokenVerifier.load(key_file(path, secret + b"\n"))
    assert verifier.verify(signed(secret)).username == "alice"
    header, claims, _ = signed(SECRET, "HS512").split(".")
    made = hmac.digest(secret, f"{header}.{claims}".encode(), hashlib.sha512)
    signature = base64.urlsafe_b64encode(made).rstrip(b"=").decode()
    assert "algorithm" in refusal(verifier, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "EdDSA"])
def test_a_public_key_is_no_secret(
    path: Path, private_keys: dict[str, Any], algorithm: str
) -> None:
    verifier = TokenVerifier.load(key_file(path, private_keys[algorithm]))
    pem = path.read_bytes()
    for secret in (pem, pem.strip(), b""):
        header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
        claims = base64.urlsafe_b64encode(b'{"sub":"root","exp":9999999999}').rstrip(b"=")
        made = hmac.digest(secret, header + b"." + claims, "sha256")
        signature = base64.urlsafe_b64encode(made).rstrip(b"=")
        assert refusal(verifier, b".".join((header, claims, signature))) == (
            "the token is signed by an algorithm that no key here is for"
        )


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS1", None, 7, ["HS256"]])
def test_no_token_chooses_its_algorithm(tokens: TokenVerifier, algorithm: object) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=")
    claims = signed().split(".")[1].encode()
    for signature in (b"", signed().split(".")[2].encode()):
        refusal(tokens, b".".join((header, claims, signature)))


def test_a_token_signed_by_another_is_refused(
    path: Path, private_keys: dict[str, Any], tokens: TokenVerifier
) -> None:
    assert refusal(tokens, signed(SECRET + b"!")) == (
        "the token is signed by no key that is known here"
    )
    verifier = TokenVerifier.load(key_file(path, private_keys["ES256"]))
    assert "no key that is known" in refusal(
        verifier, signed(ec.generate_private_key(ec.SECP256R1()), "ES256")
    )
    assert "algorithm that no key" in refusal(verifier, signed(private_keys["ES384"], "ES384"))


def test_time_is_looked_at(path: Path, tokens: TokenVerifier) -> None:
    now = int(time.time())
    assert refusal(tokens, signed(exp=now - 5)) == "the token has expired"
    assert refusal(tokens, signed(nbf=now + 60)) == "the token is not valid yet"
    lenient = TokenVerifier.load(path, leeway=60)
    assert lenient.verify(signed(exp=now - 5)).expires_at == now + 55
    assert lenient.verify(signed(nbf=now + 5)).username == "alice"


def test_a_token_without_an_end_is_accepted_only_where_that_is_said(
    path: Path, tokens: TokenVerifier
) -> None:
    token = jwt.encode({"sub": "alice"}, SECRET, "HS256")
    assert refusal(tokens, token) == "the token lacks the claim 'exp'"
    endless = TokenVerifier.load(path, require_expiry=False)
    assert endless.verify(token) == TokenClaims("alice", None, None)
    assert endless.verify(signed()).expires_at == FUTURE


@pytest.mark.parametrize("end", ["soon", [], {}, "1e999", -1, 1e999, "9" * 5000])
def test_an_end_that_is_none_is_refused(tokens: TokenVerifier, end: object) -> None:
    claims = json.dumps({"sub": "alice", "exp": end}).encode()
    refusal(tokens, jwt.api_jws.encode(claims, SECRET, "HS256"))


def test_audience_and_issuer_are_looked_at(path: Path, tokens: TokenVerifier) -> None:
    assert refusal(tokens, signed(aud="mqtt")) == "the token is meant for another audience"
    strict = TokenVerifier.load(path, audience="mqtt", issuer=["https://a", "https://b"])
    assert strict.verify(signed(aud=["x", "mqtt"], iss="https://b")).username == "alice"
    assert "audience" in refusal(strict, signed(aud="x", iss="https://b"))
    assert "another issuer" in refusal(strict, signed(aud="mqtt", iss="https://c"))
    assert "lacks the claim 'aud'" in refusal(strict, signed(iss="https://b"))
    assert "lacks the claim 'iss'" in refusal(strict, signed(aud="mqtt"))


def test_another_claim_may_say_who_the_client_is(path: Path, tokens: TokenVerifier) -> None:
    other = TokenVerifier.load(path, username_claim="device")
    assert other.verify(signed(device="d1")).username == "d1"
    assert refusal(other, signed()) == "the token does not say who the client is ('device')"
    for name in (7, None, "", ["a"], True):
        refusal(other, signed(device=name))
        refusal(tokens, signed(sub=name))
    for name in ("a\0b", "\ud800", "x" * 65_536):
        assert "no user name" in refusal(other, signed(device=name))


def test_a_token_may_say_what_its_client_may_do(path: Path, tokens: TokenVerifier) -> None:
    access = {"publish": ["home/%u/#"], "subscribe": ["home/#", "c/%c"], "deny": ["home/safe"]}
    rules = tokens.verify(signed(mqtt=access)).rules
    assert rules is not None

    def may(action: Action, topic: str) -> bool:
        return rules.decide(action, client_id="c1", username="alice", topic=topic).allowed

    assert may("publish", "home/alice/x")
    assert not may("publish", "home/bob")
    assert may("receive", "home/bob")
    assert may("subscribe", "c/c1")
    assert not may("subscribe", "c/c2")
    assert not may("receive", "home/safe")
    nothing = tokens.verify(signed(mqtt={})).rules
    assert nothing is not None
    assert not nothing.decide("receive", client_id="c", username="alice", topic="a").allowed
    other = TokenVerifier.load(path, access_claim="acl")
    assert other.verify(signed(mqtt=access)).rules is None
    assert other.verify(signed(acl=access)).rules is not None


@pytest.mark.parametrize(
    "access",
    [
        [], "publish", 7, {"publish": "a"}, {"publish": [1]}, {"publish": ["a/#/b"]},
        {"publish": [""]}, {"publish": None}, {"read": ["a"]}, {"deny": {"a": 1}},
        {"publish": ["a\0"]}, {"publish": ["\ud800"]},
    ],
)  # fmt: skip
def test_a_claim_that_is_not_understood_refuses_the_token(
    tokens: TokenVerifier, access: object
) -> None:
    assert "the claim 'mqtt' of the token" in refusal(tokens, signed(mqtt=access))


# --- what is no token


@settings(deadline=None)
@given(st.binary() | st.text())
def test_anything_else_is_refused(data: bytes | str) -> None:
    verifier = TokenVerifier("nowhere", [])
    refusal(verifier, data)


def encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


@settings(deadline=None)
@given(st.binary(), st.binary(), st.binary())
def test_any_three_parts_are_refused(
    tmp_path_factory: pytest.TempPathFactory, header: bytes, claims: bytes, signature: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "secret"
    verifier = TokenVerifier.load(key_file(path, SECRET))
    for start in (header, b'{"alg":"HS256"}', b'{"alg":"HS256","b64":false,"crit":["b64"]}'):
        refusal(verifier, b".".join(map(encoded, (start, claims, signature))))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "mqtt", "x"]), json_values
    ),
    st.booleans(),
)
def test_whatever_a_signed_token_claims_it_is_understood_or_refused(
    tmp_path_factory: pytest.TempPathFactory, claims: dict[str, Any], complete: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "secret"
    verifier = TokenVerifier.load(key_file(path, SECRET))
    if complete:
        claims = {"sub": "alice", "exp": FUTURE} | claims
    payload = json.dumps(claims).encode()
    try:
        said = verifier.verify(jwt.api_jws.encode(payload, SECRET, "HS256"))
    except InvalidTokenError:
        return
    assert said.username == claims["sub"]
    assert said.expires_at == int(claims["exp"])


@pytest.mark.parametrize("alteration", range(0, 150, 7))
def test_a_token_that_was_changed_is_refused(tokens: TokenVerifier, alteration: int) -> None:
    token = signed()
    at = alteration % (len(token) - 2)  # the last character has bits that mean nothing
    other = "A" if token[at] != "A" else "B"
    refusal(tokens, token[:at] + other + token[at + 1 :])


def test_a_header_without_end_is_refused(tokens: TokenVerifier) -> None:
    deep = encoded(b"[" * 50_000)
    claims, signature = signed().split(".")[1:]
    assert refusal(tokens, deep + f".{claims}.{signature}".encode()) == "that is no valid token"
