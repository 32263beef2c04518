"""Keys that tokens are signed by, made once."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.broker.access.files.signing import SECRET


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
