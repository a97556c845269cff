"""Downloads from a repository that behaves badly, unpacking, and class data on a real JVM.

The repository is an HTTP server of this process; each file of it has one way to behave.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import pytest
from rich.console import Console

from lakebed.errors import CorruptDownload, DownloadFailed, LakebedError
from lakebed.provision.class_data import adopt, class_data_for, ensure_base_archive
from lakebed.provision.download import cached_path, fetch
from lakebed.provision.java import java_executable, java_home, java_version
from lakebed.provision.lock import Artifact
from lakebed.provision.progress import RichProgress
from lakebed.provision.provide import provide
from lakebed.provision.unpack import UnsafeArchive, is_unpacked, unpack_postgres, unpack_tar
from lakebed.waiting import wait_until

SIZE = 600_000


@dataclass
class Repository:
    """What the server serves, how, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    credentials: set[str] = field(default_factory=set)
    release: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def add(self, name: str, *behaviours: str, size: int = SIZE) -> Artifact:
        """Publish a file of made-up bytes; each request takes the next behaviour, then "good"."""
        content = hashlib.shake_256(name.encode()).digest(size)
        artifact = Artifact("org.example", name, "1", sha256=hashlib.sha256(content).hexdigest(), size=size)
        self.files[artifact.repository_path] = content
        self.behaviours[artifact.repository_path] = list(behaviours)
        return artifact

    def ranges(self, artifact: Artifact) -> list[str]:
        """The Range headers of the requests for a file, in order; empty where there was none."""
        return [asked for _, path, asked in self.requests if path == artifact.repository_path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repository: Repository

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output free of access lines."""

    def do_GET(self) -> None:
        path = self.path.removeprefix("/maven/")
        asked = self.headers.get("Range", "")
        self.repository.requests.append((self.command, path, asked))
        self.repository.credentials.add(self.headers.get("Authorization", ""))
        content = self.repository.files.get(path)
        if content is None:
            self._answer(404, b"")
            return
        waiting = self.repository.behaviours[path]
        behaviour = waiting.pop(0) if waiting else "good"
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if behaviour == "busy":
            self._answer(503, b"")
        elif behaviour == "corrupt":
            self._answer(200, bytes(len(content)))
        elif behaviour == "truncated":
            self._answer(200, content[: len(content) // 2])
        elif behaviour == "too long":
            self._answer(200, content + b"and more")
        elif behaviour == "no range" or not asked:
            self._answer(200, content, behaviour)
        elif behaviour == "wrong range":
            self._answer(206, content, first=7, whole=len(content))
        else:
            self._answer(206, content[first:], behaviour, first=first, whole=len(content))

    def _answer(
        self, status: int, body: bytes, behaviour: str = "good", first: int = 0, whole: int = 0
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        self.end_headers()
        if behaviour == "dies":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        if behaviour == "stalls":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.repository.release.wait(60)
            self.close_connection = True
            return
        self.wfile.write(body)


@pytest.fixture
def repository() -> Iterator[Repository]:
    served = Repository()
    handler = type("Handler", (Handler,), {"repository": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.address = f"http://127.0.0.1:{server.server_address[1]}/maven"
    yield served
    served.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Recorded:
    """A progress that remembers."""

    totals: list[tuple[int, int]] = field(default_factory=list)
    advanced: int = 0
    ended: int = 0

    def start(self, total_bytes: int, files: int) -> None:
        self.totals.append((total_bytes, files))

    def advance(self, bytes: int) -> None:
        self.advanced += bytes

    def named(self, text: str) -> None:
        assert text

    def done(self) -> None:
        self.ended += 1


def content_of(artifact: Artifact, cache: Path) -> str:
    return hashlib.sha256(cached_path(artifact, cache).read_bytes()).hexdigest()


def parts_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*.part"))


def test_files_are_downloaded_checked_and_then_need_no_network(
    repository: Repository, tmp_path: Path
) -> None:
    artifacts = [repository.add(f"lib{number}", size=10_000 + number) for number in range(30)]
    progress = Recorded()
    paths = fetch(artifacts, tmp_path, mirror=repository.address + "/", progress=progress)
    assert [content_of(artifact, tmp_path) for artifact in artifacts] == [a.sha256 for a in artifacts]
    total = sum(artifact.size for artifact in artifacts)
    assert (progress.totals, progress.advanced, progress.ended) == ([(total, 30)], total, 1)
    assert parts_in(tmp_path) == []

    asked = len(repository.requests)
    silent = Recorded()
    nowhere = "http://127.0.0.1:9"
    assert fetch(artifacts, tmp_path, mirror=nowhere, progress=silent) == paths
    assert len(repository.requests) == asked
    assert (silent.totals, silent.ended) == ([], 0)


@pytest.mark.parametrize("behaviour", ["dies", "no range", "wrong range", "busy"])
def test_a_part_is_resumed(behaviour: str, repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("big", *([behaviour] if behaviour != "no range" else ["no range"]))
    part = cached_path(artifact, tmp_path).with_name("big-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(repository.files[artifact.repository_path][:1000])
    progress = Recorded()
    fetch([artifact], tmp_path, mirror=repository.address, progress=progress)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert progress.advanced == artifact.size
    assert repository.ranges(artifact)[0] == "bytes=1000-"
    expected = {
        "dies": ["bytes=1000-", f"bytes={1000 + (SIZE - 1000) // 2}-"],
        "no range": ["bytes=1000-"],
        "wrong range": ["bytes=1000-", ""],
        "busy": ["bytes=1000-", "bytes=1000-"],
    }
    assert repository.ranges(artifact) == expected[behaviour]


def test_a_server_that_dies_many_times_mid_way_is_resumed_while_bytes_come(
    repository: Repository, tmp_path: Path
) -> None:
    artifact = repository.add("big", *["dies"] * 7)
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert len(repository.ranges(artifact)) == 8


def test_a_part_of_another_file_is_thrown_away(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("big")
    part = cached_path(artifact, tmp_path).with_name("big-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    progress = Recorded()
    fetch([artifact], tmp_path, mirror=repository.address, progress=progress)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert repository.ranges(artifact) == ["bytes=1000-", ""]
    assert progress.advanced == artifact.size


@pytest.mark.parametrize("size", [SIZE, SIZE + 5])
def test_a_whole_or_too_long_part_of_another_file_is_thrown_away(
    size: int, repository: Repository, tmp_path: Path
) -> None:
    artifact = repository.add("big")
    part = cached_path(artifact, tmp_path).with_name("big-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * size)
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert repository.ranges(artifact) == [""]


def test_a_corrupt_download_is_tried_once_more(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("big", "corrupt")
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256


def test_a_file_that_stays_corrupt_is_named_with_both_hashes(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("big", "corrupt", "corrupt")
    with pytest.raises(CorruptDownload) as raised:
        fetch([artifact], tmp_path, mirror=repository.address)
    text = str(raised.value)
    assert "org.example:big:1" in text
    assert artifact.sha256 in text
    assert hashlib.sha256(bytes(SIZE)).hexdigest() in text
    assert not cached_path(artifact, tmp_path).exists()
    assert parts_in(tmp_path) == []


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("truncated", f"truncated: {SIZE // 2} bytes"), ("too long", "longer than")]
)
def test_a_file_of_a_wrong_size_is_named(
    behaviour: str, reason: str, repository: Repository, tmp_path: Path
) -> None:
    artifact = repository.add("big", behaviour)
    with pytest.raises(CorruptDownload, match=r"org\.example:big:1") as raised:
        fetch([artifact], tmp_path, mirror=repository.address)
    assert reason in raised.value.seen
    assert str(SIZE) in raised.value.seen
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256


@pytest.mark.parametrize("damage", [b"", b"x" * 10, b"x" * SIZE])
def test_a_damaged_file_in_the_cache_is_named_and_fetched_again(
    damage: bytes, repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    artifact, other = repository.add("big"), repository.add("other")
    fetch([artifact, other], tmp_path, mirror=repository.address)
    cached_path(artifact, tmp_path).write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        fetch([artifact, other], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert len(repository.ranges(artifact)) == 2
    assert len(repository.ranges(other)) == 1
    assert "big-1.jar" in caplog.text
    assert "other-1.jar" not in caplog.text


def test_a_file_the_repository_lacks_is_named(repository: Repository, tmp_path: Path) -> None:
    absent = Artifact("org.example", "absent", "1", sha256="0" * 64, size=10)
    with pytest.raises(DownloadFailed, match=r"org\.example:absent:1") as raised:
        fetch([absent], tmp_path, mirror=repository.address)
    assert "HTTP 404" in raised.value.seen
    assert "LAKEBED_MAVEN_MIRROR" in raised.value.remedy
    assert len(repository.requests) == 1


def test_without_network_the_missing_files_and_the_remedy_are_named(
    repository: Repository, tmp_path: Path
) -> None:
    here, gone = repository.add("here"), repository.add("gone", size=1_500_000)
    fetch([here], tmp_path, mirror=repository.address)
    progress = Recorded()
    with pytest.raises(DownloadFailed) as raised:
        fetch([here, gone], tmp_path, mirror="http://user:hidden-word@127.0.0.1:9/maven", progress=progress)
    text = str(raised.value)
    assert "gone-1.jar" in text
    assert "1500000 bytes" in text
    assert "here-1.jar" not in text
    assert "lakebed prefetch" in text
    assert "LAKEBED_MAVEN_MIRROR" in text
    assert "hidden-word" not in text
    assert progress.ended == 1


def test_a_mirror_gets_its_credentials(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("big")
    fetch([artifact], tmp_path, mirror=repository.address.replace("//", "//me:secret@"))
    assert repository.credentials == {"Basic bWU6c2VjcmV0"}


def _fetch_in_child(artifacts: list[Artifact], cache: Path, mirror: str) -> None:
    fetch(artifacts, cache, mirror=mirror)


def test_processes_share_one_cache(repository: Repository, tmp_path: Path) -> None:
    artifacts = [repository.add(f"lib{number}") for number in range(12)]
    spawn = multiprocessing.get_context("spawn")
    children = [
        spawn.Process(target=_fetch_in_child, args=(artifacts, tmp_path, repository.address))
        for _ in range(3)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert [content_of(artifact, tmp_path) for artifact in artifacts] == [a.sha256 for a in artifacts]
    assert sorted(path for _, path, _ in repository.requests) == sorted(a.repository_path for a in artifacts)
    assert parts_in(tmp_path) == []


def test_a_file_completed_just_before_its_part_was_opened_is_not_downloaded_again(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = repository.add("lib")
    lock = fcntl.flock

    def lock_late(part: IO[bytes], operation: int) -> None:
        cached_path(artifact, tmp_path).write_bytes(repository.files[artifact.repository_path])
        lock(part, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert repository.requests == []
    assert parts_in(tmp_path) == []


_INTERRUPTED = """
import signal, sys
# Where the tests run in the background, Python would ignore it as its parent does.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from lakebed.provision.download import fetch
from lakebed.provision.lock import Artifact
fetch([Artifact("org.example", "big", "1", sha256=sys.argv[1], size=int(sys.argv[2]))], Path(sys.argv[3]),
      mirror=sys.argv[4])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_is_resumed_by_the_next_one(
    number: signal.Signals, repository: Repository, tmp_path: Path
) -> None:
    artifact = repository.add("big", "stalls")
    child = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED, artifact.sha256, str(SIZE), str(tmp_path), repository.address],
        stderr=subprocess.PIPE,
    )
    part = cached_path(artifact, tmp_path).with_name("big-1.jar.part")
    try:
        wait_until(
            lambda: part.exists() and part.stat().st_size == SIZE // 2, "half of it", deadline_seconds=30
        )
        child.send_signal(number)
        repository.release.set()
        child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode != 0
    assert part.stat().st_size == SIZE // 2
    fetch([artifact], tmp_path, mirror=repository.address)
    assert content_of(artifact, tmp_path) == artifact.sha256
    assert repository.ranges(artifact)[-1] == f"bytes={SIZE // 2}-"


