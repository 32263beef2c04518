"""What a client wants of TLS, and the context of the standard library that comes of it."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TypeAlias

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.errors import ConfigurationError, TlsError
from trio_mqtt.records import record

StrPath: TypeAlias = str | os.PathLike[str]


@with_attribute_docs
@record(kw_only=True)
class TlsOptions:
    """How a client connects by TLS. The defaults are what a broker on the Internet needs.

        trio_mqtt.open_client("mqtts://broker.example", tls=TlsOptions(ca="ca.pem"))

    TLS 1.2 is the oldest version spoken. Files are PEM, and read when the client is opened. Raises
    ConfigurationError for a key without its certificate.
    """

    ca: StrPath | None = None
    """A file (or directory) of certificates of authorities to trust, instead of the system's."""
    certificate: StrPath | None = None
    """A file: the client's own certificate, with what leads to an authority after it."""
    key: StrPath | None = None
    """A file: the private key of `certificate`, if it is not in the same one."""
    key_password: str | None = None
    """Opens the key, where that is encrypted."""
    server_name: str | None = None
    """The name that the broker's certificate must bear, where that is not the host of the URL."""
    alpn: tuple[str, ...] = ()
    """Application protocols to offer (RFC 7301), for brokers that share a port with others."""
    verify: bool = True
    """False takes any certificate, which anybody on the way can make: for tests only."""

    def __post_init__(self) -> None:
        if self.certificate is None and (self.key is not None or self.key_password is not None):
            raise ConfigurationError("A key for TLS needs the certificate that it belongs to.")


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """The context for a client's connections.

    Raises TlsError for files that cannot be used; its text says which and why.
    """
    ca = options.ca
    try:
        if ca is None:
            context = ssl.create_default_context()
        elif Path(ca).is_dir():
            context = ssl.create_default_context(capath=ca)
        else:
            context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # those of TLS too
        raise TlsError(
            f"The certificates of authorities in {os.fspath(ca or 'the system')!r} cannot be used"
            f" ({_reason(error)}). What is wanted is a file of certificates as PEM."
        ) from error
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.alpn:
        context.set_alpn_protocols(list(options.alpn))
    if options.certificate is not None:
        _load_certificate(context, options.certificate, options)
    return context


def _load_certificate(context: ssl.SSLContext, certificate: StrPath, options: TlsOptions) -> None:
    files = os.fspath(certificate)
    if options.key is not None:
        files += f" and {os.fspath(options.key)}"

    def password() -> str:
        if options.key_password is None:
            # The default would ask at the terminal, in the middle of everything.
            raise TlsError(f"The key in {files} is encrypted: give key_password.")
        return options.key_password

    try:
        context.load_cert_chain(certificate, options.key, password)
    except OSError as error:
        raise TlsError(
            f"The client certificate in {files} cannot be used ({_reason(error)}). What is wanted"
            " is the certificate and its private key as PEM, and the right password for the key."
        ) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").lower().replace("_", " ")
    return (error.strerror or str(error)).lower()
