"""The network itself, seen from its host `tests`; run by `test_network.py` in a world without servers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest
from tests.hosts_apart.network import HOSTS, cut, late, on, run, slow

from lakebed.waiting import wait_until

PORT = 7
_ECHO = """
import socketserver, sys

class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)

with socketserver.ThreadingTCPServer((sys.argv[1], int(sys.argv[2])), Echo) as server:
    print("listens", flush=True)
    server.serve_forever()
"""


@contextmanager
def echo_on(host: str) -> Iterator[None]:
    """Run a server on a host that sends back what it gets."""
    command = [*on(host), sys.executable, "-c", _ECHO, HOSTS[host].address, str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listens\n"
            yield
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def echo() -> Iterator[None]:
    """Such a server on two hosts."""
    with echo_on("database"), echo_on("lake"):
        yield


def connect_to(host: str, seconds: float = 5.0) -> closing[socket.socket]:
    """Connect to the server of a host."""
    return closing(socket.create_connection((HOSTS[host].address, PORT), timeout=seconds))


def sent_back(connection: socket.socket, data: bytes) -> float:
    """Send data, and return after how many seconds all of it is back."""
    started = time.monotonic()
    connection.sendall(data)
    left = len(data)
    while left:
        left -= len(connection.recv(left))
    return time.monotonic() - started


def test_each_host_has_its_own_loopback_and_an_address_that_others_reach() -> None:
    with connect_to("database") as connection:
        assert connection.getsockname()[0] == HOSTS["tests"].address
        assert sent_back(connection, b"there") < 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORT), timeout=5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOSTS["broker"].address, PORT), timeout=5)


def test_a_cut_is_silent_and_what_was_sent_meanwhile_arrives_after_it() -> None:
    with connect_to("database") as connection, connect_to("lake") as other:
        sent_back(connection, b"before")
        with cut("tests", "database"):
            connection.sendall(b"lost")
            connection.settimeout(1)
            with pytest.raises(TimeoutError):
                connection.recv(4)
            with pytest.raises(TimeoutError):
                connect_to("database", seconds=1)
            # No other pair of hosts is cut.
            assert sent_back(other, b"there") < 1
        connection.settimeout(10)
        assert connection.recv(4) == b"lost"
        assert sent_back(connection, b"after") < 1


@pytest.mark.parametrize("seconds", [0.03, 0.2])
def test_a_late_packet_is_late_each_way_and_no_other(seconds: float) -> None:
    with connect_to("database") as connection, connect_to("lake") as other:
        with late("tests", "database", seconds):
            took = [sent_back(connection, b"there and back") for _ in range(5)]
            assert 2 * seconds <= min(took) < 2 * seconds + 0.05
            assert sent_back(other, b"there and back") < seconds
            # In order, and all of it.
            assert sent_back(connection, bytes(500_000)) >= 2 * seconds
        assert sent_back(connection, b"there and back") < seconds


def test_a_slow_link_lets_no_more_through_than_its_rate() -> None:
    size, kilobits_per_second = 200_000, 800
    with connect_to("database") as connection:
        quick = sent_back(connection, bytes(size))
        with slow("database", kilobits_per_second):
            took = sent_back(connection, bytes(size))
        # What is in the bucket goes at once.
        assert took > 0.8 * (size * 8 / 1000 / kilobits_per_second) > quick


@pytest.mark.parametrize(
    "condition",
    [
        lambda: cut("tests", "database"),
        lambda: late("tests", "database", 0.1),
        lambda: slow("database", 1000),
    ],
)
def test_nothing_is_left_after_it(condition: Callable[[], AbstractContextManager[None]]) -> None:
    def state() -> str:
        router = ("nsenter", "--net=/proc/1/ns/net")
        asked = [("ip", "rule"), ("ip", "-oneline", "link"), ("ip", "route", "show", "table", "all")]
        told = [run(*router, *one) for one in asked]
        told += [run(*where, "tc", "qdisc") for where in (router, on("database"))]
        # The kernel numbers what it makes.
        return "\n".join(told)

    before = state()
    with condition():
        assert state() != before
    wait_until(
        lambda: state() == before, "the network to be as before", deadline_seconds=5, explain=lambda: state()
    )
