"""What a failure of TLS means, as a sentence that says what to do."""

from __future__ import annotations

import ssl

from trio_mqtt.errors import TlsError
from trio_mqtt.transport.urls import Address

# OpenSSL's X509_V_ERR_…: the ways in which a certificate fails verification.
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = frozenset({18, 19})
_UNKNOWN_ISSUER = frozenset({2, 20, 21, 27})
_REVOKED = 23
_WRONG_NAME = frozenset({62, 64})

_TRUST = "If you trust it, name its authority's certificate as `ca` of TlsOptions."
# What answers is something else than TLS: OpenSSL reads these into its first bytes.
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNEXPECTED_MESSAGE",
    "BAD_PROTOCOL_VERSION_NUMBER",
    "UNKNOWN_PROTOCOL",
    "WRONG_SSL_VERSION",
)


def tls_failure(address: Address, error: ssl.SSLError, *, has_certificate: bool) -> TlsError:
    """The error for a handshake, or a connection, that failed by TLS."""
    return TlsError(f"No TLS connection to {address.url}: {_why(address, error, has_certificate)}")


def closed_in_handshake(address: Address) -> TlsError:
    """The error for a connection that was closed before TLS stood."""
    return TlsError(
        f"No TLS connection to {address.url}: the connection was closed during the handshake."
        f" Perhaps no TLS is spoken at port {address.port} (then the address begins with"
        f" {_without_tls(address)}), or the broker wants a certificate of the client."
    )


def _without_tls(address: Address) -> str:
    return "ws://" if address.is_websocket else "mqtt://"


def _why(address: Address, error: ssl.SSLError, has_certificate: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _unverified(address, error)
    reason = error.reason or ""
    if any(sign in reason for sign in _NOT_TLS):
        return (
            f"what answers at port {address.port} does not speak TLS. Check the port, or write"
            f" {_without_tls(address)} if this broker takes connections without TLS."
        )
    if "CERTIFICATE_REQUIRED" in reason or (
        not has_certificate and reason.endswith(("HANDSHAKE_FAILURE", "BAD_CERTIFICATE"))
    ):
        return (
            "the broker demands a certificate of the client. Name yours as `certificate` and `key`"
            " of TlsOptions."
        )
    if reason.endswith("ALERT_CERTIFICATE_EXPIRED"):
        return "the broker says that the client's certificate has expired. Renew it."
    if reason.endswith("ALERT_CERTIFICATE_REVOKED"):
        return "the broker says that the client's certificate has been revoked. Get a new one."
    if has_certificate and (
        "UNKNOWN_CA" in reason or "CERTIFICATE" in reason or reason.endswith("ACCESS_DENIED")
    ):
        return (
            "the broker does not accept the client's certificate"
            f" ({_plain(reason)}). It has to be one whose authority the broker trusts."
        )
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return "the broker speaks no version of TLS that this client does (1.2 or newer)."
    if "UNRECOGNIZED_NAME" in reason:
        return f"the broker has no certificate for {address.host!r}. Check the host of the address."
    return f"the handshake failed ({_plain(reason) or 'for no given reason'})."


def _unverified(address: Address, error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return (
            "the broker's certificate has expired. It has to be renewed at the broker (or the clock"
            " of this machine is wrong)."
        )
    if code == _NOT_YET_VALID:
        return "the broker's certificate is not valid yet. Check the clock of this machine."
    if code in _SELF_SIGNED:
        return (
            "the broker's certificate comes from an unknown authority: it is signed by none that"
            f" this machine trusts (self-signed). {_TRUST}"
        )
    if code in _UNKNOWN_ISSUER:
        return f"the broker's certificate comes from an unknown authority. {_TRUST}"
    if code == _REVOKED:
        return "the broker's certificate has been revoked. It has to be replaced at the broker."
    if code in _WRONG_NAME:
        return (
            f"the broker's certificate is for another host ({error.verify_message.rstrip('.')})."
            " Write the host as the certificate has it, or name it as `server_name` of TlsOptions."
        )
    return f"the broker's certificate was not accepted: {error.verify_message.rstrip('.')}."


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
