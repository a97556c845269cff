"""Making the sets of files ready to run from: downloaded, checked, and unpacked where they are archives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lakebed.provision.download import fetch
from lakebed.provision.lock import Artifact, artifacts_of
from lakebed.provision.progress import Progress
from lakebed.provision.unpack import is_unpacked, unpack_postgres, unpack_tar


@dataclass(frozen=True)
class Provisions:
    """Where the files of the sets asked for are.

    Attributes:
        class_paths: by set, its jars, sorted by path; only sets that are run from jars.
        folders: by set, its unpacked folder; only sets that are archives.
    """

    class_paths: dict[str, list[Path]] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def class_path(self, set: str) -> list[Path]:
        """Return the jars of a set, always in the same order; KeyError if it was not asked for."""
        return list(self.class_paths[set])

    def folder(self, set: str) -> Path:
        """Return the unpacked folder of a set; KeyError if it was not asked for or is no archive."""
        return self.folders[set]


def provide(
    sets: Iterable[str],
    *,
    cache: Path,
    mirror: str | None = None,
    progress: Progress | None = None,
) -> Provisions:
    """Download what is missing of these sets, unpack what is an archive, and return where it is.

    When everything is there it takes milliseconds and no network.

    Args:
        sets: names of `lakebed.provision.lock.SETS`.
        cache: the cache folder.
        mirror: address of a Maven repository; None for Maven Central.
        progress: told about downloads and unpacking; None for silence.

    Raises:
        LakebedError: an unknown set, or any error of `fetch`, `unpack_tar` and `unpack_postgres`.
    """
    by_set = {name: artifacts_of([name]) for name in sets}
    wanted = sorted({artifact for artifacts in by_set.values() for artifact in artifacts})
    paths = fetch(wanted, cache, mirror=mirror, progress=progress)
    class_paths: dict[str, list[Path]] = {}
    folders: dict[str, Path] = {}
    for name, artifacts in by_set.items():
        if name == "postgres" or artifacts[0].extension != "jar":
            folders[name] = _unpacked(name, artifacts[0], paths[artifacts[0]], cache, progress)
        else:
            class_paths[name] = sorted(paths[artifact] for artifact in artifacts)
    return Provisions(class_paths, folders)


def unpacked_folder(set: str, artifact: Artifact, cache: Path) -> Path:
    """Return where an archive is unpacked: `postgres-18.1.0-<first 8 of its sha256>` and the like."""
    return cache / f"{set.replace('_', '-')}-{artifact.version}-{artifact.sha256[:8]}"


def _unpacked(set: str, artifact: Artifact, archive: Path, cache: Path, progress: Progress | None) -> Path:
    into = unpacked_folder(set, artifact, cache)
    if is_unpacked(into):
        return into
    if progress is not None:
        progress.named(f"unpacking {artifact.file_name}")
    return unpack_postgres(archive, into) if set == "postgres" else unpack_tar(archive, into)
