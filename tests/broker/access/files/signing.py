"""Tokens and keys as the tests make them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from trio_mqtt import InvalidTokenError
from trio_mqtt.access import TokenVerifier

SECRET = b"a secret of more than sixty-four bytes, which is what HS512 asks for at least."
FUTURE = int(time.time()) + 7 * 86_400  # a run of the tests may take an hour
PEM = serialization.Encoding.PEM
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo
Key = Any  # private, of any kind
PRIVATE = (PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def public_pem(key: Key) -> bytes:
    return bytes(key.public_key().public_bytes(PEM, PUBLIC))


def key_file(path: Path, key: Key) -> Path:
    path.write_bytes(key if isinstance(key, bytes) else public_pem(key))
    path.chmod(0o600)
    return path


def signed(key: Key = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    headers = claims.pop("headers", None)
    return jwt.encode({"sub": "alice", "exp": FUTURE} | claims, key, algorithm, headers)


def refusal(verifier: TokenVerifier, token: str | bytes) -> str:
    with pytest.raises(InvalidTokenError) as caught:
        verifier.verify(token)
    return str(caught.value)
