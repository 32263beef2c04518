"""The files of keys that tokens are verified by: PEM, JWKS and secrets."""

from __future__ import annotations

import builtins
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.broker.access.files.signing import (
    PEM,
    PRIVATE,
    SECRET,
    Key,
    key_file,
    public_pem,
    refusal,
    signed,
)
from trio_mqtt import ConfigurationError
from trio_mqtt.access import TokenVerifier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key"


@pytest.fixture
def tokens(path: Path) -> TokenVerifier:
    """What verifies tokens by the secret."""
    return TokenVerifier.load(key_file(path, SECRET))


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


@pytest.mark.posix
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
