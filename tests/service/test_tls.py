# SPDX-License-Identifier: Apache-2.0
"""TLS: who shows a certificate that does not vouch for them is refused, and nothing is sent."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest

from tests.support.service import LiveService, require_extras

require_extras()

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2ecross.errors import BackendError
from e2ecross.relay import Relay
from e2ecross.service import HTTPBackend
from tests.relay.support import ANA, token
from tests.support.hostile_server import HostileServer, answer, says

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def certificate(
    folder: Path, name: x509.GeneralName = HERE, *, until: datetime.datetime = NOW + DAY
) -> tuple[str, str]:
    """A certificate that signs itself, and its key; both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 10 * DAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(files[0]), str(files[1])


def test_a_certificate_that_is_vouched_for(relay: Relay, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    with LiveService(relay, ssl_certfile=cert, ssl_keyfile=key) as service:
        assert service.url.startswith("https://")
        with HTTPBackend(service.url, ca_file=cert) as backend:
            assert backend.epochs(ANA, token(ANA)) == {0: 0}
            assert backend.epochs(ANA, token(ANA)) == {0: 0}


def test_no_secret_of_tls_is_written_where_a_variable_says(
    relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    with (
        LiveService(relay, ssl_certfile=cert, ssl_keyfile=key) as service,
        HTTPBackend(service.url, ca_file=cert) as backend,
    ):
        backend.epochs(ANA, token(ANA))
    assert not (tmp_path / "secrets").exists()


def refused(cert: str, key: str, ca_file: str | None) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    with HostileServer(says(answer(200)), context=context) as server:
        backend = HTTPBackend(server.url, ca_file=ca_file, timeout_ms=5_000)
        with backend, pytest.raises(BackendError, match="its certificate is not valid"):
            backend.epochs(ANA, token(ANA))
        assert server.requests == []


def test_one_that_nobody_vouches_for(tmp_path: Path) -> None:
    refused(*certificate(tmp_path), None)


def test_one_of_another_name(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, x509.DNSName("localhost"))
    refused(cert, key, cert)


def test_one_that_has_expired(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, until=NOW - DAY)
    refused(cert, key, cert)


def test_another_one(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, _ = certificate(tmp_path / "ours")
    refused(*certificate(tmp_path / "theirs"), ours)


def test_an_old_version(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with HostileServer(says(answer(200)), context=context) as server:
        backend = HTTPBackend(server.url, ca_file=cert, timeout_ms=5_000)
        with backend, pytest.raises(BackendError, match=r"through TLS|ended the connection"):
            backend.epochs(ANA, token(ANA))
        assert server.requests == []
