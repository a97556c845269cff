"""Making the sets of files ready to run from: downloaded, checked, and unpacked where they are archives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakebed.provision.download import cached_path, fetch, missing
from lakebed.provision.lock import Artifact, artifacts_of
from lakebed.provision.progress import Progress
from lakebed.provision.unpack import is_unpacked, unpack_mariadb, unpack_postgres, unpack_tar

_POSTGRES = "postgres"
# Measured with the locked archives, rounded up.
_UNPACKED_TO_PACKED = {"mariadb": 2.3, _POSTGRES: 4.1, "schema_registry": 1.2}

# Archives that are called jars. One that is not called so is told by its name.
_UNPACK_JAR = {"mariadb": unpack_mariadb, _POSTGRES: unpack_postgres}


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
        LakebedError: an unknown set, or any error of `fetch` and of what unpacks.
    """
    by_set = {name: artifacts_of([name]) for name in sets}
    needed = {name: _needed(name, artifacts, cache) for name, artifacts in by_set.items()}
    wanted = sorted({artifact for artifacts in needed.values() for artifact in artifacts})
    room_to_unpack = sum(_bytes_unpacked(name, artifacts) for name, artifacts in needed.items())
    fetch(wanted, cache, mirror=mirror, progress=progress, room_to_unpack=room_to_unpack)
    class_paths: dict[str, list[Path]] = {}
    folders: dict[str, Path] = {}
    for name, artifacts in by_set.items():
        if _is_archive(name, artifacts):
            folders[name] = _unpacked(name, artifacts[0], cache, progress)
        else:
            class_paths[name] = sorted(cached_path(artifact, cache) for artifact in artifacts)
    return Provisions(class_paths, folders)


def is_provided(sets: Iterable[str], cache: Path) -> bool:
    """Whether everything of these sets is there already, so that `provide` needs no network."""
    return not any(missing_of(name, cache) for name in sets)


def missing_of(set: str, cache: Path) -> list[Artifact]:
    """Return the files of a set that `provide` would still need: to download, or at least to unpack."""
    artifacts = artifacts_of([set])
    needed = _needed(set, artifacts, cache)
    return needed if _is_archive(set, artifacts) else missing(needed, cache)


def _is_archive(set: str, artifacts: Sequence[Artifact]) -> bool:
    return _kind(set) in _UNPACK_JAR or artifacts[0].extension != "jar"


def _kind(set: str) -> str:
    """Return what a set is of, whatever its version: `postgres` also of `postgres_14`."""
    return _POSTGRES if set.partition("_")[0] == _POSTGRES else set


def _needed(set: str, artifacts: list[Artifact], cache: Path) -> list[Artifact]:
    """Return the files of a set that must be in the cache: an archive need not when it is unpacked."""
    unpacked = _is_archive(set, artifacts) and is_unpacked(unpacked_folder(set, artifacts[0], cache))
    return [] if unpacked else artifacts


def _bytes_unpacked(set: str, artifacts: Sequence[Artifact]) -> int:
    return int(_UNPACKED_TO_PACKED.get(_kind(set), 0) * sum(artifact.size for artifact in artifacts))


def unpacked_folder(set: str, artifact: Artifact, cache: Path) -> Path:
    """Return where an archive is unpacked: `postgres-18.1.0-<first 8 of its sha256>` and the like."""
    return cache / f"{_kind(set).replace('_', '-')}-{artifact.version}-{artifact.sha256[:8]}"


def _unpacked(set: str, artifact: Artifact, cache: Path, progress: Progress | None) -> Path:
    into = unpacked_folder(set, artifact, cache)
    archive = cached_path(artifact, cache)
    if is_unpacked(into):
        return into
    if progress is not None:
        progress.named(f"unpacking {artifact.file_name}")
    return _UNPACK_JAR.get(_kind(set), unpack_tar)(archive, into)
