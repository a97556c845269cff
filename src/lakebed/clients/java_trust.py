"""Whom a JVM of this process trusts: the public authorities, and those of servers that somebody else runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

# Java wants one; there is nothing secret in the store.
_PASSWORD = "changeit"  # noqa: S105


def trust_flags(ca_files: Sequence[Path], folder: Path) -> list[str]:
    """Return the flags with which a JVM trusts the authorities in `ca_files` beside the public ones.

    Without any files there are none: then it trusts what its own store says.

    Args:
        ca_files: certificates in PEM.
        folder: for the store that is made of them.

    Source: Java Secure Socket Extension (JSSE) Reference Guide, "Customizing JSSE".
    """
    if not ca_files:
        return []
    import certifi
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
    from cryptography.hazmat.primitives.serialization.pkcs12 import (
        PKCS12Certificate,
        serialize_java_truststore,
    )
    from cryptography.x509 import load_pem_x509_certificates

    files = [*ca_files, Path(certifi.where())]
    with warnings.catch_warnings():
        # An old authority has numbered its certificate 0.
        warnings.simplefilter("ignore")
        certificates = [one for file in files for one in load_pem_x509_certificates(file.read_bytes())]
    entries = [PKCS12Certificate(one, str(number).encode()) for number, one in enumerate(certificates)]
    store = folder / "trusted.p12"
    store.write_bytes(serialize_java_truststore(entries, BestAvailableEncryption(_PASSWORD.encode())))
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        f"-Djavax.net.ssl.trustStorePassword={_PASSWORD}",
    ]
