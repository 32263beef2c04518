"""A broker that is asked by HTTPS: which certificate is accepted, and what is said otherwise."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import trustme

from tests.cli.administering.conftest import TOKEN
from tests.cli.programs import Program, Run

pytestmark = pytest.mark.slow


@contextmanager
def answering_with(certificate: trustme.LeafCert) -> Iterator[str]:
    """Something that speaks HTTPS with a certificate, as a URL in the clear."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(60)


def test_the_authority_of_https_may_be_ones_own(
    tmp_path: Path, in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate, ca_file = tmp_path / "server.pem", tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(ca_file))
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    file = tmp_path / "broker.toml"
    file.write_text(
        f'[web]\nlisten = "127.0.0.1:0"\ncertificate = "{certificate}"\n'
        f'[web.tokens.test]\ntoken = "{TOKEN}"\nrole = "see"\n'
    )
    for one in (certificate, file):
        one.chmod(0o600)
    with Program("broker", "mqtt://127.0.0.1:0", "--config", str(file)) as broker:
        api = broker.out.expect(r"with the API at (https://\S+)/api/v1\.\n")[1]
        asked = ("clients", "--api", api, "--api-token-file", str(token_file))
        unknown = in_process(*asked)
        assert unknown.code == 1
        assert (
            "is not accepted: unable to get local issuer certificate. If you trust" in unknown.err
        )
        assert in_process(*asked, "--api-cafile", str(ca_file)).code == 0
        monkeypatch.setenv("TMQTT_API_CAFILE", str(ca_file))
        assert in_process(*asked).code == 0
        for wrong in (tmp_path / "none.pem", token_file):
            refused = in_process(*asked, "--api-cafile", str(wrong))
            assert refused.code == 1
            assert refused.err.startswith(f"Error: The authorities in {wrong} cannot be read: ")
        assert broker.stop() == 0


def test_https_where_there_is_none_is_told(running: tuple[str, str], in_process: Run) -> None:
    api, _ = running
    refused = in_process("clients", "--api", api.replace("http://", "https://"))
    assert refused.code == 1
    assert refused.err.startswith("Error: There is no TLS with what answers at https://127.0.0.1:")
    assert refused.err.endswith(f": is it {api}?\n")


@pytest.mark.parametrize(
    ("host", "until", "told"),
    [
        ("127.0.0.1", dt.datetime(2020, 1, 2), "certificate has expired. It is to be renew"),
        ("127.0.0.9", None, "is not valid for '127.0.0.1'. Write the host in --api as the cert"),
    ],
    ids=["expired", "of another host"],
)
def test_what_is_wrong_with_a_certificate_is_said_to_be_that(
    tmp_path: Path, in_process: Run, host: str, until: dt.datetime | None, told: str
) -> None:
    authority, ca_file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    certificate = authority.issue_cert(host, not_before=dt.datetime(2020, 1, 1), not_after=until)
    with answering_with(certificate) as url:
        api = url.replace("http://", "https://")
        refused = in_process("clients", "--api", api, "--api-cafile", str(ca_file))
        assert refused.code == 1
        assert told in refused.err
        assert "--api-cafile" not in refused.err
        clear = in_process("clients", "--api", url)
    assert (clear.code, clear.err) == (1, f"Error: HTTPS is spoken at {url}: is it {api}?\n")
