"""A cache folder that is read-only, full, odd, or shared by several processes: it works, or says why not.

Root may write everywhere; a child that must not is started without the capability that allows it (Linux
manual, capabilities(7)), which needs no namespaces and no other user. A full disk is a limit on the size of
files (getrlimit(2), RLIMIT_FSIZE), which binds root as well: a write fails in the middle of a file.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lakebed.cli.doctor import closed_to_others, examine
from lakebed.cli.exit_codes import DOWNLOAD_FAILED, FAILED, MACHINE_LACKS
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.provision.download import cached_path
from lakebed.provision.lock import artifacts_of
from lakebed.provision.provide import provide, unpacked_folder

SETS = ("iceberg_rest", "kafka", "postgres", "schema_registry")
(POSTGRES,) = artifacts_of(["postgres"])
NOBODY_LISTENS = "http://127.0.0.1:9"
_FEW_BYTES = 1_000_000

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def obey_permissions() -> None:
    """Have the program that this process becomes obey permissions, also as root."""
    if os.geteuid() == 0:
        library = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if library.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")


def write_small_files_only() -> None:
    """Let writes fail beyond the first bytes of a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FEW_BYTES, _FEW_BYTES))


@pytest.fixture(scope="module")
def whole() -> Path:
    """The cache of this machine, with all files of the sets."""
    cache = cache_folder(load_settings().cache_folder)
    provide(SETS, cache=cache, mirror=load_settings().maven_mirror)
    return cache


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_cache(whole: Path, cache: Path, *, unpacked: bool = True) -> Path:
    """Make a cache with the files of another one, but nothing that was made from them for a faster start."""
    parts = [whole / "maven"]
    parts += [
        unpacked_folder(name, artifacts_of([name])[0], whole) for name in ("postgres", "schema_registry")
    ]
    for part in parts if unpacked else parts[:1]:
        shutil.copytree(part, cache / part.name, symlinks=True, copy_function=_link_or_copy)
    return cache


def folders_of(cache: Path) -> list[Path]:
    return [cache, *(path for path in cache.rglob("*") if path.is_dir() and not path.is_symlink())]


