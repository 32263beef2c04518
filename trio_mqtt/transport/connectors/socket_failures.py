"""Why there is no connection by TCP or through a Unix socket, in sentences."""

from __future__ import annotations

import socket

from trio_mqtt.errors import ConnectionFailedError
from trio_mqtt.transport.urls import Address

# Seconds that one of a host's addresses gets before the next is tried as well (RFC 8305 §5).
HEAD_START = 0.25
RETRY = 0.02  # seconds until a Unix socket whose queue is full is tried again


class NoOriginError(ConnectionFailedError):
    """There is no way from the address that the program chose to connect from."""


class CannotBindError(OSError):
    """A socket could not be bound to an address of this machine, its `filename`."""


def bind(sock: socket.socket, origin: tuple[str, int]) -> None:
    """Have a socket connect from there. Raises CannotBindError."""
    try:
        sock.bind(origin)
    except OSError as error:
        raise CannotBindError(error.errno, error.strerror, origin[0]) from error


def unknown_host(address: Address, error: OSError | UnicodeError) -> ConnectionFailedError:
    """Its name says nothing to this machine."""
    return ConnectionFailedError(
        f"The host {address.host!r} of {address.url} cannot be found ({_reason(error)}). "
        "Check the name and the network."
    )


def unknown_origin(
    address: Address, bind_address: str, error: OSError | UnicodeError
) -> NoOriginError:
    """The address to connect from says nothing to this machine."""
    return NoOriginError(
        f"{bind_address!r}, from where to connect to {address.url}, cannot be found"
        f" ({_reason(error)}). It is an address or a name of this machine."
    )


def no_way_from(address: Address, bind_address: str) -> NoOriginError:
    """One end has only IPv4, the other only IPv6."""
    return NoOriginError(
        f"{address.url} cannot be reached from {bind_address}: one of them is an address of IPv4,"
        " the other of IPv6."
    )


def unreachable(address: Address, failures: list[OSError]) -> ConnectionFailedError:
    """None of a host's addresses could be connected to; its cause is the failure that it tells."""
    # Where only one family of addresses cannot be bound to, the other tells what is wrong.
    tried = [error for error in failures if not isinstance(error, CannotBindError)]
    refused = [error for error in tried if isinstance(error, ConnectionRefusedError)]
    cause = [*refused, *tried, *failures][0]
    found: ConnectionFailedError
    if isinstance(cause, CannotBindError):
        found = NoOriginError(
            f"{address.url} cannot be connected to from {cause.filename} ({_reason(cause)})."
            " Is that an address of this machine?"
        )
    elif refused:
        found = ConnectionFailedError(
            f"Nothing answers at {address.url} (connection refused). "
            "Is the broker running, and is the port right?"
        )
    else:
        reasons = "; ".join(dict.fromkeys(map(_reason, tried)))
        found = ConnectionFailedError(
            f"{address.url} cannot be reached ({reasons}). Check the address and the network."
        )
    found.__cause__ = cause
    return found


def no_unix_sockets(address: Address) -> ConnectionFailedError:
    """The system has none at all."""
    return ConnectionFailedError(
        f"This system has no Unix sockets, so {address.url} cannot be reached. Use mqtt://."
    )


def no_unix_socket(address: Address, error: OSError) -> ConnectionFailedError:
    """The socket of a path could not be connected to."""
    return ConnectionFailedError(_unix_sentence(address, error))


def _unix_sentence(address: Address, error: OSError) -> str:
    path = address.path
    if isinstance(error, FileNotFoundError):
        return f"There is no socket at {path}. Is the broker running, and is the path right?"
    if isinstance(error, ConnectionRefusedError):
        return f"No broker listens at {path} any more (connection refused). Start it again."
    if isinstance(error, PermissionError):
        return f"This user may not connect to the socket at {path}. Ask its owner for access."
    return f"{path} cannot be connected to ({_reason(error)}). Check the path."


def _reason(error: OSError | UnicodeError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
