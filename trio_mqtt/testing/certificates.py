"""Certificates for a broker of a test: a good one, and those that clients should refuse."""

from __future__ import annotations

import atexit
import os
from datetime import UTC, datetime, timedelta
from functools import cache
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.optional import certificates_are_missing
from trio_mqtt.transport.listeners.options import ServerTls, UntriedTls

if TYPE_CHECKING:
    import trustme

TlsKind: TypeAlias = Literal["valid", "expired", "not yet valid", "wrong host", "unknown authority"]
_KINDS = ("valid", "expired", "not yet valid", "wrong host", "unknown authority")
_HERE = ("localhost", "127.0.0.1", "::1")
_ELSEWHERE = ("elsewhere.example",)


def tls_of(kind: TlsKind | bool) -> tuple[ServerTls, str]:
    """What a listener shows, and the file of the authority that clients are told to trust.

    Each is made once in a process. Raises ConfigurationError for a kind that there is not, and
    where the package that makes them is not installed.
    """
    wanted = "valid" if kind is True else kind
    if wanted not in _KINDS:
        raise ConfigurationError(
            f"There is no certificate {kind!r}; there are {', '.join(map(repr, _KINDS))}."
        )
    certificates = _certificates()
    return certificates.listener(wanted), certificates.ca_file


class _Certificates:
    """An authority, and what it has issued, as files."""

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as error:
            raise ConfigurationError(certificates_are_missing()) from error
        self._folder = TemporaryDirectory(prefix="mqtt-test-")
        atexit.register(self._folder.cleanup)
        self._new_authority = trustme.CA
        self._authority = trustme.CA()
        self.ca_file = os.path.join(self._folder.name, "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)
        self._made: dict[str, ServerTls] = {}

    def listener(self, kind: str) -> ServerTls:
        """What a listener shows of this kind."""
        if kind not in self._made:
            path = os.path.join(self._folder.name, f"{kind.replace(' ', '-')}.pem")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(self._issue(kind).private_key_and_cert_chain_pem.bytes())
            self._made[kind] = UntriedTls(path)
        return self._made[kind]

    def _issue(self, kind: str) -> trustme.LeafCert:
        authority = self._new_authority() if kind == "unknown authority" else self._authority
        names = _ELSEWHERE if kind == "wrong host" else _HERE
        now = datetime.now(UTC)
        times: dict[str, Any] = {}
        if kind == "expired":
            times = {"not_before": now - timedelta(days=2), "not_after": now - timedelta(days=1)}
        elif kind == "not yet valid":
            times = {"not_before": now + timedelta(days=1), "not_after": now + timedelta(days=2)}
        return authority.issue_cert(*names, **times)


@cache
def _certificates() -> _Certificates:
    return _Certificates()