@pytest.fixture
def read_only(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A cache with all files in which nothing can be made."""
    cache = copy_cache(whole, tmp_path / "read-only")
    for folder in folders_of(cache):
        folder.chmod(0o555)
    yield cache
    for folder in folders_of(cache):
        folder.chmod(0o755)


@pytest.fixture
def run(tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Run:
    """Run Python with arguments in another process, with a cache folder."""

    def run_python(
        *arguments: str,
        cache: Path,
        mirror: str = NOBODY_LISTENS,
        before: Callable[[], None] = obey_permissions,
    ) -> subprocess.CompletedProcess[str]:
        variables = {"LAKEBED_CACHE": str(cache), "LAKEBED_MAVEN_MIRROR": mirror}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**child_environment(stacks), **variables},
            cwd=tmp_path,
            preexec_fn=before,
            capture_output=True,
            text=True,
            timeout=180,
        )

    return run_python


PREFETCH = ("-m", "lakebed", "prefetch")


class _CountingHandler(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output free of access lines."""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


@pytest.fixture
def mirror(whole: Path) -> Iterator[tuple[str, list[str]]]:
    """A repository with the real files; its address, and the paths it was asked for."""
    asked: list[str] = []
    handler = type("Handler", (_CountingHandler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(whole / "maven"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


# -- read-only ---------------------------------------------------------------------------------------------

# PostgreSQL's data belong to nobody where root runs lakebed, and root without its capabilities could not
# remove them; its programs come from the cache in the same way as the schema registry's.
_START = """
from lakebed.config.settings import load_settings
from lakebed.stack.connection import open_stack
settings = load_settings()
connection = open_stack(settings, "cache", client="test")
try:
    connection.start(["kafka", "schema-registry", "iceberg-rest"], settings)
    print([entry["service"] for entry in connection.status()["services"]])
finally:
    connection.close()
"""


def test_servers_start_from_a_read_only_cache_and_write_nothing_there(run: Run, read_only: Path) -> None:
    before = sorted(read_only.rglob("*"))
    assert (
        run(*PREFETCH, "postgres", "kafka", "schema-registry", "iceberg-rest", cache=read_only).returncode
        == 0
    )
    started = run("-c", _START, cache=read_only)
    assert started.returncode == 0, started.stderr
    assert all(f"'{name}'" in started.stdout for name in ("kafka", "schema-registry", "iceberg-rest", "s3"))
    assert sorted(read_only.rglob("*")) == before


def test_what_a_read_only_cache_lacks_is_named_with_the_folder_and_the_remedy(
    run: Run, read_only: Path, mirror: tuple[str, list[str]]
) -> None:
    lost = next(artifact for artifact in artifacts_of(["kafka"]) if artifact.name == "kafka-clients")
    folder = cached_path(lost, read_only).parent
    folder.chmod(0o755)
    cached_path(lost, read_only).unlink()
    folder.chmod(0o555)
    finished = run(*PREFETCH, "kafka", cache=read_only, mirror=mirror[0])
    assert finished.returncode == DOWNLOAD_FAILED
    assert f"download 1 files ({lost.size / 1e6:.1f} MB" in finished.stderr
    assert lost.file_name in finished.stderr
    assert f"user {os.geteuid()} may not write in {read_only}, which belongs to user" in finished.stderr
    assert "`lakebed prefetch` as a user who may" in finished.stderr
    assert "LAKEBED_CACHE" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert mirror[1] == []


def test_an_archive_that_a_read_only_cache_has_not_unpacked_is_named(run: Run, read_only: Path) -> None:
    folder = unpacked_folder("postgres", POSTGRES, read_only)
    read_only.chmod(0o755)
    for path in folders_of(folder):
        path.chmod(0o755)
    shutil.rmtree(folder)
    read_only.chmod(0o555)
    finished = run(*PREFETCH, "postgres", cache=read_only)
    assert finished.returncode == FAILED
    assert f"unpack {POSTGRES.file_name} into {folder}" in finished.stderr
    assert f"may not write in {read_only}" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_file_in_the_cache_that_may_not_be_read_is_named(run: Run, whole: Path, tmp_path: Path) -> None:
    cache = copy_cache(whole, tmp_path / "cache")
    closed = cached_path(POSTGRES, cache).parent
    shutil.rmtree(unpacked_folder("postgres", POSTGRES, cache))
    closed.chmod(0)
    finished = run(*PREFETCH, "postgres", cache=cache)
    closed.chmod(0o755)
    assert finished.returncode == FAILED
    assert f"user {os.geteuid()} may not: Permission denied: {closed}" in finished.stderr
    assert f"chmod -R a+rX {cache}" in finished.stderr


_DOCTOR = """
from lakebed.cli.doctor import examine
from lakebed.config.settings import load_settings
for finding in examine(load_settings()):
    print(finding.subject, "|", finding.seen, "|", finding.remedy)
"""


def findings(finished: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    assert finished.returncode == 0, finished.stderr
    lines = [line.split(" | ") for line in finished.stdout.splitlines()]
    return {line[0]: [part.strip() for part in line[1:]] for line in lines}


def test_the_doctor_looks_whether_a_read_only_cache_is_complete(run: Run, read_only: Path) -> None:
    seen, remedy = findings(run("-c", _DOCTOR, cache=read_only))["cache"]
    assert f"{read_only} may not be written to by user {os.geteuid()} and lacks: " in seen
    assert "kafka" not in seen
    folder = unpacked_folder("postgres", POSTGRES, read_only)
    folder.chmod(0o755)
    (folder / ".lakebed-complete").unlink()
    folder.chmod(0o555)
    seen, remedy = findings(run("-c", _DOCTOR, cache=read_only))["cache"]
    assert "postgres" in seen
    assert "`lakebed prefetch`" in remedy


def test_the_doctor_looks_whether_postgres_can_pass_to_its_data(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "stacks").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "stacks").chmod(0o711)
    assert closed in closed_to_others(closed / "stacks")
    assert closed / "stacks" not in closed_to_others(closed / "stacks")
    found = {one.subject: one for one in examine(load_settings({"data_folder": closed / "stacks"}))}
    # An ordinary user's PostgreSQL runs as that user.
    expected = f"data folder {closed / 'stacks'}" in found
    assert expected == (os.geteuid() == 0)
    if expected:
        assert "chmod o+x" in found[f"data folder {closed / 'stacks'}"].remedy


# -- full ----------------------------------------------------------------------------------------------------


def test_a_disk_that_gets_full_during_a_download(
    run: Run, tmp_path: Path, mirror: tuple[str, list[str]]
) -> None:
    cache = tmp_path / "cache"
    finished = run(*PREFETCH, "postgres", cache=cache, mirror=mirror[0], before=write_small_files_only)
    assert finished.returncode == MACHINE_LACKS
    assert f"download 1 files ({POSTGRES.size / 1e6:.1f} MB" in finished.stderr
    assert "File too large; " in finished.stderr
    assert f"MB free in {cache}" in finished.stderr
    assert "LAKEBED_CACHE" in finished.stderr
    assert "Traceback" not in finished.stderr
    # Only the part, which the next run goes on with.
    files = [path for path in cache.rglob("*") if path.is_file()]
    part = cached_path(POSTGRES, cache).with_name(f"{POSTGRES.file_name}.part")
    assert (files, part.stat().st_size) == ([part], _FEW_BYTES)
    assert run(*PREFETCH, "postgres", cache=cache, mirror=mirror[0]).returncode == 0
    assert not part.exists()


def test_a_disk_that_gets_full_while_an_archive_is_unpacked(run: Run, whole: Path, tmp_path: Path) -> None:
    cache = copy_cache(whole, tmp_path / "cache", unpacked=False)
    finished = run(*PREFETCH, "postgres", cache=cache, before=write_small_files_only)
    assert finished.returncode == MACHINE_LACKS
    assert f"unpack {POSTGRES.file_name} into " in finished.stderr
    assert f"MB free in {cache}" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert sorted(path.name for path in cache.iterdir()) == [".unpacking", "maven"]
    assert list((cache / ".unpacking").iterdir()) == []
    assert run(*PREFETCH, "postgres", cache=cache).returncode == 0


_TEMPLATE = """
import sys
from pathlib import Path
from lakebed.provision.template import template_folder

def make(folder):
    (folder / "file").write_bytes(bytes(2_000_000))

template_folder(Path(sys.argv[1]), "big", make)
"""


def test_a_disk_that_gets_full_while_a_template_is_made(run: Run, tmp_path: Path) -> None:
    finished = run("-c", _TEMPLATE, str(tmp_path), cache=tmp_path, before=write_small_files_only)
    assert "File too large" in finished.stderr
    assert list((tmp_path / "templates").iterdir()) == []
    assert run("-c", _TEMPLATE, str(tmp_path), cache=tmp_path).returncode == 0
    assert (tmp_path / "templates" / "big" / "file").stat().st_size == 2_000_000


# -- shared and odd -----------------------------------------------------------------------------------------


def test_several_processes_fill_one_cache_at_once_and_download_once(
    tmp_path: Path,
    stacks: Path,
    child_environment: Callable[[Path], dict[str, str]],
    mirror: tuple[str, list[str]],
) -> None:
    cache = tmp_path / "cache"
    variables = {"LAKEBED_CACHE": str(cache), "LAKEBED_MAVEN_MIRROR": mirror[0]}
    command = [sys.executable, *PREFETCH, "postgres"]
    children = [
        subprocess.Popen(command, env={**child_environment(stacks), **variables}, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    assert mirror[1] == [f"/{POSTGRES.repository_path}"]
    initdb = unpacked_folder("postgres", POSTGRES, cache) / "bin" / "initdb"
    answer = subprocess.run([initdb, "--version"], check=True, capture_output=True, text=True)
    assert answer.stdout.startswith("initdb (PostgreSQL) 18.1")
    assert list((cache / ".unpacking").iterdir()) == []


def test_servers_start_from_a_path_with_spaces_and_umlauts(run: Run, whole: Path, tmp_path: Path) -> None:
    cache = copy_cache(whole, tmp_path / "mit Leerzeichen und Umlauten (äöü) 湖")
    # The second time with the class data and the templates that the first one has left.
    for _ in range(2):
        started = run("-c", _START, cache=cache)
        assert started.returncode == 0, started.stderr
    assert len(list((cache / "class-data").glob("kafka-*.jsa"))) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [cache.name]


def test_a_relative_path_means_the_same_to_the_supervisor(run: Run, whole: Path, tmp_path: Path) -> None:
    copy_cache(whole, tmp_path / "cache")
    started = run("-c", _START, cache=Path("cache"))
    assert started.returncode == 0, started.stderr
