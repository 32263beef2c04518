"""JSON Web Tokens: whom they let in, what is read from them, and every way in which they lie."""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_mqtt import ConfigurationError, InvalidTokenError
from trio_mqtt.access import TokenClaims, TokenVerifier
from trio_mqtt.broker.access.files.access_rules import Action

SECRET = b"a secret of more than sixty-four bytes, which is what HS512 asks for at least."
FUTURE = int(time.time()) + 3600
PEM = serialization.Encoding.PEM
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
Key = Any  # private, of any kind
PRIVATE = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="session")
def private_keys() -> dict[str, Any]:
    """A private key for each kind of algorithm."""
    return {
        "RS256": rsa.generate_private_key(65_537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "HS256": SECRET,
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


def public_pem(key: Key) -> bytes:
    return bytes(key.public_key().public_bytes(PEM, PUBLIC))


def key_file(path: Path, key: Key) -> Path:
    path.write_bytes(key if isinstance(key, bytes) else public_pem(key))
    path.chmod(0o600)
    return path


@pytest.fixture
def tokens(path: Path) -> TokenVerifier:
    """What verifies tokens by the secret."""
    return TokenVerifier.load(key_file(path, SECRET))


def signed(key: Key = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    headers = claims.pop("headers", None)
    return jwt.encode({"sub": "alice", "exp": FUTURE} | claims, key, algorithm, headers)


def refusal(verifier: TokenVerifier, token: str | bytes) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(token)
    return str(caught.value)


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


# --- files of keys


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def jwk(key: Key, **more: Any) -> dict[str, Any]:
    algorithms: dict[type, Any] = {
        bytes: jwt.algorithms.HMACAlgorithm,
        rsa.RSAPublicKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePublicKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PublicKey: jwt.algorithms.OKPAlgorithm,
    }
    public = key if isinstance(key, bytes) else key.public_key()
    of_kind = next(value for kind, value in algorithms.items() if isinstance(public, kind))
    return {**json.loads(of_kind.to_jwk(public)), **more}


def test_a_jwks_has_several_keys(path: Path, private_keys: dict[str, Any]) -> None:
    listed = [jwk(key, kid=name, use="sig") for name, key in private_keys.items()]
    second = ec.generate_private_key(ec.SECP256R1())
    listed += [jwk(second), {"kty": "RSA", "use": "enc"}, {"kty": "new", "key_ops": ["encrypt"]}]
    verifier = TokenVerifier.load(key_file(path, jwks(*listed)))
    for name, key in private_keys.items():
        assert verifier.verify(signed(key, name)).username == "alice"
        assert verifier.verify(signed(key, name, headers={"kid": name})).username == "alice"
        refusal(verifier, signed(key, name, headers={"kid": "unknown"}))
    assert verifier.verify(signed(second, "ES256", headers={"kid": "x"})).username == "alice"


def test_an_alg_in_a_jwks_narrows_what_a_key_is_for(
    path: Path, private_keys: dict[str, Any]
) -> None:
    key = private_keys["RS256"]
    verifier = TokenVerifier.load(key_file(path, jwks(jwk(key, alg="RS512"))))
    assert verifier.verify(signed(key, "RS512")).username == "alice"
    assert "algorithm" in refusal(verifier, signed(key, "RS256"))


def test_pem_files_may_have_several_keys_and_certificates(
    path: Path, private_keys: dict[str, Any]
) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_keys["ES384"].public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(private_keys["ES384"], hashes.SHA256())
    )
    data = public_pem(private_keys["EdDSA"]) + b"# old\n" + certificate.public_bytes(PEM)
    verifier = TokenVerifier.load(key_file(path, data))
    for algorithm in ("EdDSA", "ES384"):
        assert verifier.verify(signed(private_keys[algorithm], algorithm)).username == "alice"


def test_keys_are_read_again_all_or_none(path: Path, tokens: TokenVerifier) -> None:
    key_file(path, b"short")
    with pytest.raises(ConfigurationError):
        tokens.reload()
    assert tokens.verify(signed()).username == "alice"
    key_file(path, SECRET[::-1])
    tokens.reload()
    refusal(tokens, signed())
    assert tokens.verify(signed(SECRET[::-1])).username == "alice"


def weak_rsa() -> bytes:
    return public_pem(rsa.generate_private_key(65_537, 1024))  # noqa: S505 # as it is meant


def der_in_base64() -> bytes:
    return b"".join(public_pem(ec.generate_private_key(ec.SECP256R1())).split(b"\n")[1:-2])


def ed25519_private() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().private_bytes(*PRIVATE)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "has a secret of 0 bytes, which can be guessed"),
        (b"short\n", "has a secret of 5 bytes, which can be guessed: it takes 32 at least"),
        (weak_rsa, "has an RSA key of 1024 bits, which can be broken"),
        (der_in_base64, "has a public key, which is no secret: save it as PEM."),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAA", "public key of SSH"),
        (ed25519_private, "has a private key, which only who makes tokens may have"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "that cannot be read"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "has no key that verifies signatures"),
        (b"{", "is not JSON"),
        (b"{}", "has a key 1 that cannot be read"),
        (b'{"keys": 7}', "is no JWKS"),
        (b'{"keys": [7]}', "is no JWKS"),
        (jwks(), "has no key that verifies signatures"),
        (jwks({"kty": "RSA", "d": "x"}), "has a private key (key 1)"),
        (jwks(jwk(SECRET, alg="RS256")), "that is not fit for its alg, 'RS256'"),
        (jwks(jwk(SECRET, kid=7)), "has a key 1 whose kid is no text"),
        (jwks(jwk(b"short")), "has a secret of 5 bytes"),
    ],
)
def test_a_key_file_that_is_wrong_is_named_with_the_remedy(
    path: Path, data: bytes | Callable[[], bytes], sentence: str
) -> None:
    key_file(path, data if isinstance(data, bytes) else data())
    with pytest.raises(ConfigurationError) as caught:
        TokenVerifier.load(path)
    assert str(caught.value).startswith(f"The key file {path} ")
    assert sentence in str(caught.value)


def test_a_key_file_that_is_missing_is_named(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no key file"):
        TokenVerifier.load(path)


def test_a_secret_that_everybody_can_read_is_told(path: Path, private_keys: dict[str, Any]) -> None:
    verifier = TokenVerifier.load(key_file(path, SECRET))
    assert verifier.warnings == ()
    path.chmod(0o644)
    (warning,) = TokenVerifier.load(path).warnings
    assert f"`chmod o= {path}`" in warning
    key_file(path, private_keys["ES256"]).chmod(0o644)
    assert TokenVerifier.load(path).warnings == ()


def test_without_the_package_it_says_what_to_install(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file(path, SECRET)
    real: Callable[..., object] = builtins.__import__

    def without(name: str, *arguments: object) -> object:
        if name == "jwt":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"install 'pyjwt\[crypto\]"):
        TokenVerifier.load(path)
