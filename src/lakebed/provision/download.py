"""Downloading locked files from a Maven repository into the cache.

The cache's folder `maven` has the layout of a repository, so that it can itself be served as a mirror.
A file that is being downloaded is its own lock: `<file>.part`, held with flock by the process that
writes it. It is renamed when its sha256 is right, and stays for the next run when the process ends before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lakebed.errors import CorruptDownload, DownloadFailed, LakebedError
from lakebed.provision.cache import check_room, is_writable, refused, unreadable
from lakebed.provision.lock import Artifact
from lakebed.provision.progress import Progress, Silence
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import httpx

_LOG = logging.getLogger(__name__)

_CONNECTIONS = 8
# A read that brings nothing for so long is given up and tried again.
_TIMEOUT_SECONDS = 20.0
# Tries in a row that bring no byte; one that brings some starts the count again.
_FRUITLESS_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 8.0
# How long a failure or an interrupt waits for threads that wait for the network.
_SECONDS_TO_STOP = 1.0
_LONGEST_WAIT_FOR_OTHER_PROCESS_SECONDS = 3600.0
_NAMES_IN_AN_ERROR = 5
_REMEDY = (
    "connect to the network once and run `lakebed prefetch`; or run it on a machine with network and copy "
    "its cache folder here; or set LAKEBED_MAVEN_MIRROR to a Maven repository that can be reached"
)


class _TryAgain(Exception):
    """A failure that may pass: the network's, or a status that asks to come again."""


class _Stopped(Exception):
    """Another file has failed or the user has interrupted: leave the parts as they are."""


@dataclass
class _Job:
    """What the threads of one `fetch` share."""

    client: httpx.Client
    repository: str
    shown_repository: str
    progress: Progress
    stopped: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, count: int) -> None:
        with self.guard:
            self.progress.advance(count)

    def named(self, text: str) -> None:
        with self.guard:
            self.progress.named(text)


def cached_path(artifact: Artifact, cache: Path) -> Path:
    """Return where the cache keeps this file, whether it is there or not."""
    return cache / "maven" / artifact.repository_path


def missing(artifacts: Iterable[Artifact], cache: Path) -> list[Artifact]:
    """Return those that are not in the cache, or there with a wrong size or sha256.

    A file's sha256 is computed once; its size and time of change are then remembered in a stamp beside it.

    Raises:
        LakebedError: a part of the cache cannot be read.
    """
    try:
        return [artifact for artifact in artifacts if not _is_cached(artifact, cached_path(artifact, cache))]
    except PermissionError as error:
        raise unreadable(cache, error) from error


def fetch(
    artifacts: Iterable[Artifact],
    cache: Path,
    *,
    mirror: str | None = None,
    progress: Progress | None = None,
    room_to_unpack: int = 0,
) -> dict[Artifact, Path]:
    """Return where each file is in the cache, after downloading those that are not there.

    When nothing is missing the network is not touched and `progress` hears nothing. Several processes
    may fetch into one cache at the same time: each file is downloaded by one of them.

    Args:
        artifacts: what is wanted.
        cache: the cache folder.
        mirror: address of a Maven repository; None for Maven Central. A user name and password in it
            are sent as Basic authentication and never shown.
        progress: told what is downloaded; None for silence.
        room_to_unpack: how many bytes the disk must have on top of the downloads.

    Raises:
        CorruptDownload: what the repository sent is not the locked file, twice.
        DownloadFailed: the repository could not be reached or does not have a file, or the cache may not
            be written to.
        NotEnoughDisk: the missing files do not fit.
        LakebedError: `mirror` is no address, or the cache cannot be read.
    """
    paths = {artifact: cached_path(artifact, cache) for artifact in artifacts}
    absent = missing(paths, cache)
    if not absent:
        return paths
    for artifact in absent:
        if paths[artifact].exists():
            _LOG.warning(
                "%s in the cache is damaged (%d bytes, %d expected, or another sha256): fetching it again",
                artifact.file_name,
                paths[artifact].stat().st_size,
                artifact.size,
            )
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    attempted = _attempted(absent, cache)
    if not is_writable(cache):
        denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        raise refused(attempted, cache, denied, DownloadFailed)
    check_room(attempted, cache, _bytes_to_come(absent, cache) + room_to_unpack)
    repository, shown, credentials = _address(mirror)
    report = progress if progress is not None else Silence()
    report.start(sum(artifact.size for artifact in absent), len(absent))
    # Imported here: most starts download nothing, and every start would wait for it.
    import httpx

    limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    client = httpx.Client(
        http2=False, timeout=_TIMEOUT_SECONDS, limits=limits, follow_redirects=True, auth=credentials
    )
    try:
        _fetch_all(absent, cache, _Job(client, repository, shown, report))
    finally:
        report.done()
    return paths


