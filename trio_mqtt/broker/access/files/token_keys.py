"""The keys that tokens are verified with: from a PEM file, a JWKS file, or a secret."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from trio_mqtt.broker.access.files.reading import read_file
from trio_mqtt.errors import ConfigurationError
from trio_mqtt.records import record

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
# The least bytes that a secret has for each algorithm (RFC 7518 §3.2).
_SECRETS = {"HS256": 32, "HS384": 48, "HS512": 64}
_LEAST_RSA = 2048  # bits (RFC 7518 §3.3)

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


@record
class TokenKey:
    """A key, the algorithms that it may be used with, and its identifier if it has one.

    What a key is decides about the algorithm, never what a token says: a public key, which
    everybody may know, is no secret that tokens could be signed with.
    """

    value: Any = field(repr=False)
    algorithms: tuple[str, ...]
    kid: str | None = None


def load_keys(path: str | os.PathLike[str]) -> list[TokenKey]:
    """Read a file of keys. Raises ConfigurationError: which file, what is wrong, remedy."""
    data = read_file(path, "key")
    name = os.fspath(path)
    try:
        if b"-----BEGIN" in data:
            keys = list(_from_pem(data))
        elif data.lstrip().startswith(b"{"):
            keys = list(_from_jwks(data))
        else:
            keys = [_from_secret(data)]
    except _KeyProblemError as error:
        raise ConfigurationError(f"The key file {name} {error}.") from error
    if not keys:
        raise ConfigurationError(
            f"The key file {name} has no key that verifies signatures: it has PEM blocks of public"
            " keys or certificates, or JSON as a JWKS has it, or a secret."
        )
    return keys


class _KeyProblemError(Exception):
    """The end of a sentence that begins with the name of the file."""


def _from_pem(data: bytes) -> Iterator[TokenKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    for block in _PEM_BLOCK.finditer(data):
        kind = block[1].decode()
        if "PRIVATE KEY" in kind:
            raise _KeyProblemError(
                "has a private key, which only who makes tokens may have: give the broker the"
                " public one (openssl pkey -in FILE -pubout)"
            )
        try:
            if kind == "CERTIFICATE":
                public: Any = x509.load_pem_x509_certificate(block[0]).public_key()
            else:
                public = load_pem_public_key(block[0])
        except Exception as error:  # cryptography raises many kinds
            raise _KeyProblemError(f"has a {kind} that cannot be read ({error})") from error
        yield TokenKey(public, _algorithms_of(public))


def _from_jwks(data: bytes) -> Iterator[TokenKey]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _KeyProblemError(f"is not JSON: {error}") from error
    listed = document.get("keys", [document])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise _KeyProblemError('is no JWKS, which reads {"keys": [{"kty": …}]}')
    for number, each in enumerate(listed, 1):
        operations = each.get("key_ops", ["verify"])
        if each.get("use", "sig") != "sig" or "verify" not in operations:
            continue  # for something else than signatures
        yield _from_jwk(each, f"key {number}")


def _from_jwk(each: dict[str, Any], which: str) -> TokenKey:
    import jwt

    kid = each.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise _KeyProblemError(f"has a {which} whose kid is no text")
    if each.get("kty") != "oct" and "d" in each:
        raise _KeyProblemError(
            f"has a private key ({which}), which only who makes tokens may have: leave the"
            " private members out"
        )
    without_algorithm = {name: value for name, value in each.items() if name != "alg"}
    try:
        value: Any = jwt.PyJWK(without_algorithm).key
    except Exception as error:  # PyJWT and cryptography raise many kinds
        raise _KeyProblemError(f"has a {which} that cannot be read ({error})") from error
    algorithms = _of_secret(value) if isinstance(value, bytes) else _algorithms_of(value)
    wanted = each.get("alg")
    if wanted is not None:
        if wanted not in algorithms:
            raise _KeyProblemError(f"has a {which} that is not fit for its alg, {wanted!r}")
        algorithms = (wanted,)
    return TokenKey(value, algorithms, kid)


def _from_secret(data: bytes) -> TokenKey:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    secret = data.removesuffix(b"\n").removesuffix(b"\r")
    readings = [secret]
    with contextlib.suppress(binascii.Error):
        readings.append(base64.b64decode(b"".join(secret.split()), validate=True))
    for reading in readings:
        try:
            load_der_public_key(reading)
        except Exception:  # noqa: S112 # as it must be: it is no public key
            continue
        raise _KeyProblemError("has a public key, which is no secret: save it as PEM")
    if secret.startswith((b"ssh-", b"ecdsa-")):
        raise _KeyProblemError(
            "has a public key of SSH, which is no secret: save it as PEM"
            " (ssh-keygen -e -m PKCS8 -f FILE)"
        )
    return TokenKey(secret, _of_secret(secret))


def _of_secret(secret: bytes) -> tuple[str, ...]:
    algorithms = tuple(name for name, least in _SECRETS.items() if len(secret) >= least)
    if not algorithms:
        raise _KeyProblemError(
            f"has a secret of {len(secret)} bytes, which can be guessed: it takes 32 at least"
            " (openssl rand -base64 48)"
        )
    return algorithms


def _algorithms_of(public: Any) -> tuple[str, ...]:  # noqa: ANN401 # any kind of key
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < _LEAST_RSA:
            raise _KeyProblemError(
                f"has an RSA key of {public.key_size} bits, which can be broken: it takes"
                f" {_LEAST_RSA} at least"
            )
        return _RSA
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        return (_CURVES[public.curve.name],)
    if isinstance(public, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
        return ("EdDSA",)
    raise _KeyProblemError("has a key of a kind that tokens are not signed with")
