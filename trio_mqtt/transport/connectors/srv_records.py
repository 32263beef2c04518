"""Servers by the SRV records of a domain (RFC 2782): `mqtt+srv://DOMAIN` and `mqtts+srv://DOMAIN`."""

from __future__ import annotations

from dataclasses import replace

from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.optional import records_are_missing
from trio_mqtt.transport.urls import Address

# The names of the services in the registry of IANA.
_SERVICES = {"mqtt": "_mqtt._tcp", "mqtts": "_secure-mqtt._tcp"}
# Servers of one domain that are tried.
_MAX_SERVERS = 20


def check_records_can_be_asked() -> None:
    """Raise ImportError, whose text says what to install, where the resolver is missing."""
    try:
        import dns.resolver  # noqa: F401 # few need it
    except ImportError as error:
        raise ImportError(records_are_missing()) from error


async def servers_of(address: Address) -> list[Address]:
    """The servers that the records of a domain name now, in the order in which to try them.

    Lower priorities come first, and those of one priority at random by their weights. Raises
    ConnectionFailedError. There is no time limit beside the resolver's: the caller sets one.
    """
    import anyio.to_thread  # not for those who block, and do without AnyIO
    import dns.exception
    import dns.resolver
    from dns.rdtypes.IN.SRV import SRV

    name = f"{_SERVICES[address.scheme]}.{address.domain}"
    try:
        # A new one each time: the machine may be in another network now.
        resolver = dns.resolver.Resolver()
        # In a thread, as names of hosts are: so it is the same on each event loop.
        answer = await anyio.to_thread.run_sync(
            resolver.resolve, name, "SRV", abandon_on_cancel=True
        )
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
        raise ConnectionFailedError(
            f"{address.domain} names no servers: there are no SRV records {name}. Check the domain,"
            f" or write {address.scheme}://HOST."
        ) from error
    except (dns.exception.DNSException, OSError, UnicodeError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise ConnectionFailedError(
            f"The SRV records {name} cannot be looked up ({reason}). Check the domain and the"
            " network."
        ) from error
    if answer.rrset is None:
        raise AssertionError("an answer without records is an error")
    found = []
    for record in answer.rrset.processing_order():
        if not isinstance(record, SRV):
            continue
        host = record.target.to_text(omit_final_dot=True)
        if host != "." and record.port:  # a dot says that there is no such service
            found.append(replace(address, host=host.lower(), port=record.port))
    if not found:
        raise ConnectionFailedError(
            f"{address.domain} has no such servers: its SRV record {name} says so."
        )
    return found[:_MAX_SERVERS]


def name_to_certify(address: Address) -> str:
    """The name that the certificate of a server has to be for.

    That is its host's, but where a record names one: who can forge records must not be believed
    that a server of elsewhere is the domain's.
    """
    domain = address.domain.rstrip(".").lower()
    if not domain or address.host == domain or address.host.endswith(f".{domain}"):
        return address.host.partition("%")[0]  # without the zone of IPv6
    return domain
