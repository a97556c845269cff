"""As root and as an ordinary user."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

import lakebed
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.pytest_plugin.session import SessionStack

PYTHON = "python"

_WORK = """
import json, os, psutil
from confluent_kafka.admin import AdminClient
from lakebed.clients.topics import create_topic
from lakebed.config.settings import load_settings
from lakebed.services import postgres
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import open_stack
settings = load_settings()
connection = open_stack(settings, "user", client="an ordinary user")
try:
    stack = Addresses(connection.start(["postgres", "kafka"], settings))
    with postgres.connect(stack.postgres_port, "cdcdb") as session:
        session.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        session.execute("INSERT INTO orders VALUES (1)")
        rows = session.execute("SELECT count(*) FROM orders").fetchone()[0]
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    create_topic(admin, "orders")
    status = connection.status()
    pids = [status["pid"], *(entry["pid"] for entry in status["services"])]
    users = sorted({psutil.Process(pid).uids().effective for pid in pids})
    print(json.dumps({"user": os.geteuid(), "users": users, "rows": rows, "processes": len(pids)}))
finally:
    connection.close()
"""


def _linked(source: str, target: str) -> None:
    """Give another user a file to read: as a link where that is possible, as a copy where it is not."""
    if os.stat(source).st_mode & stat.S_IROTH:
        try:
            os.link(source, target)
            return
        except OSError:
            pass
    shutil.copy2(source, target)
    os.chmod(target, os.stat(target).st_mode | stat.S_IROTH)


def _shared(source: Path, target: Path, user: pwd.struct_passwd | None = None) -> Path:
    """Copy a folder by links, so that anybody can read it; with `user`, its folders become that user's."""
    shutil.copytree(source, target, copy_function=_linked, symlinks=True)
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o755)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
    return target


def _open_to_others(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _cache_of(user: pwd.struct_passwd, base: Path) -> Path:
    """Make a cache for `user` from ours: what PostgreSQL and Kafka run from."""
    own, cache = cache_folder(load_settings().cache_folder), base / "cache"
    cache.mkdir(mode=0o700)
    os.chown(cache, user.pw_uid, user.pw_gid)
    for part in own.iterdir():
        if part.name == "maven" or part.name.startswith("postgres-"):
            _shared(part, cache / part.name, user)
    return cache


def _python(base: Path) -> tuple[str, list[str]]:
    """Return a Python that anybody can run, and the folders it needs on PYTHONPATH."""
    source = Path(lakebed.__file__).parents[1]
    if (
        _open_to_others(Path(sys.prefix))
        and _open_to_others(Path(sys.base_prefix))
        and _open_to_others(source)
    ):
        return sys.executable, [str(source)]
    # A clone in root's home: nobody else can enter it.
    home = Path(sys.base_prefix)
    program = Path(os.path.realpath(sys.executable))
    if not _open_to_others(home):
        program = _shared(home, base / PYTHON) / program.relative_to(home)
    packages = Path(psutil.__file__).parents[1]
    return str(program), [str(_shared(source, base / "source")), str(_shared(packages, base / "packages"))]


def test_an_ordinary_user_starts_servers_of_its_own(
    stacks: Path, lakebed_stack: SessionStack, child_environment: Callable[[Path], dict[str, str]]
) -> None:
    if os.geteuid() != 0:
        # Then every other test is this test; here is only looked that it is so.
        lakebed_stack.need("postgres")
        status = lakebed_stack.status()
        assert status is not None
        pids = [status["pid"], *(entry["pid"] for entry in status["services"] if entry["pid"])]
        assert {psutil.Process(pid).uids().effective for pid in pids} == {os.geteuid()}
        return
    user = pwd.getpwnam("nobody")
    base = stacks.parent
    home = base / "home"
    home.mkdir(mode=0o700)
    # The fixture's folder is root's; the stacks of this user are in one of its own.
    stacks.mkdir(mode=0o700)
    for folder in (home, stacks):
        os.chown(folder, user.pw_uid, user.pw_gid)
    program, python_path = _python(base)
    environment = child_environment(stacks) | {
        "HOME": str(home),
        "LAKEBED_CACHE": str(_cache_of(user, base)),
        "PYTHONPATH": os.pathsep.join(python_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Where a copied Python's own library is, which it knows only at its first place.
        "LD_LIBRARY_PATH": str(base / PYTHON / "lib"),
    }
    finished = subprocess.run(
        [program, "-c", _WORK],
        env=environment,
        cwd=home,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        umask=0o077,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert finished.returncode == 0, finished.stderr
    seen: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    assert seen == {"user": user.pw_uid, "users": [user.pw_uid], "rows": 1, "processes": 3}


def test_postgres_never_runs_as_root(
    lakebed_stack: SessionStack, postgres_connection: psycopg.Connection[Any]
) -> None:
    status = lakebed_stack.status()
    assert status is not None
    (pid,) = (entry["pid"] for entry in status["services"] if entry["service"] == "postgres")
    server = psutil.Process(pid)
    expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    family = [server, *server.children(recursive=True)]
    assert postgres_connection.info.backend_pid in {process.pid for process in family}
    for process in family:
        uids = process.uids()
        assert {uids.real, uids.effective, uids.saved} == {expected}
    data = lakebed_stack.folder / "postgres" / "data"
    assert (data.stat().st_uid, stat.S_IMODE(data.stat().st_mode)) == (expected, 0o700)


@pytest.mark.lakebed("postgres")
def test_the_stacks_folder_is_private_to_its_user(lakebed_stack: SessionStack) -> None:
    lakebed_stack.need("postgres")
    for path in (lakebed_stack.folder, lakebed_stack.folder.parent):
        # Passable for PostgreSQL's user when root runs the rest, and never to be listed.
        assert stat.S_IMODE(path.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)
        assert path.stat().st_uid == os.geteuid()
    private = [lakebed_stack.folder / name for name in ("request.json", "supervisor.sock")]
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private] == [0, 0]