def test_progress_writes_lines_where_there_is_no_terminal(repository: Repository, tmp_path: Path) -> None:
    text = io.StringIO()
    progress = RichProgress(Console(file=text))
    artifact = repository.add("big")
    fetch([artifact], tmp_path, mirror=repository.address, progress=progress)
    assert text.getvalue().splitlines() == [
        "lakebed: downloading 1 files, 0.6 MB",
        "lakebed: downloaded 0.6 MB",
    ]
    fetch([artifact], tmp_path, mirror=repository.address, progress=progress)
    assert len(text.getvalue().splitlines()) == 2


def test_progress_draws_a_bar_on_a_terminal(repository: Repository, tmp_path: Path) -> None:
    text = io.StringIO()
    progress = RichProgress(Console(file=text, force_terminal=True, width=100))
    fetch([repository.add("big")], tmp_path, mirror=repository.address, progress=progress)
    assert "\x1b[" in text.getvalue()
    assert "downloaded 0.6 MB" in text.getvalue()


# Archives


def _tar(path: Path, *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def _member(
    name: str, *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    member.mode = mode
    member.size = 3 if kind == tarfile.REGTYPE else 0
    return member


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    archive = _tar(
        tmp_path / "a.tar.gz",
        _member("bin/run", mode=0o755),
        _member("lib/real.so.1"),
        _member("lib/real.so", kind=tarfile.SYMTYPE, link="real.so.1"),
        _member("run", kind=tarfile.SYMTYPE, link="bin/../bin/run"),
    )
    into = tmp_path / "cache" / "a-1"
    assert not is_unpacked(into)
    assert unpack_tar(archive, into) == into
    assert os.access(into / "bin" / "run", os.X_OK)
    assert (into / "lib" / "real.so").read_bytes() == b"xxx"
    assert (into / "run").read_bytes() == b"xxx"
    archive.unlink()
    assert unpack_tar(archive, into) == into


def test_a_folder_that_is_not_complete_is_unpacked_again(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", _member("file"))
    into = tmp_path / "a-1"
    into.mkdir()
    (into / "rest-of-a-killed-run").touch()
    unpack_tar(archive, into)
    assert sorted(path.name for path in into.iterdir()) == [".lakebed-complete", "file"]


def test_many_unpack_the_same_archive_at_once(tmp_path: Path) -> None:
    archive = _tar(tmp_path / "a.tar.gz", *[_member(f"file{number}") for number in range(200)])
    into = tmp_path / "a-1"
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: unpack_tar(archive, into), range(8))) == {into}
    assert len(list(into.iterdir())) == 201
    assert list((tmp_path / ".unpacking").iterdir()) == []


@pytest.mark.parametrize(
    "member",
    [
        _member("/tmp/outside"),
        _member("../outside"),
        _member("a/../../outside"),
        _member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        _member("a/link", kind=tarfile.SYMTYPE, link="../../outside"),
        _member("hard", kind=tarfile.LNKTYPE, link="../outside"),
        _member("device", kind=tarfile.CHRTYPE),
        _member("pipe", kind=tarfile.FIFOTYPE),
    ],
    ids=lambda member: member.name,
)
@pytest.mark.parametrize("filtered", [True, False])
def test_an_unsafe_archive_is_refused_whole(
    filtered: bool, member: tarfile.TarInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    archive = _tar(tmp_path / "a.tar.gz", _member("good"), member)
    into = tmp_path / "cache" / "a-1"
    with pytest.raises(UnsafeArchive) as raised:
        unpack_tar(archive, into)
    assert repr(member.name) in raised.value.seen
    assert not into.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "cache"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".unpacking"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b"])
def test_what_is_no_archive_is_named(content: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(LakebedError, match="cannot be read") as raised:
        unpack_tar(archive, tmp_path / "a-1")
    assert str(archive) in str(raised.value)


def test_the_archive_inside_a_postgres_jar_is_unpacked(tmp_path: Path) -> None:
    inner = _tar(tmp_path / "postgres-linux-x86_64.txz", _member("bin/initdb", mode=0o755), mode="w:xz")
    jar = tmp_path / "p.jar"
    with zipfile.ZipFile(jar, "w") as outer:
        outer.write(inner, inner.name)
        outer.writestr("META-INF/MANIFEST.MF", "")
    unpack_postgres(jar, tmp_path / "postgres-1")
    assert os.access(tmp_path / "postgres-1" / "bin" / "initdb", os.X_OK)


@pytest.mark.parametrize("names", [[], ["a.txz", "b.txz"]])
def test_a_jar_without_one_postgres_is_named(names: list[str], tmp_path: Path) -> None:
    jar = tmp_path / "p.jar"
    with zipfile.ZipFile(jar, "w") as outer:
        for name in names:
            outer.writestr(name, "")
    with pytest.raises(LakebedError, match=f"{len(names)} .txz archives instead of one"):
        unpack_postgres(jar, tmp_path / "postgres-1")


# Java


def test_java_runs_and_has_the_version_its_release_file_says() -> None:
    answer = subprocess.run(
        [str(java_executable()), "-version"], check=True, capture_output=True, text=True
    ).stderr
    assert f'"{java_version()}' in answer
    assert (java_home() / "lib").is_dir()


@pytest.fixture(scope="module")
def java_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("java-cache")


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "empty.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    return path


def _serve_until_sigterm(flags: list[str], class_path: Path, folder: Path) -> tuple[int, str, str]:
    """Run Java's own file server until it serves; return its exit code, its output and its class log."""
    log = folder / "classes.log"
    server = subprocess.Popen(
        [
            str(java_executable()),
            "-XX:+UseSerialGC",
            *flags,
            f"-Xlog:class+load:file={log}",
            *("-cp", str(class_path)),
            *("-m", "jdk.httpserver", "-b", "127.0.0.1", "-p", "0", "-d", str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        server.terminate()
        rest, _ = server.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    return server.returncode, first + rest, log.read_text()


FROM_BASE = "source: shared objects file\n"
FROM_DYNAMIC = "source: shared objects file (top)"


def test_the_base_archive_is_made_once_and_used(tmp_path: Path) -> None:
    told: list[str] = []
    base = ensure_base_archive(tmp_path, told.append)
    assert base is not None
    assert len(told) == 1
    assert ensure_base_archive(tmp_path, told.append) == base
    assert len(told) == 1
    # With -Xshare:on a JVM that cannot map the archive ends with an error.
    flags = ["-XX:+UseSerialGC", "-Xshare:on", f"-XX:SharedArchiveFile={base}", "-Xlog:class+load"]
    answer = subprocess.run(
        [str(java_executable()), *flags, "-version"], check=True, capture_output=True, text=True
    )
    assert answer.stdout.count(FROM_BASE) > 300


def test_many_make_the_base_archive_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        made = set(pool.map(lambda _: ensure_base_archive(tmp_path, lambda text: None), range(3)))
    assert made == set((tmp_path / "class-data").iterdir())
    assert len(made) == 1


def test_a_server_ended_by_sigterm_leaves_class_data_for_the_next_run(
    java_cache: Path, jar: Path, tmp_path: Path
) -> None:
    first = class_data_for("serves", [jar], java_cache, tmp_path)
    assert first.pending == tmp_path / "serves.jsa"
    code, output, classes = _serve_until_sigterm(first.flags, jar, tmp_path)
    assert code == 143
    assert FROM_DYNAMIC not in classes
    assert "[cds" not in output
    assert "[warning" not in output
    adopt(first)
    assert not first.pending.exists()

    second = class_data_for("serves", [jar], java_cache, tmp_path)
    assert second.pending is None
    code, output, classes = _serve_until_sigterm(second.flags, jar, tmp_path)
    assert code == 143
    assert classes.count(FROM_DYNAMIC) > 100
    assert "[cds" not in output
    adopt(second)

    # Another class path, another archive.
    os.utime(jar, ns=(1, 1))
    assert class_data_for("serves", [jar], java_cache, tmp_path).pending is not None


def test_a_server_killed_leaves_none_and_says_nothing(java_cache: Path, jar: Path, tmp_path: Path) -> None:
    data = class_data_for("killed", [jar], java_cache, tmp_path)
    before = sorted((java_cache / "class-data").iterdir())
    adopt(data)
    assert data.pending is not None
    data.pending.write_bytes(bytes(100))
    adopt(data)
    assert sorted((java_cache / "class-data").iterdir()) == before
    assert not data.pending.exists()


def test_class_data_of_versions_that_are_gone_is_removed(java_cache: Path, jar: Path, tmp_path: Path) -> None:
    data = class_data_for("newer", [jar], java_cache, tmp_path)
    assert data.pending is not None
    assert data.adopted is not None
    folder = data.adopted.parent
    base = next(folder.glob("java-*.jsa"))
    old, used, killed, making = (folder / name for name in ("a.jsa", "b.jsa", ".making-c", ".making-d"))
    for file in (old, used):
        file.touch()
    for half_made in (killed, making):
        half_made.mkdir()
    for path in (old, killed, base):
        os.utime(path, (0, 0))
    data.pending.write_bytes((0xF00BABA8).to_bytes(4, "little"))
    adopt(data)
    left = set(folder.iterdir())
    assert left >= {data.adopted, base, used, making}
    assert not left & {old, killed}


def test_without_room_for_class_data_servers_start_without(
    jar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "class-data").write_text("a file where the folder should be")
    assert ensure_base_archive(tmp_path, lambda text: None) is None
    data = class_data_for("serves", [jar], tmp_path, tmp_path)
    assert (data.flags, data.pending) == ([], None)
    adopt(data)


# All of it


def test_postgres_is_provided_ready_to_run(tmp_path: Path) -> None:
    provisions = provide(["postgres"], cache=tmp_path)
    programs = provisions.folder("postgres") / "bin"
    answer = subprocess.run(
        [str(programs / "initdb"), "--version"], check=True, capture_output=True, text=True
    )
    assert answer.stdout.startswith("initdb (PostgreSQL) 18.1")
    assert provide(["postgres"], cache=tmp_path, mirror="http://127.0.0.1:9") == provisions
    with pytest.raises(KeyError):
        provisions.class_path("postgres")


def test_a_copied_cache_is_a_mirror(repository: Repository, tmp_path: Path) -> None:
    """What the cache keeps has the layout of a repository, so a plain file server makes it a mirror."""
    artifact = repository.add("big")
    fetch([artifact], tmp_path, mirror=repository.address)
    kept = {
        str(path.relative_to(tmp_path / "maven")): path.read_bytes()
        for path in (tmp_path / "maven").rglob("*.jar")
    }
    assert kept == repository.files
