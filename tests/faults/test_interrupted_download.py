"""Ctrl-C while files are downloaded, once and twice: a short message; the next run goes on where it ended."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent

import pytest

from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.download import cached_path
from lakebed.provision.lock import artifacts_of
from lakebed.waiting import wait_until

TIMES = pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
# PostgreSQL is one file of 15 MB.
(ARCHIVE,) = artifacts_of(["postgres"])


@dataclass
class Mirror:
    """A repository that has everything, and can hold back the second half of each file."""

    address: str = ""
    holds_back: bool = True
    release: threading.Event = field(default_factory=threading.Event)
    ranges: list[str] = field(default_factory=list)


class Handler(SimpleHTTPRequestHandler):
    """Serves the cache of this machine."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, mirror: Mirror, **more: object) -> None:
        self.mirror = mirror
        super().__init__(*arguments, **more)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output free of access lines."""

    def do_GET(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        asked = self.headers.get("Range", "")
        self.mirror.ranges.append(asked)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - first))
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.mirror.holds_back:
            self.wfile.write(content[first : len(content) // 2])
            self.wfile.flush()
            self.mirror.release.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(content[first:])


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """The mirror; what it serves is what this machine's cache holds."""
    held = Mirror()
    archive = cached_path(ARCHIVE, cache_folder(load_settings().cache_folder))
    root = str(archive).removesuffix(ARCHIVE.repository_path)
    handler = functools.partial(Handler, mirror=held, directory=root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield held
    held.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(
    tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]], mirror: Mirror
) -> dict[str, str]:
    """Of a child with an empty cache that asks the mirror."""
    # PostgreSQL's user must be able to pass through.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    return child_environment(stacks) | {
        "LAKEBED_CACHE": str(tmp_path / "cache"),
        "LAKEBED_MAVEN_MIRROR": mirror.address,
    }


def interrupt(command: list[str], environment: dict[str, str], folder: Path, times: int) -> tuple[int, str]:
    """Run a command, send Ctrl-C when half the file is there, and return its exit code and output."""
    output = folder / "output"
    part = cached_path(ARCHIVE, folder / "cache").with_name(f"{ARCHIVE.file_name}.part")
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
        )
    with process:
        try:
            wait_until(
                lambda: part.exists() and part.stat().st_size > ARCHIVE.size // 2 - 2**20,
                "half the file to be there",
                deadline_seconds=30,
                explain=output.read_text,
            )
            for _ in range(times):
                process.send_signal(signal.SIGINT)
            code = process.wait(timeout=30)
        finally:
            process.kill()
    return code, output.read_text()


def goes_on(environment: dict[str, str], folder: Path, mirror: Mirror) -> None:
    """The next run asks for the rest alone, and then all is there."""
    mirror.holds_back = False
    before = len(mirror.ranges)
    command = [sys.executable, "-m", "lakebed", "prefetch", "postgres"]
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=60)
    (asked,) = mirror.ranges[before:]
    assert int(asked.removeprefix("bytes=").rstrip("-")) > 0
    assert list(folder.glob("cache/**/*.part")) == []
    assert cached_path(ARCHIVE, folder / "cache").stat().st_size == ARCHIVE.size


@TIMES
def test_prefetch(environment: dict[str, str], tmp_path: Path, mirror: Mirror, times: int) -> None:
    command = [sys.executable, "-m", "lakebed", "prefetch", "postgres"]
    code, said = interrupt(command, environment, tmp_path, times)
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in said
    goes_on(environment, tmp_path, mirror)


@TIMES
def test_a_run_of_tests(
    environment: dict[str, str], tmp_path: Path, mirror: Mirror, stacks: Path, times: int
) -> None:
    tests = """
        def test_it(postgres_connection): ...
    """
    (tmp_path / "test_inner.py").write_text(dedent(tests))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"]
    code, said = interrupt(command, environment, tmp_path, times)
    assert code in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT)
    assert "INTERNALERROR" not in said
    wait_until(lambda: list(stacks.glob("*")) == [], "the stack to be gone", deadline_seconds=30)
    assert os.listdir(tmp_path / "cache") != []
    goes_on(environment, tmp_path, mirror)
