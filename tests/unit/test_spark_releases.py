"""The installed PySpark decides: which files belong to it, and what is said where there are none."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from lakebed.cli.doctor import Finding, examine
from lakebed.clients.spark import spark_session_for
from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.settings import load_settings
from lakebed.errors import SparkUnsupported, StackFailed
from lakebed.provision import pyspark
from lakebed.provision.java import java_home
from lakebed.provision.lock import SETS, SPARK_RELEASES, Artifact, artifacts_of, sets_here, spark_release
from lakebed.provision.provide import provide
from lakebed.provision.pyspark import pyspark_version, release_of
from lakebed.services.spark import JARS, SCALA, session_settings
from lakebed.services.spark_java import spark_java_home

LOCKED = json.loads(files("lakebed.provision").joinpath("jars.lock.json").read_text("utf-8"))["sets"][JARS]
OTHERS = ["3.4.4", "4.0.2", "4.10.0", "5.0.0", "4", "41.0", "unknown"]


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, version: str) -> None:
    """Let a PySpark of a version be installed, as far as lakebed looks at it."""
    (folder / "version.py").write_text(f'# A licence.\n__version__: str = "{version}"\n')
    monkeypatch.setattr(pyspark, "pyspark_folder", lambda: folder)


@pytest.mark.parametrize(
    ("version", "release"), [("3.5.7", "3.5"), ("3.5.9", "3.5"), ("4.1.0", "4.1"), ("4.1.4.dev1", "4.1")]
)
def test_a_version_is_of_a_release(version: str, release: str) -> None:
    assert release_of(version, SPARK_RELEASES) == release


@pytest.mark.parametrize("version", OTHERS)
def test_another_version_is_told_which_ones_there_are(version: str) -> None:
    with pytest.raises(SparkUnsupported) as raised:
        release_of(version, SPARK_RELEASES)
    assert version in raised.value.seen
    for release in SPARK_RELEASES:
        assert f"{release}.*" in raised.value.seen
        assert f"pip install 'pyspark=={release}.*'" in raised.value.remedy


def test_the_version_is_that_of_the_installed_package() -> None:
    from pyspark.version import __version__

    assert pyspark_version() == __version__
    assert __version__.startswith(f"{spark_release()}.")


@pytest.mark.parametrize("text", ['__version__ = "3.5.9"', "__version__: str = '3.5.9'  # now"])
def test_the_version_is_read_however_it_is_written(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "version.py").write_text(text)
    monkeypatch.setattr(pyspark, "pyspark_folder", lambda: tmp_path)
    assert pyspark_version() == "3.5.9"


def test_a_package_without_a_version_is_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyspark, "pyspark_folder", lambda: tmp_path)
    with pytest.raises(SparkUnsupported, match=re.escape(str(tmp_path))):
        pyspark_version()
    (tmp_path / "version.py").touch()
    with pytest.raises(SparkUnsupported, match="--force-reinstall"):
        pyspark_version()


@pytest.mark.parametrize("release", SPARK_RELEASES)
def test_the_files_are_those_of_the_release(
    release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, f"{release}.3")
    found = artifacts_of([JARS])
    assert [one.coordinates for one in found] == LOCKED[release]
    assert sets_here() == SETS


@pytest.mark.parametrize("release", SPARK_RELEASES)
def test_a_release_has_one_of_each_library_for_its_scala(release: str) -> None:
    found = [Artifact.parse(coordinates) for coordinates in LOCKED[release]]
    libraries = [(one.group, one.name) for one in found]
    assert len(libraries) == len(set(libraries))
    of_scala = [one.name for one in found if re.search(r"_\d+\.\d+$", one.name)]
    assert len(of_scala) == 5
    assert all(name.endswith(f"_{SCALA[release]}") for name in of_scala)
    own = [one for one in found if one.group == "org.apache.spark"]
    assert all(release_of(one.version, SPARK_RELEASES) == release for one in own)


def test_every_release_has_its_settings() -> None:
    assert tuple(sorted(SCALA)) == SPARK_RELEASES
    for release in SPARK_RELEASES:
        settings = session_settings(DeltaSparkConfig(), [], Path("/folder"), [], release=release)
        retention = settings.get("spark.hadoop.fs.s3a.directory.marker.retention")
        assert retention == ("keep" if release == "3.5" else None)


@pytest.mark.parametrize("version", OTHERS)
def test_an_unknown_version_is_refused_before_anything_is_done(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, cache, folder = (tmp_path / name for name in ("package", "cache", "folder"))
    for new in (package, cache, folder):
        new.mkdir()
    install(monkeypatch, package, version)
    with pytest.raises(SparkUnsupported):
        provide(SETS, cache=cache)
    session = spark_session_for(DeltaSparkConfig(), [], folder, cache)
    with pytest.raises(SparkUnsupported), session:
        pass
    assert not list(cache.iterdir()) + list(folder.iterdir())
    assert sets_here() == tuple(name for name in SETS if name != JARS)


def test_without_pyspark_everything_else_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert sets_here() == tuple(name for name in SETS if name != JARS)
    with pytest.raises(StackFailed, match=r"lakebed\[spark\]"):
        artifacts_of([JARS])


def test_the_doctor_tells_what_is_used_and_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> Finding:
        findings = examine(load_settings())
        # One that cannot be used is named by what was attempted.
        (finding,) = [one for one in findings if "Spark" in one.subject and "port" not in one.subject]
        return finding

    for release, delta in (("3.5", "3.3.2"), ("4.1", "4.4.0")):
        install(monkeypatch, tmp_path, f"{release}.2")
        assert found().seen.startswith(f"PySpark {release}.2, with Delta Lake {delta} and Iceberg ")
        assert not found().remedy
    install(monkeypatch, tmp_path, "4.0.2")
    assert "3.5.* and 4.1.*" in found().seen
    assert "pyspark==" in found().remedy


def test_spark_3_5_has_java_as_it_is(tmp_path: Path) -> None:
    assert spark_java_home(tmp_path, "3.5") == java_home()
    assert not list(tmp_path.iterdir())


def test_spark_4_has_java_without_the_module_it_has_not(tmp_path: Path) -> None:
    folder = tmp_path / "with 'quotes' and blanks"
    java = spark_java_home(folder, "4.1") / "bin" / "java"
    # A second session, or a server that is started again.
    assert spark_java_home(folder, "4.1") == java.parents[1]

    def said(*arguments: str) -> str:
        command = [str(java), "-Xshare:auto", *arguments, "-XshowSettings:properties", "-version"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stderr

    assert "openjdk" in said("--add-modules=jdk.incubator.vector")
    shown = said('-Dits.own=a  b "c"', "--add-modules=jdk.incubator.vector", "-Dthe.last=$HOME")
    assert 'its.own = a  b "c"\n' in shown
    assert "the.last = $HOME\n" in shown
    with pytest.raises(subprocess.CalledProcessError):
        said("--add-modules=no.such.module")