def _fetch_all(absent: list[Artifact], cache: Path, job: _Job) -> None:
    # The largest first: it then ends together with the many small ones instead of after them.
    waiting = iter(sorted(absent, key=lambda artifact: -artifact.size))
    outcomes: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def work() -> None:
        while not job.stopped.is_set():
            with job.guard:
                artifact = next(waiting, None)
            if artifact is None:
                return
            try:
                _fetch_one(artifact, cache, job)
                outcomes.put(None)
            except Exception as error:
                outcomes.put(error)

    # Daemons, because a thread that waits for the network would keep an interrupted process from ending.
    threads = [
        threading.Thread(target=work, name=f"download-{number}", daemon=True)
        for number in range(min(_CONNECTIONS, len(absent)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in absent:
            failure = outcomes.get()
            if failure is not None:
                break
    finally:
        job.stopped.set()
        end = time.monotonic() + _SECONDS_TO_STOP
        for thread in threads:
            if thread.is_alive():
                thread.join(max(end - time.monotonic(), 0))
        if not any(thread.is_alive() for thread in threads):
            job.client.close()
    if isinstance(failure, _TryAgain):
        left = missing(absent, cache)
        attempted = f"download {_figures(left)} from {job.shown_repository}"
        raise DownloadFailed(attempted, f"{failure}; missing: {_names(left)}", _REMEDY) from failure
    if isinstance(failure, OSError):
        left = missing(absent, cache)
        raise refused(_attempted(left, cache), cache, failure, DownloadFailed) from failure
    if failure is not None:
        raise failure


def _attempted(artifacts: list[Artifact], cache: Path) -> str:
    return f"download {_figures(artifacts)} into {cache}: {_names(artifacts)}"


def _figures(artifacts: list[Artifact]) -> str:
    size = sum(artifact.size for artifact in artifacts)
    return f"{len(artifacts)} files ({size / 1e6:.1f} MB, {size} bytes)"


def _names(artifacts: list[Artifact]) -> str:
    more = len(artifacts) - _NAMES_IN_AN_ERROR
    listed = ", ".join(artifact.file_name for artifact in artifacts[:_NAMES_IN_AN_ERROR])
    return f"{listed} and {more} more" if more > 0 else listed


def _fetch_one(artifact: Artifact, cache: Path, job: _Job) -> None:
    target = cached_path(artifact, cache)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _own_part(artifact, target, job) as part:
        if part is None:
            job.advance(artifact.size)
            return
        _complete(artifact, part, job)
        seen = _sha256(part)
        if seen != artifact.sha256:
            # The part may stem from another file; only a whole one tells.
            _begin_again(part, job)
            _complete(artifact, part, job)
            seen = _sha256(part)
        if seen != artifact.sha256:
            size = _begin_again(part, job)
            raise CorruptDownload(
                f"download {artifact.coordinates} from {job.shown_repository}",
                f"sha256 {seen} and {size} bytes; expected sha256 {artifact.sha256} "
                f"and {artifact.size} bytes",
                "try again; if it stays so, the repository or a proxy on the way changes files: "
                "set LAKEBED_MAVEN_MIRROR to another",
            )
        os.replace(_part_of(target), target)
    _write_stamp(artifact, target)


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


@contextlib.contextmanager
def _own_part(artifact: Artifact, target: Path, job: _Job) -> Iterator[IO[bytes] | None]:
    """Open and lock the part, waiting for a process that has it; None if that completed the file."""
    part_path = _part_of(target)
    held: list[IO[bytes]] = []

    def ours_or_complete() -> bool:
        if job.stopped.is_set():
            raise _Stopped
        if _is_cached(artifact, target):
            return True
        # Without a buffer: what a full disk does not take must not be written again when it is closed.
        part = open(part_path, "a+b", buffering=0)  # noqa: SIM115 - closed below, with the lock
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            part.close()
            return False
        # Between opening and locking, its last owner may have renamed it to the complete file.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(part.fileno()), part_path.stat()):
                held.append(part)
                return True
        part.close()
        return False

    wait_until(
        ours_or_complete,
        f"another process to download {artifact.file_name}",
        deadline_seconds=_LONGEST_WAIT_FOR_OTHER_PROCESS_SECONDS,
        remedy=f"end the process that holds {part_path}",
    )
    if not held:
        yield None
        return
    part = held[0]
    try:
        # Between the look at the file and the opening of the part, another process may have completed it.
        yield None if _is_cached(artifact, target) else part
    finally:
        # A part without a byte is of no use to the next run.
        with contextlib.suppress(FileNotFoundError):
            if part.seek(0, os.SEEK_END) == 0 and os.path.samestat(os.fstat(part.fileno()), part_path.stat()):
                part_path.unlink()
        part.close()


def _complete(artifact: Artifact, part: IO[bytes], job: _Job) -> None:
    """Bring the part to its full size, resuming what is there, through failures that pass."""
    from tenacity import RetryCallState, Retrying, retry_if_exception_type
    from tenacity.nap import sleep_using_event

    there = part.seek(0, os.SEEK_END)
    if there > artifact.size:
        part.truncate(0)
        there = 0
    job.advance(there)
    fruitless = 0

    def given_up(state: RetryCallState) -> bool:
        return fruitless >= _FRUITLESS_TRIES

    def pause(state: RetryCallState) -> float:
        longest = min(_FIRST_PAUSE_SECONDS * float(2**fruitless), _LONGEST_PAUSE_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  only spreads attempts

    for attempt in Retrying(
        retry=retry_if_exception_type(_TryAgain),
        stop=given_up,
        wait=pause,
        sleep=sleep_using_event(job.stopped),
        reraise=True,
    ):
        with attempt:
            if job.stopped.is_set():
                raise _Stopped
            before = part.seek(0, os.SEEK_END)
            if before == artifact.size:
                return
            try:
                _read_rest(artifact, part, before, job)
            except _TryAgain:
                fruitless = 0 if part.seek(0, os.SEEK_END) > before else fruitless + 1
                raise


def _read_rest(artifact: Artifact, part: IO[bytes], offset: int, job: _Job) -> None:
    """Ask for the part's missing bytes and append what comes.

    A repository that ignores the range answers 200 with the whole file, and the part is begun again
    (RFC 9110, "Range Requests"). One that has fewer bytes than locked leaves a part of a wrong size, which
    the caller's sha256 finds.
    """
    job.named(artifact.file_name)
    import httpx

    # Without "identity" a server may compress on the way, and the range would be one of compressed bytes.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with job.client.stream(
            "GET", f"{job.repository}/{artifact.repository_path}", headers=headers
        ) as answer:
            if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
                raise _TryAgain(f"{artifact.file_name}: HTTP {answer.status_code} {answer.reason_phrase}")
            if answer.status_code == 416:
                _begin_again(part, job)
                raise _TryAgain(f"{artifact.file_name}: HTTP 416, the file there is shorter than locked")
            if answer.status_code not in (200, 206):
                raise DownloadFailed(
                    f"download {artifact.coordinates} from {job.shown_repository}",
                    f"HTTP {answer.status_code} {answer.reason_phrase} for {artifact.repository_path}",
                    "check that LAKEBED_MAVEN_MIRROR, if set, is a mirror of Maven Central you may read",
                )
            begins_at = _first_byte(answer)
            if begins_at != offset:
                _begin_again(part, job)
                if begins_at != 0:
                    raise _TryAgain(f"{artifact.file_name}: asked for byte {offset}, got {begins_at}")
            _append(artifact, part, answer, job)
    except httpx.TransportError as error:
        raise _TryAgain(f"{artifact.file_name}: {type(error).__name__}: {error}") from error


def _first_byte(answer: httpx.Response) -> int:
    if answer.status_code == 200:
        return 0
    # Content-Range: bytes 100-199/200
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdigit() else -1


def _append(artifact: Artifact, part: IO[bytes], answer: httpx.Response, job: _Job) -> None:
    room = artifact.size - part.seek(0, os.SEEK_END)
    # In chunks as they come: a chunk size would have httpx hold back what a dying connection has sent.
    for chunk in answer.iter_raw():
        if job.stopped.is_set():
            raise _Stopped
        _write(part, chunk)
        job.advance(len(chunk))
        room -= len(chunk)
        if room < 0:
            raise _too_long(artifact, part, job)
    if room > 0:
        # The connection ended in good order, but the file is shorter than the locked one.
        seen = artifact.size - room
        _begin_again(part, job)
        raise CorruptDownload(
            f"download {artifact.coordinates} from {job.shown_repository}",
            f"it is truncated: {seen} bytes; expected {artifact.size} bytes and sha256 {artifact.sha256}",
            "try again; if it stays so, set LAKEBED_MAVEN_MIRROR to another repository",
        )


def _write(part: IO[bytes], chunk: bytes) -> None:
    # A disk that is nearly full takes a part of it first.
    while chunk:
        chunk = chunk[part.write(chunk) :]


def _too_long(artifact: Artifact, part: IO[bytes], job: _Job) -> CorruptDownload:
    _begin_again(part, job)
    return CorruptDownload(
        f"download {artifact.coordinates} from {job.shown_repository}",
        f"it is longer than the locked file's {artifact.size} bytes; expected sha256 {artifact.sha256}",
        "check that LAKEBED_MAVEN_MIRROR, if set, names a Maven repository and not a page",
    )


def _begin_again(part: IO[bytes], job: _Job) -> int:
    """Empty the part; return how many bytes were in it."""
    size = part.seek(0, os.SEEK_END)
    part.truncate(0)
    job.advance(-size)
    return size


def _sha256(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _stamp_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.checked")


def _stamp_text(artifact: Artifact, status: os.stat_result) -> str:
    return f"{artifact.sha256} {status.st_size} {status.st_mtime_ns}\n"


def _write_stamp(artifact: Artifact, target: Path) -> None:
    # A stamp that cannot be written costs a hash at the next start, no more.
    with contextlib.suppress(OSError):
        _stamp_of(target).write_text(_stamp_text(artifact, target.stat()))


def _is_cached(artifact: Artifact, target: Path) -> bool:
    try:
        status = target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if status.st_size != artifact.size:
        return False
    with contextlib.suppress(OSError):
        if _stamp_of(target).read_text() == _stamp_text(artifact, status):
            return True
    with open(target, "rb") as file:
        if _sha256(file) != artifact.sha256:
            return False
    _write_stamp(artifact, target)
    return True


def _bytes_to_come(absent: list[Artifact], cache: Path) -> int:
    needed = 0
    for artifact in absent:
        part = _part_of(cached_path(artifact, cache))
        needed += max(0, artifact.size - (part.stat().st_size if part.exists() else 0))
    return needed


def _address(mirror: str | None) -> tuple[str, str, tuple[str, str] | None]:
    """Return the repository's address without credentials, how it is shown, and the credentials."""
    if mirror is None:
        # Imported here: it takes longer than all the rest of a start that downloads nothing.
        from jgo.constants import MAVEN_CENTRAL_URL

        return MAVEN_CENTRAL_URL, MAVEN_CENTRAL_URL, None
    import httpx

    try:
        url = httpx.URL(mirror)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise LakebedError(
            "use the Maven mirror of the settings (LAKEBED_MAVEN_MIRROR)",
            "it is no address of the form https://host/path",
            "set it to the address of a Maven repository, or leave it out for Maven Central",
        )
    credentials = (url.username, url.password) if url.username or url.password else None
    bare = str(url.copy_with(username=None, password=None)).rstrip("/")
    return bare, bare, credentials
