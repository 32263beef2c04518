"""Every test runs on both backends, in real time: over sockets of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transport.connectors.serving import AUTHORITY
from trio_mqtt import TlsOptions


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the authority that signs the servers' certificates."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def tls(ca: Path) -> TlsOptions:
    return TlsOptions(ca=ca)
