"""What TLS says of itself: version, cipher, and whether and why the certificate is trusted."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import trio

from tmqtt.check.findings import LIMITED, OK, WRONG, Finding
from tmqtt.connecting.settings import ConnectionOptions

_GROUP = "TLS"
_PORTS = {"mqtts": 8883, "ssl": 8883, "tls": 8883, "wss": 443}
_SOON = 14 * 86_400  # seconds before its end when a certificate should be renewed


async def check_tls(connection: ConnectionOptions) -> list[Finding]:
    """The rows about TLS; none where the URL does without."""
    try:
        parts = urlsplit(connection.broker)
        host, port = parts.hostname, parts.port
    except ValueError:
        return []  # it is no address, which connecting tells
    if parts.scheme not in _PORTS or not host:
        return []
    handshakes = _Handshakes(
        host, port or _PORTS[parts.scheme], connection.tls or {}, connection.connect_timeout
    )
    try:
        return await trio.to_thread.run_sync(handshakes.findings, abandon_on_cancel=True)
    except OSError as error:
        return [Finding(_GROUP, "Handshake", WRONG, str(error))]


class _Handshakes:
    """Handshakes with the broker, trusting it or not."""

    def __init__(self, host: str, port: int, options: Mapping[str, Any], timeout: float) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._timeout = timeout

    def findings(self) -> list[Finding]:
        trusted = Finding(_GROUP, "Certificate trusted", OK)
        try:
            handshake, _ = self._shake(self._context())
        except ssl.SSLCertVerificationError as error:
            trusted = Finding(_GROUP, "Certificate trusted", WRONG, error.verify_message)
            context = self._context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            handshake, encoded = self._shake(context)
            handshake["certificate"] = self._decoded(encoded)
        cipher, _, bits = handshake["cipher"]
        old = handshake["version"] not in ("TLSv1.2", "TLSv1.3")
        return [
            Finding(_GROUP, "Version", LIMITED if old else OK, handshake["version"]),
            Finding(_GROUP, "Cipher", OK, f"{cipher}, {bits} bits"),
            trusted,
            *_certificate(handshake["certificate"]),
        ]

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._options.get("ca"))
        if "certificate" in self._options:
            context.load_cert_chain(
                self._options["certificate"],
                self._options.get("key"),
                self._options.get("key_password"),
            )
        return context

    def _shake(self, context: ssl.SSLContext) -> tuple[dict[str, Any], bytes]:
        name = self._options.get("server_name") or self._host
        with (
            socket.create_connection((self._host, self._port), self._timeout) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            return {
                "version": secured.version(),
                "cipher": secured.cipher(),
                "certificate": secured.getpeercert() or {},
            }, secured.getpeercert(binary_form=True) or b""

    def _decoded(self, encoded: bytes) -> Mapping[str, Any]:
        """The certificate's fields, which are told only of one that is trusted: so trust it."""
        context = ssl.create_default_context(cadata=encoded)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            handshake, _ = self._shake(context)
        except OSError:
            return {}
        fields: Mapping[str, Any] = handshake["certificate"]
        return fields


def _certificate(fields: Mapping[str, Any]) -> list[Finding]:
    names = [value for _, value in fields.get("subjectAltName", ())]
    names = names or [
        value for row in fields.get("subject", ()) for key, value in row if key == "commonName"
    ]
    findings: list[Finding] = []
    if names:
        findings.append(Finding(_GROUP, "Certificate for", OK, ", ".join(names)))
    if "notAfter" in fields:
        left = ssl.cert_time_to_seconds(fields["notAfter"]) - time.time()
        status = WRONG if left < 0 else LIMITED if left < _SOON else OK
        words = f"{fields['notAfter']} ({abs(left) / 86_400:,.0f} days {'ago' if left < 0 else ''}"
        findings.append(Finding(_GROUP, "Valid until", status, words.rstrip() + ")"))
    return findings
