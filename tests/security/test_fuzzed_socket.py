"""The supervisor's socket: whatever comes over it, the next client is answered."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies
from tests.security.strategies import DEEP, JSON, TEXTS, as_bytes, broken_text, damaged

from lakebed.config.settings import Settings
from lakebed.errors import LakebedError, StackFailed
from lakebed.stack.folders import StackFolder
from lakebed.stack.messages import MOST_BYTES, decoded, encoded, error_from_json
from lakebed.stack.supervisor import PROTOCOL, Supervisor, _Server

PATIENCE_SECONDS = 20.0
HELLO = {"protocol": PROTOCOL, "client": "a test", "lease": True, "tests": False, "keep": False}
REQUESTS: tuple[dict[str, Any], ...] = (
    {"request": "status"},
    {"request": "keep"},
    {"request": "attached"},
    {"request": "leave"},
    {"request": "plan", "services": ["kafka"], "ports": {"kafka": 9092}, "attach": {}},
    {"request": "begin", "services": ["kafka"], "ports": {}, "attach": {}},
    {"request": "start", "services": ["kafka"], "ports": {"kafka": 9092}, "attach": {"s3": {}}},
    {"request": "kill", "services": ["kafka"]},
    {"request": "connected", "service": "kafka", "client": "a test"},
    {"request": "promise", "what": "Spark", "memory_mb": 1},
    {"request": "record", "entries": [["topic", "orders"], ["folder", "/nowhere"]]},
    {"request": "remove", "entries": [["folder", "/nowhere/at/all"]]},
)
LINES = strategies.one_of(
    damaged(*REQUESTS).map(encoded),
    broken_text(*REQUESTS).map(lambda text: text + b"\n"),
    JSON.map(lambda value: as_bytes(value) + b"\n"),
    strategies.binary(max_size=40).map(lambda text: text + b"\n"),
    DEEP.map(lambda text: text + b"\n"),
)


class NothingStarts(Supervisor):
    """A supervisor that would start no server, whatever it is asked."""

    def __init__(self, folder: StackFolder) -> None:
        super().__init__(folder, Settings(), well_known_ports=False, keep=True)
        self.stack.ensure = self._nothing  # type: ignore[method-assign]

    @staticmethod
    def _nothing(names: Any, chosen_ports: Any) -> list[Future[None]]:
        raise StackFailed(f"start {sorted(names)} on {dict(chosen_ports)}", "nothing is started here")


@pytest.fixture(scope="module")
def talk() -> Iterator[Callable[[bytes], list[dict[str, Any]]]]:
    """Send bytes to a supervisor, and return all that it answers until it or the client hangs up."""
    # Short, because the path of a unix socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as parent:
        folder = StackFolder(Path(parent) / "up")
        folder.make()
        server = _Server(folder.socket, NothingStarts(folder), "0")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def talk(content: bytes) -> list[dict[str, Any]]:
            with closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.settimeout(PATIENCE_SECONDS)
                connection.connect(str(folder.socket))
                # Answers are read while requests are sent: neither end waits for the other's buffer.
                sender = threading.Thread(target=_send, args=(connection, content))
                sender.start()
                with connection.makefile("rb") as lines:
                    answers = [json.loads(line) for line in _until_reset(lines)]
                sender.join()
            return answers

        try:
            yield talk
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _send(connection: socket.socket, content: bytes) -> None:
    try:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
    except OSError:  # the supervisor has hung up already
        return


def _until_reset(lines: Any) -> Iterator[bytes]:
    try:
        yield from lines
    except ConnectionResetError:
        return


def _answers_others(talk: Callable[[bytes], list[dict[str, Any]]]) -> None:
    greeting, welcome, status = talk(encoded({**HELLO, "lease": False}) + encoded({"request": "status"}))
    assert greeting["protocol"] == PROTOCOL
    assert welcome == {"answer": {}}
    # Every lease has ended with its connection.
    assert status["answer"]["clients"] == []


@settings(max_examples=25)
@given(lines=strategies.lists(LINES, min_size=1, max_size=4))
def test_requests_may_be_anything(talk: Callable[[bytes], list[dict[str, Any]]], lines: list[bytes]) -> None:
    greeting, welcome, *answers = talk(encoded(HELLO) + b"".join(lines))
    assert (greeting["protocol"], welcome) == (PROTOCOL, {"answer": {}})
    for answer in answers:
        assert answer.keys() & {"answer", "error", "event"}
        if "error" in answer:
            assert isinstance(error_from_json(answer["error"]), LakebedError)
    _answers_others(talk)


@settings(max_examples=25)
@given(hello=strategies.one_of(damaged(HELLO).map(encoded), LINES, strategies.just(b"")))
def test_a_greeting_may_be_anything(talk: Callable[[bytes], list[dict[str, Any]]], hello: bytes) -> None:
    for answer in talk(hello):
        assert answer.keys() in ({"protocol", "version", "pid"}, {"answer"})
    _answers_others(talk)


@given(
    line=strategies.one_of(LINES, strategies.binary(), TEXTS.map(lambda text: text.encode(errors="replace")))
)
def test_a_line_is_a_message_or_refused(line: bytes) -> None:
    refused = ""
    try:
        message = decoded(line)
    except StackFailed as error:
        refused = error.seen
    # What came may have had a password in it.
    assert len(refused) < 100
    if refused:
        return
    assert json.loads(encoded(message)) == json.loads(encoded(decoded(encoded(message))))


@given(message=strategies.dictionaries(TEXTS, JSON, max_size=3))
def test_a_message_comes_back_as_it_was(message: dict[str, Any]) -> None:
    line = encoded(message)
    assert line.count(b"\n") == 1
    assert encoded(decoded(line)) == line


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(StackFailed, match=f"more than {MOST_BYTES} bytes"):
        decoded(b" " * (MOST_BYTES + 1))
