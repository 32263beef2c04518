"""What a connection that a listener accepted has shown of itself."""

from __future__ import annotations

from trio_mqtt.attribute_docs import with_attribute_docs
from trio_mqtt.records import record
from trio_mqtt.transport.listeners.options import Endpoint
from trio_mqtt.transport.listeners.upgrade import Upgrade


@with_attribute_docs
@record
class ClientCertificate:
    """What a client's certificate says; an authority that the listener trusts has signed it."""

    common_name: str | None
    """None where there is no common name, or more than one: then it names nobody."""
    subject: str
    """As RFC 4514 writes it: "CN=sensor,O=Example"."""
    serial_number: str
    """In hexadecimal digits."""
    expires: float
    """When, in seconds since 1970 (UTC)."""


@with_attribute_docs
@record
class Origin:
    """Where a connection comes from."""

    listener: Endpoint | None
    """What accepted it; None for streams that the program itself hands to the broker."""
    peer: str
    """The client's address, HOST:PORT, behind the proxies that the listener trusts."""
    certificate: ClientCertificate | None = None
    """None where the client showed none, or came without TLS."""
    is_encrypted: bool = False
    """Whether the bytes came through TLS."""
    upgrade: Upgrade | None = None
    """The request by which a WebSocket began; None where there is none."""

    @property
    def is_behind_proxies(self) -> bool:
        """Whether the client's address may be one that a proxy tells, and is not known at once."""
        listener = self.listener
        return listener is not None and bool(listener.trusted_proxies or listener.proxy_protocol)

    @property
    def asks_for_certificate_name(self) -> bool:
        """Whether the listener takes user names from certificates."""
        tls = None if self.listener is None else self.listener.tls
        return tls is not None and tls.username is not None

    @property
    def username(self) -> str | None:
        """The user name that the certificate gives, where the listener takes it from there."""
        if self.certificate is None or self.listener is None or self.listener.tls is None:
            return None
        kind = self.listener.tls.username
        if kind == "common-name":
            return self.certificate.common_name
        return self.certificate.subject if kind == "subject" else None
