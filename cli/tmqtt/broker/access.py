"""`tmqtt broker`: who may connect and what they may do, from the options to what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio_mqtt


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Which JSON Web Tokens count."""

    key_file: str
    audience: Sequence[str]
    issuer: Sequence[str]
    user_claim: str
    access_claim: str

    def verifier(self) -> trio_mqtt.access.TokenVerifier:
        """What verifies them. Raises ConfigurationError for a file that holds no keys."""
        return trio_mqtt.access.TokenVerifier.load(
            self.key_file,
            audience=self.audience or None,
            issuer=self.issuer or None,
            username_claim=self.user_claim,
            access_claim=self.access_claim,
        )


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """What the options say; files are named by their paths."""

    passwords: str | None
    access: str | None
    tokens: TokenOptions | None
    allow_anonymous: bool | None

    def security(self) -> trio_mqtt.Security:
        """The same for the broker. Raises ConfigurationError."""
        return trio_mqtt.Security(
            passwords=self.passwords,
            access=self.access,
            tokens=None if self.tokens is None else self.tokens.verifier(),
            allow_anonymous=self.allow_anonymous,
        )
