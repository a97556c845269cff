"""Who answers at an address: asked in the words of each protocol, with little time for each."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong

from lakebed.config.endpoints import Endpoint
from lakebed.errors import WrongAddress

# Together they leave an error its five seconds.
CONNECT_SECONDS = 1.5
ANSWER_SECONDS = 1.5
_PROBE_SECONDS = 0.4

POSTGRES, KAFKA, HTTP, TLS = "PostgreSQL", "Kafka", "HTTP", "TLS"
_SILENCE = "a server that answers to none of HTTP, TLS, Kafka and PostgreSQL"
_CORRELATION = 7
# ApiVersions, version 0: a broker answers it to anybody (Kafka protocol guide, "Api Versions").
KAFKA_QUESTION = struct.pack(">ihhih", 10, 18, 0, _CORRELATION, -1)
# PostgreSQL documentation, "Message Formats", SSLRequest.
_POSTGRES_QUESTION = struct.pack(">ii", 8, 80877103)


def wrong(service: str, endpoint: Endpoint, seen: str, remedy: str = "") -> WrongAddress:
    """Return the error for an address that is not what it should be."""
    return WrongAddress(
        f"use the attached {service} at {endpoint.address}",
        f"expected {endpoint.title}; seen: {seen}",
        remedy or f"correct attach.{service}: {endpoint.short_form}",
    )


def unreachable(host: str, port: int) -> str | None:
    """Return why no connection can be made, None if one can."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        # A name server that does not answer would hold up everything.
        pool.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM).result(CONNECT_SECONDS)
    except socket.gaierror as error:
        return f"the name {host!r} is not known ({error.strerror})"
    except TookTooLong:
        return f"no name server answers for {host!r} in {CONNECT_SECONDS:g} s"
    finally:
        pool.shutdown(wait=False)
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except TimeoutError:
        return f"{host}:{port} does not answer in {CONNECT_SECONDS:g} s: no route, or a firewall"
    except ConnectionRefusedError:
        return f"{host}:{port} refuses the connection: nothing listens there"
    except OSError as error:
        return f"{host}:{port} cannot be reached: {error.strerror or error}"
    return None


def refuse_unreachable(service: str, endpoint: Endpoint) -> None:
    """Refuse an address of which no server can be reached.

    Raises:
        WrongAddress: with the reason for each.
    """
    servers = endpoint.servers()
    with ThreadPoolExecutor(max_workers=len(servers)) as pool:
        reasons = list(pool.map(lambda one: unreachable(*one), servers))
    if all(reasons):
        seen = "; ".join(str(reason) for reason in reasons)
        raise wrong(service, endpoint, seen, "see whether it runs, and whether its address is right")


def what_answers(host: str, port: int) -> str:
    """Return what answers on a port, in words: "PostgreSQL", "HTTP (nginx)", "TLS"."""
    if _ask(host, port, _POSTGRES_QUESTION, 1) in (b"S", b"N"):
        return POSTGRES
    answer = _ask(host, port, KAFKA_QUESTION, 8)
    if is_kafka(answer):
        return KAFKA
    if _speaks_tls(host, port):
        return TLS
    question = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    answer = _ask(host, port, question, 2048)
    if answer.startswith(b"HTTP/"):
        headers = answer.decode("latin-1").split("\r\n\r\n", 1)[0].splitlines()
        server = next((line[7:].strip() for line in headers if line.lower().startswith("server:")), "")
        return f"{HTTP} ({server})" if server else HTTP
    return _SILENCE


def is_kafka(answer: bytes) -> bool:
    """Whether this is how a broker begins its answer to `KAFKA_QUESTION`."""
    return len(answer) == 8 and answer[4:] == struct.pack(">i", _CORRELATION)


def _ask(host: str, port: int, question: bytes, count: int) -> bytes:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, port), timeout=_PROBE_SECONDS) as connection,
    ):
        connection.sendall(question)
        return connection.recv(count)
    return b""


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=_PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        # It answered, in that protocol, that it wants a certificate of the client or another version.
        return "ALERT" in str(error.reason or "")
    except OSError:
        return False
