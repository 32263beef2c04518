"""JSON Web Tokens (RFC 7519) in place of passwords: who a client is, what it may do, how long."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trio_mqtt.broker.access.files.access_rules import WrittenRules
from trio_mqtt.broker.access.files.token_keys import TokenKey, load_keys
from trio_mqtt.errors import ConfigurationError, InvalidTokenError
from trio_mqtt.optional import tokens_are_missing
from trio_mqtt.protocol.topics import topic_filter_problem
from trio_mqtt.records import record


@record
class TokenClaims:
    """What a token says that was verified.

    `rules` are those that it carries; None where it has none, and the broker's are to be asked.
    `expires_at` is a time of day in seconds since 1970, leeway included; None where it never ends.
    """

    username: str
    rules: WrittenRules | None
    expires_at: float | None


class TokenVerifier:
    """Verifies tokens by the keys in a file: PEM (public keys, certificates), JWKS, or a secret.

        tokens = TokenVerifier.load("issuer.pem", audience="mqtt", issuer="https://id.example.org")
        tokens.verify(password).username

    Each key is used with the algorithms that it is made for, and no token can choose another. The
    audience and the issuer are those that a token must name, one of them where there are several;
    where no audience is given, tokens that name one are refused, for they are meant for somebody
    else. `leeway` are seconds by which the clocks may differ. `username_claim` says who the client
    is, `access_claim` what it may do:

        {"sub": "alice", "exp": 1790000000,
         "mqtt": {"publish": ["home/%u/#"], "subscribe": ["home/#"], "deny": ["home/safe"]}}

    It needs the package PyJWT, which the extra `jwt` brings.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keys: Sequence[TokenKey],
        *,
        audience: str | Sequence[str] | None = None,
        issuer: str | Sequence[str] | None = None,
        leeway: float = 0,
        username_claim: str = "sub",
        access_claim: str = "mqtt",
        require_expiry: bool = True,
    ) -> None:
        self.path: str = os.fspath(path)
        self._keys = tuple(keys)
        self._audience = audience
        self._issuer = issuer
        self._leeway = leeway
        self._username_claim = username_claim
        self._access_claim = access_claim
        self._require_expiry = require_expiry

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        audience: str | Sequence[str] | None = None,
        issuer: str | Sequence[str] | None = None,
        leeway: float = 0,
        username_claim: str = "sub",
        access_claim: str = "mqtt",
        require_expiry: bool = True,
    ) -> TokenVerifier:
        """Read the keys. Raises ConfigurationError: the file, what is wrong with it, the remedy."""
        _check_installed()
        return cls(
            path,
            load_keys(path),
            audience=audience,
            issuer=issuer,
            leeway=leeway,
            username_claim=username_claim,
            access_claim=access_claim,
            require_expiry=require_expiry,
        )

    def reload(self) -> None:
        """Read the keys again. Raises ConfigurationError, and then the old ones stay."""
        self.prepare()()

    def prepare(self) -> Callable[[], None]:
        """Read the keys again; what is returned verifies tokens by them from then on.

        Raises ConfigurationError.
        """
        keys = tuple(load_keys(self.path))

        def put_in_force() -> None:
            self._keys = keys

        return put_in_force

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the person who runs the broker."""
        secret = any(isinstance(key.value, bytes) for key in self._keys)
        if secret and os.name == "posix":
            mode = stat.S_IMODE(Path(self.path).stat().st_mode)
            if mode & stat.S_IROTH:
                who = "Everybody on this machine"
                what = f"can read the secret in {self.path}, and make tokens"
                return (f"{who} {what}: `chmod o= {self.path}`.",)
        return ()

    def verify(self, token: str | bytes) -> TokenClaims:
        """What a token says. Raises InvalidTokenError, whose text is safe to tell the client.

        It takes some 100 µs for public keys, and waits for nothing.
        """
        import jwt

        try:
            text = token if isinstance(token, str) else token.decode("ascii")
            claims = self._verified(text)
        except InvalidTokenError:
            raise
        except jwt.ExpiredSignatureError as error:
            raise InvalidTokenError("the token has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise InvalidTokenError("the token is not valid yet") from error
        except jwt.InvalidAudienceError as error:
            raise InvalidTokenError("the token is meant for another audience") from error
        except jwt.InvalidIssuerError as error:
            raise InvalidTokenError("the token is of another issuer") from error
        except jwt.MissingRequiredClaimError as error:
            raise InvalidTokenError(f"the token lacks the claim {error.claim!r}") from error
        except Exception as error:  # what anybody may send ends in a refusal, whatever it breaks
            raise InvalidTokenError("that is no valid token") from error
        return TokenClaims(
            username=self._username(claims), rules=self._rules(claims), expires_at=self._end(claims)
        )

    def _verified(self, token: str) -> dict[str, Any]:
        import jwt

        header = jwt.get_unverified_header(token)
        algorithm, kid = str(header.get("alg")), header.get("kid")
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if not fitting:
            raise InvalidTokenError("the token is signed by an algorithm that no key here is for")
        for key in fitting:
            if kid is not None and key.kid not in (None, kid):
                continue
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key.value,
                    algorithms=[algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=self._leeway,
                    options={"require": ["exp"] if self._require_expiry else []},
                )
            except jwt.InvalidSignatureError:
                continue
            return claims
        raise InvalidTokenError("the token is signed by no key that is known here")

    def _end(self, claims: dict[str, Any]) -> float | None:
        return float(claims["exp"]) + self._leeway if "exp" in claims else None

    def _username(self, claims: dict[str, Any]) -> str:
        claim = self._username_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not name:
            raise InvalidTokenError(f"the token does not say who the client is ({claim!r})")
        try:
            fits = len(name.encode()) <= 65_535 and "\0" not in name
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise InvalidTokenError(f"the claim {claim!r} of the token is no user name")
        return name

    def _rules(self, claims: dict[str, Any]) -> WrittenRules | None:
        claim = self._access_claim
        access = claims.get(claim)
        if access is None:
            return None
        # A token whose claim is not understood could mean to deny something.
        if not isinstance(access, dict) or not access.keys() <= {"publish", "subscribe", "deny"}:
            raise InvalidTokenError(
                f"the claim {claim!r} of the token is not made of publish, subscribe and deny"
            )
        for word, filters in access.items():
            if not isinstance(filters, list) or not all(
                isinstance(each, str) and topic_filter_problem(each) is None for each in filters
            ):
                raise InvalidTokenError(
                    f"{word!r} in the claim {claim!r} of the token is no list of topic filters"
                )
        return WrittenRules.of(
            read=access.get("subscribe", ()),
            write=access.get("publish", ()),
            deny=access.get("deny", ()),
        )


def _check_installed() -> None:
    try:
        import cryptography as _cryptography
        import jwt as _jwt
    except ImportError as error:
        raise ConfigurationError(tokens_are_missing()) from error
    del _cryptography, _jwt
