"""Packages that only some users need, and what to say where they are missing."""

from __future__ import annotations

import sys
from importlib.util import find_spec

PYJWT = "pyjwt[crypto]>=2.10"
SCRAMP = "scramp>=1.5"
COREDIS = "coredis>=6.9"
DNSPYTHON = "dnspython>=2.7"
PYTHON_SOCKS = "python-socks[anyio]>=3.2"
TRUSTME = "trustme>=1.2"
PROMETHEUS = "prometheus-client>=0.21"
# Those of formats of payloads, by their names.
PAYLOADS = {
    "cbor2": "cbor2>=5.9",
    "msgpack": "msgpack>=1.1",
    "protobuf": "protobuf>=6.30",
}


def how_to_install(requirement: str) -> str:
    """The command that brings a package to the Python that runs this.

    It names that Python: an environment may be without pip, and then `pip` is another one's. Where
    it is without, it names the Python that made it as well: once such an environment is activated,
    `python3` is its own, which has no pip.
    """
    import shlex  # few are told, and all load the names above

    python = sys.executable or "python3"
    if find_spec("pip") is not None:
        words = [python, "-m", "pip", "install", requirement]
    else:
        made_it = getattr(sys, "_base_executable", None) or python
        whose_pip = made_it if made_it != python else "python3"
        words = [whose_pip, "-m", "pip", "--python", python, "install", requirement]
    return shlex.join(words)


def scram_is_missing() -> str:
    """The sentence for a program that wants SCRAM without its package."""
    return f"SCRAM-SHA-256 needs the package scramp. To install it: {how_to_install(SCRAMP)}"


def records_are_missing() -> str:
    """The sentence for who has servers named by SRV records without their package."""
    return (
        "SRV records need the package dnspython, which the extra trio-mqtt[srv] brings."
        f" To install it: {how_to_install(DNSPYTHON)}"
    )


def proxies_are_missing() -> str:
    """The sentence for who connects through a proxy without its package."""
    return (
        "Proxies need the package python-socks, which the extra trio-mqtt[proxy] brings."
        f" To install it: {how_to_install(PYTHON_SOCKS)}"
    )


def payloads_are_missing(title: str, package: str) -> str:
    """The sentence for who has payloads of a format without its package."""
    return (
        f"{title} needs the package {package}, which the extra trio-mqtt[payloads] brings."
        f" To install it: {how_to_install(PAYLOADS[package])}"
    )


def certificates_are_missing() -> str:
    """The sentence for tests that want certificates without their package."""
    return (
        "Certificates for tests need the package trustme, which the extra trio-mqtt[testing]"
        f" brings. To install it: {how_to_install(TRUSTME)}"
    )


def tokens_are_missing() -> str:
    """The sentence for a program that wants JSON Web Tokens without their packages."""
    return (
        "JSON Web Tokens need the packages PyJWT and cryptography. To install them:"
        f" {how_to_install(PYJWT)}"
    )


def metrics_are_missing() -> str:
    """The sentence for who wants metrics without their package."""
    return (
        "Metrics need the package prometheus-client, which the extra trio-mqtt[metrics] brings."
        f" To install it: {how_to_install(PROMETHEUS)}"
    )


def web_is_missing() -> str:
    """The sentence for who wants the HTTP API without its packages."""
    return (
        "The HTTP API needs the packages starlette and hypercorn, which the extra trio-mqtt[web]"
        f" brings. To install them: {how_to_install('trio-mqtt[web]')}"
    )


def cluster_is_missing() -> str:
    """The sentence for who wants a cluster without its package."""
    return (
        "A cluster needs the package coredis, which the extra trio-mqtt[cluster] brings."
        f" To install it: {how_to_install(COREDIS)}"
    )
