"""Certificates of an authority of their own, and a gate that lets in only whoever proves who he is."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_NOT_HANDED_ON = ("transfer-encoding", "content-encoding", "content-length", "connection")


@dataclass(frozen=True)
class Certificates:
    """Files in PEM.

    Attributes:
        ca: of the authority.
        certificate: of a server on loopback, or of the client "tester".
        key: of that, without a password.
        both: key and certificate in one file.
    """

    ca: Path
    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates that nobody trusts who was not told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = _new_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of the tests")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._own = self._signed(self._name, self._key, constraints, [])
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def _signed(
        self,
        subject: x509.Name,
        key: rsa.RSAPrivateKey,
        constraints: x509.BasicConstraints,
        names: list[x509.GeneralName],
    ) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, name: str) -> Certificates:
        """Return a certificate for loopback with this common name."""
        key = _new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [
            x509.IPAddress(ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
        ]
        certificate = self._signed(subject, key, x509.BasicConstraints(ca=False, path_length=None), names)
        files = [self._folder / f"{name}.{part}.pem" for part in ("certificate", "key", "both")]
        told = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for file, content in zip(files, (told, secret, secret + told), strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)
        return Certificates(self.ca, *files)


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def gate(target: str, authorization: str, certificates: Certificates | None = None) -> Iterator[str]:
    """Open a gate in front of a server, as a company's gateway is one, and yield its URL.

    Args:
        target: URL of the server.
        authorization: the header without which it answers 401.
        certificates: for https; without them it speaks HTTP.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != authorization:
                self._answer(401, {"Content-Type": "text/plain"}, b"who are you?")
                return
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in _NOT_HANDED_ON
            }
            del headers["Authorization"]
            answer = client.request(self.command, f"{target}{self.path}", headers=headers, content=body)
            told = {name: value for name, value in answer.headers.items() if name not in _NOT_HANDED_ON}
            self._answer(answer.status_code, told, answer.content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _pass_on

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with (
        httpx.Client(trust_env=False, timeout=60) as client,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        if certificates is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificates.certificate, certificates.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "http" if certificates is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
