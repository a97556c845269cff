"""PostgreSQL with logical decoding, from the binaries of `embedded-postgres-binaries` or of the machine."""

from __future__ import annotations

import hashlib
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from lakebed.provision.ext4 import spread_subfolders
from lakebed.provision.template import template_folder
from lakebed.services.container import Container, HealthCheck, variables
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.owned import give_to_owner, run_as_owner
from lakebed.services.postgres_connection import DATABASE, PASSWORD, USER, administer, connect
from lakebed.services.postgres_resources import RESOURCES
from lakebed.services.postgres_version import image, installed_folder, jar_set

# Durable writes protect against power loss; a test's database does not outlive its process.
# synchronous_commit stays on: the WAL sender hands out only what has been flushed, and a delayed flush
# would add up to 0.6 s to every change (PostgreSQL documentation, "Asynchronous Commit").
# Every version from 14 on knows these, and the options of initdb below.
SERVER_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "100",
    "max_wal_senders": "100",
    "max_connections": "250",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

# Where a server knows this setting (14.24, 15.19, 16.15, 17.11), it takes no other output plugin than those
# named in it, and by default `pgoutput` and `test_decoding`. Whether a library is there is another question.
_TRUSTED_PLUGINS = ("output_plugin_libraries", "pgoutput, test_decoding, decoderbufs, wal2json")


def _data(place: Place) -> Path:
    return place.folder / "data"


def _program(place: Place, name: str) -> str:
    assert place.software is not None
    return str(place.software / "bin" / name)


# The cluster is not to depend on the machine's settings, so that it can be a template. Segments of 1 MB,
# not 16: the one that is in use is copied with it.
_INITDB = (
    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"),
    *("--wal-segsize", "1", "--no-sync", "--no-instructions"),
)


def _run(place: Place, doing: str, command: list[str]) -> str:
    remedy = "run `lakebed doctor`; it checks disk, locale and who may read the folders"
    return run_as_owner(place, doing, command, remedy)


def _make_data(place: Place) -> None:
    password_file = place.folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(PASSWORD)
    data = _data(place)
    data.mkdir(mode=0o700, exist_ok=True)
    give_to_owner(place, password_file, data)
    command = [_program(place, "initdb"), "--pgdata", str(data), "--username", USER]
    command += ["--pwfile", str(password_file), *_INITDB]
    try:
        _run(place, "make PostgreSQL's data directory (initdb)", command)
    finally:
        password_file.unlink()


def _template_name(place: Place) -> str:
    version = _run(place, "ask PostgreSQL for its version", [_program(place, "postgres"), "--version"])
    # The same version may be built differently, as by the system: what initdb makes differs then.
    build = hashlib.sha256(Path(_program(place, "initdb")).read_bytes()).hexdigest()
    made_by = "\n".join((version, build, USER, PASSWORD, *_INITDB))
    return f"postgres-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"


def _prepare(place: Place) -> None:
    """Make the data directory, and have the databases that tests make and drop quickly made."""
    _make_or_copy_data(place)
    spread_subfolders(_data(place) / "base")


def _make_or_copy_data(place: Place) -> None:
    """Copy the data directory from the template; the first time, make it, and the template from it."""
    data = _data(place)

    def make(folder: Path) -> None:
        _make_data(place)
        shutil.copytree(data, folder, dirs_exist_ok=True)

    # Where nothing can be kept, it is made at every start.
    template = None
    with suppress(OSError):
        template = template_folder(place.cache, _template_name(place), make)
    if (data / "PG_VERSION").exists():
        return
    if template is None:
        _make_data(place)
        return
    shutil.copytree(template, data)
    data.chmod(0o700)
    give_to_owner(place, data, *data.rglob("*"))


def _command(place: Place) -> list[str]:
    known = _run(place, "ask PostgreSQL for its settings", [_program(place, "postgres"), "--describe-config"])
    name, value = _TRUSTED_PLUGINS
    more = {name: value} if any(line.split("\t")[0] == name for line in known.splitlines()) else {}
    chosen = {**SERVER_SETTINGS, **more}
    settings = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    port = str(place.ports["postgres"])
    return [_program(place, "postgres"), "-D", str(_data(place)), "-p", port, *settings]


def _check(place: Place) -> None:
    with connect(place.endpoints.postgres, place.endpoints.postgres.database) as connection:
        connection.execute("SELECT 1")


def _complete(place: Place) -> None:
    import psycopg

    with suppress(psycopg.errors.DuplicateDatabase):
        administer(
            place.endpoints.postgres, lambda connection: connection.execute(f'CREATE DATABASE "{DATABASE}"')
        )


POSTGRES = Service(
    name="postgres",
    title="PostgreSQL, the source of changes",
    ports={"postgres": 5432},
    memory_mb=90,
    jars="postgres",
    jars_for=jar_set,
    installed=installed_folder,
    prepare=_prepare,
    command=_command,
    check=_check,
    complete=_complete,
    # SIGINT is the fast shutdown; SIGTERM would wait for every client to leave
    # (PostgreSQL documentation, "Shutting Down the Server").
    stop_signal=signal.SIGINT,
    refuses_root=True,
    resources=RESOURCES,
    other_names=("postgresql",),
    container=Container(
        service="postgres",
        image=image(),
        image_for=image,
        port=5432,
        host_port=5432,
        environment=variables(
            {
                "POSTGRES_USER": USER,
                "POSTGRES_PASSWORD": PASSWORD,
                "POSTGRES_DB": DATABASE,
                "POSTGRES_INITDB_ARGS": "--encoding=UTF8 --locale=C",
            }
        ),
        command=(
            "postgres",
            *(
                part
                for name, value in SERVER_SETTINGS.items()
                if name not in ("listen_addresses", "unix_socket_directories")
                for part in ("-c", f"{name}={value}")
            ),
        ),
        # Over TCP: the server that initialises the database listens on a unix socket only.
        healthcheck=HealthCheck(
            (
                "CMD",
                "psql",
                "--host=127.0.0.1",
                f"--username={USER}",
                f"--dbname={DATABASE}",
                "-c",
                "SELECT 1",
            )
        ),
        profile="cdc",
        container_name="cdc-postgres",
    ),
)

__all__ = ["DATABASE", "PASSWORD", "POSTGRES", "SERVER_SETTINGS", "USER", "connect"]
