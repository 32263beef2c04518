"""The TLS settings of a listener: certificates read, and tried out."""

from __future__ import annotations

import logging
import os
import re
import ssl
import stat
from pathlib import Path
from typing import NoReturn

from trio_mqtt.errors import ConfigurationError
from trio_mqtt.transport.listeners.options import ServerTls, UntriedTls
from trio_mqtt.transport.listeners.origin import ClientCertificate

logger = logging.getLogger("trio_mqtt.listeners")

_CERTIFICATE = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# What OpenSSL's verification says of a certificate whose time has passed or not yet come.
_EXPIRED, _NOT_YET = 10, 9

_SHORT_NAMES = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "streetAddress": "STREET",
    "userId": "UID",
}


def load_context(tls: ServerTls, url: str) -> ssl.SSLContext:
    """The settings for TLS 1.2 and later. Raises ConfigurationError."""
    certificate = _read(tls.certificate, "certificate", url)
    chain = _CERTIFICATE.findall(certificate)
    if not chain:
        raise ConfigurationError(
            f"{_name(tls.certificate)}, the certificate of {url}, holds none: it has to be PEM,"
            ' "-----BEGIN CERTIFICATE-----".'
        )
    key_file = tls.certificate if tls.key is None else tls.key
    key = certificate if tls.key is None else _read(tls.key, "key", url)
    _warn_of_readers(key_file)
    if not _KEY.search(key):
        raise ConfigurationError(
            f"{_name(key_file)} holds no private key for {url}: name the file that does"
            ' (PEM, "-----BEGIN PRIVATE KEY-----").'
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that could ask for new handshakes without end would keep the broker busy.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a function for the password, OpenSSL would ask for it at the terminal.
        context.load_cert_chain(
            tls.certificate, tls.key, password=lambda: _refuse_encrypted(key_file)
        )
    except ssl.SSLError as error:
        _raise_for(error, tls, url, key_file)
    if not isinstance(tls, UntriedTls):
        _try_out(context, chain[0], tls, url)
    _ask_for_certificates(context, tls, url)
    return context


def _warn_of_readers(key_file: str | os.PathLike[str]) -> None:
    """Say so where others than the broker's user and group may read the key."""
    if os.name == "posix" and os.stat(key_file).st_mode & stat.S_IROTH:
        name = _name(key_file)
        logger.warning(
            "Everybody on this machine can read the private key in %s, and pass for this broker:"
            " `chmod o= %s`.",
            name,
            name,
        )


def _refuse_encrypted(key_file: object) -> NoReturn:
    raise ConfigurationError(
        f"{_name(key_file)} is protected by a passphrase, which nobody is there to type."
        " Store it without (openssl pkey -in FILE -out NEW), readable by the broker alone."
    )


def _ask_for_certificates(context: ssl.SSLContext, tls: ServerTls, url: str) -> None:
    wanted = tls.client_certificates or ("none" if tls.ca is None else "required")
    if tls.ca is None:
        if wanted != "none" or tls.username is not None:
            raise ConfigurationError(
                f"Certificates of clients count at {url} only if an authority signs them: name its"
                " certificate (ca)."
            )
        return
    if wanted == "none":
        if tls.username is not None:
            raise ConfigurationError(
                f"User names at {url} are to come from certificates, but none are asked for."
                ' Set client certificates to "required" or "optional".'
            )
        return
    if not _CERTIFICATE.search(_read(tls.ca, "authorities", url)):
        raise ConfigurationError(
            f"{_name(tls.ca)}, the authorities of {url}, holds no certificate (PEM)."
        )
    try:
        context.load_verify_locations(tls.ca)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{_name(tls.ca)}, the authorities of {url}, cannot be used: {_words(error)}."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED if wanted == "required" else ssl.CERT_OPTIONAL


def _read(path: str | os.PathLike[str], what: str, url: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        advice = (
            "Let the broker's user read it."
            if isinstance(error, PermissionError)
            else "Check the path."
        )
        raise ConfigurationError(
            f"{_name(path)}, the {what} of {url}, cannot be read ({reason}). {advice}"
        ) from error


def _raise_for(error: ssl.SSLError, tls: ServerTls, url: str, key_file: object) -> NoReturn:
    certificate = _name(tls.certificate)
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        raise ConfigurationError(
            f"The key in {_name(key_file)} does not belong to the certificate in {certificate}."
            " Name the two that were made together, the broker's own certificate first in its file."
        ) from error
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        raise ConfigurationError(
            f"{certificate} is too weak for TLS today ({_words(error)})."
            " Make one with an EC or 2048-bit RSA key, signed with SHA-256."
        ) from error
    files = certificate if key_file is tls.certificate else f"{certificate} or {_name(key_file)}"
    raise ConfigurationError(
        f"{files} is damaged or no PEM, and cannot serve {url} ({_words(error)})."
    ) from error


def _try_out(context: ssl.SSLContext, certificate: bytes, tls: ServerTls, url: str) -> None:
    """Shake hands with oneself: clients would meet what goes wrong here."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    # It is to be trusted as it is; who has signed it is for the clients to judge.
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(cadata=certificate.decode("ascii", "replace"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_context.wrap_bio(to_client, to_server),
        context.wrap_bio(to_server, to_client, server_side=True),
    ]
    try:
        for end in (*ends, *ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        name = _name(tls.certificate)
        if error.verify_code == _EXPIRED:
            raise ConfigurationError(
                f"The certificate {name} of {url} has expired. Renew it; no client would accept it."
            ) from error
        if error.verify_code == _NOT_YET:
            raise ConfigurationError(
                f"The certificate {name} of {url} is not valid yet. Check this machine's clock."
            ) from error
        raise ConfigurationError(
            f"The certificate {name} of {url} is not fit for a server: {error.verify_message}."
        ) from error
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"No handshake is possible with the certificate {_name(tls.certificate)} of {url}:"
            f" {_words(error)}."
        ) from error


def _name(path: object) -> str:
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else str(path)


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def client_certificate(tls: ssl.SSLObject) -> ClientCertificate | None:
    """What the peer's certificate says, if it showed one and it was verified."""
    found = tls.getpeercert()
    if not found:
        return None
    subject: tuple[tuple[tuple[str, str], ...], ...] = found.get("subject", ())  # type: ignore[assignment]  # as documented
    names = [value for part in subject for name, value in part if name == "commonName"]
    return ClientCertificate(
        names[0] if len(names) == 1 and names[0] else None,
        ",".join(_rdn(part) for part in reversed(subject)),
        str(found.get("serialNumber", "")),
        float(ssl.cert_time_to_seconds(str(found["notAfter"]))),
    )


def _rdn(part: tuple[tuple[str, str], ...]) -> str:
    return "+".join(f"{_SHORT_NAMES.get(name, name)}={_escaped(value)}" for name, value in part)


def _escaped(value: str) -> str:
    """RFC 4514 §2.4."""
    text = re.sub(r'([,+"\\<>;])', r"\\\1", value).replace("\0", r"\00")
    if text[:1] in ("#", " "):
        text = "\\" + text
    if len(text) > 1 and text.endswith(" ") and not text.endswith("\\ "):
        text = text[:-1] + "\\ "
    return text
