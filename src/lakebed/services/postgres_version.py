"""Which PostgreSQL a stack runs: one that lakebed has locked, or the one that is installed on the machine."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.errors import NotInstalled
from lakebed.provision.lock import version_for

if TYPE_CHECKING:
    from lakebed.config.settings import Settings

SYSTEM = "system"
"""The setting `postgres_version` for the PostgreSQL that is installed on the machine."""
OLDEST = 14
NEWEST_TRIED = 18

# The set that is called plainly `postgres` is the one of the default version.
_DEFAULT, _SET = "18", "postgres"
# Every build of one image has the same version; those of the archives for other platforms may lag behind.
_PLATFORM_OF_IMAGES = "linux-x86_64"

_PROGRAMS = ("initdb", "postgres")
# Where packages put programs that they do not put on the PATH: Debian, Red Hat (PGDG), Homebrew on both
# kinds of Mac. The names of the folders above `bin` end with the version.
_PACKAGED = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
)
_ATTEMPTED = "use the PostgreSQL that is installed on this machine (the setting postgres_version is system)"
_REMEDY = (
    f"install PostgreSQL {OLDEST} or newer (Debian: the package postgresql) or put the folder of its initdb"
    f" on the PATH; or set postgres_version to a version that lakebed downloads: {OLDEST} to {NEWEST_TRIED}"
)


@dataclass(frozen=True)
class Installed:
    """A PostgreSQL that is installed on the machine.

    Attributes:
        folder: with its programs in `bin`.
        version: as it tells it itself ("15.18").
    """

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version."""
        return int(self.version.partition(".")[0])


def jar_set(settings: Settings) -> str | None:
    """Return the set of locked files with the PostgreSQL that is asked for; None for the installed one."""
    if settings.postgres_version == SYSTEM:
        return None
    return _SET if settings.postgres_version == _DEFAULT else f"{_SET}_{settings.postgres_version}"


def image(settings: Settings | None = None) -> str:
    """Return the image of the version that runs natively with these settings, by default without any.

    KeyError for the installed one: of that there is no image.
    """
    name = _SET if settings is None else jar_set(settings)
    if name is None:
        raise KeyError(SYSTEM)
    return f"postgres:{version_for(name, _PLATFORM_OF_IMAGES).removesuffix('.0')}"


def installed_folder(settings: Settings) -> Path | None:
    """Return the folder of the installed PostgreSQL where the settings ask for that one, else None.

    Raises:
        NotInstalled: as for `find_installed`.
    """
    return find_installed().folder if settings.postgres_version == SYSTEM else None


def find_installed() -> Installed:
    """Return the PostgreSQL that is installed on this machine.

    Looked for in this order: `initdb` on the PATH, the folder that `pg_config` names, the folders of
    packages, newest first. Links are followed.

    Raises:
        NotInstalled: there is none, it is older than version 14, or it cannot be run.
    """
    looked_in: list[str] = []
    for programs in _folders_of_programs():
        if all((programs / name).is_file() for name in _PROGRAMS):
            return _examined(programs)
        looked_in.append(str(programs))
    packaged = ", ".join(f"{parent}/{pattern}" for parent, pattern in _PACKAGED)
    seen = f"there is no initdb on the PATH, and in {packaged} neither"
    if looked_in:
        seen += f"; without a server: {', '.join(dict.fromkeys(looked_in))}"
    raise NotInstalled(_ATTEMPTED, seen, _REMEDY)


def _folders_of_programs() -> Iterator[Path]:
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    # Debian's client packages bring one that names the folder of a server that may not be there.
    config = shutil.which("pg_config")
    if config is not None:
        finished = subprocess.run([config, "--bindir"], capture_output=True, text=True)
        if finished.returncode == 0:
            yield Path(finished.stdout.strip()).resolve()
    packaged = [path for parent, pattern in _PACKAGED for path in Path(parent).glob(pattern)]
    yield from sorted(packaged, key=_version_in_name, reverse=True)


def _version_in_name(programs: Path) -> int:
    numbers = re.findall(r"\d+", programs.parent.name)
    return int(numbers[0]) if numbers else 0


def _examined(programs: Path) -> Installed:
    program = programs / "postgres"
    closed = [path for path in (programs, *programs.parents) if not path.stat().st_mode & stat.S_IXOTH]
    if os.geteuid() == 0 and closed:
        seen = f"{program} runs as nobody, who cannot pass through {', '.join(map(str, closed))}"
        raise NotInstalled(
            _ATTEMPTED, seen, f"`chmod o+x` these folders, or run as an ordinary user; {_REMEDY}"
        )
    try:
        finished = subprocess.run([str(program), "--version"], capture_output=True, text=True)
    except OSError as error:
        raise NotInstalled(_ATTEMPTED, f"{program} cannot be run: {error}", _REMEDY) from error
    told = finished.stdout.strip() or finished.stderr.strip()
    # "postgres (PostgreSQL) 15.18 (Debian ...)", before a release "19beta1".
    found = re.search(r"\(PostgreSQL\) (\d+)(\.\d+)?", told)
    if finished.returncode != 0 or found is None:
        raise NotInstalled(_ATTEMPTED, f"{program} --version tells no version: {told[:200]!r}", _REMEDY)
    installed = Installed(programs.parent, found[1] + (found[2] or ""))
    if installed.major < OLDEST:
        seen = f"{program} is version {installed.version}; the oldest that lakebed works with is {OLDEST}"
        raise NotInstalled(_ATTEMPTED, seen, _REMEDY)
    return installed
