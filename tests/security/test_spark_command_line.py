"""How a Spark session's JVM gets its settings: not by its command line, which every user may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from pyspark import SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from lakebed.clients.spark import spark_session_for
from lakebed.config.delta import DeltaSparkConfig
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder

_ACTIVE = ((SparkContext, "_active_spark_context"), (SparkSession, "_instantiatedSession"))
SECRET, BLANKS = "S3cr3tOfTheStore", " between blanks "
# Stands in for Spark's program: notes how it was called, and ends.
PROGRAM = """#!/bin/sh
for argument in "$@"; do echo "$argument"; done > called
while [ "$1" != --properties-file ]; do shift; done
cp "$2" settings
stat -c %a "$2" > mode
exit 3
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Open a session with a store's key, by a program that ends at once; the folder with its notes."""
    home, notes, folder = tmp_path / "spark", tmp_path / "notes", tmp_path / "with blanks"
    for new in (home / "bin", notes, folder):
        new.mkdir(parents=True)
    (home / "bin" / "spark-submit").write_text(PROGRAM)
    (home / "bin" / "spark-submit").chmod(0o755)
    # Tests before this one may have a session in this process; it goes on afterwards.
    for owner, name in ((SparkContext, "_gateway"), (SparkContext, "_jvm"), *_ACTIVE):
        monkeypatch.setattr(owner, name, None)
    monkeypatch.setattr("pyspark.java_gateway._find_spark_home", lambda: str(home))
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--conf a=b pyspark-shell")
    monkeypatch.chdir(notes)
    config = DeltaSparkConfig(
        s3_secret_key=SECRET,
        extra_config={"spark.my.text": BLANKS, "my.own": "1", "spark.my.other": "a=b: \\c"},
    )
    jar = tmp_path / "a.jar"
    jar.touch()
    cache = cache_folder(load_settings().cache_folder)
    with pytest.raises(PySparkRuntimeError), spark_session_for(config, [jar], folder, cache):
        pass
    assert list(folder.glob("*.properties")) == [folder / "log4j2.properties"]
    assert os.environ["PYSPARK_SUBMIT_ARGS"] == "--conf a=b pyspark-shell"
    return notes


def test_no_secret_is_on_the_command_line(called: Path) -> None:
    arguments = (called / "called").read_text()
    assert SECRET not in arguments
    # A file could not carry these: Spark cuts the blanks off, and leaves out what is not its own.
    assert f"spark.my.text={BLANKS}" in arguments
    assert "my.own=1" in arguments
    assert arguments.splitlines()[-1] == "pyspark-shell"


def test_the_settings_are_in_a_file_for_this_user_only(called: Path) -> None:
    assert (called / "mode").read_text().strip() == oct(stat.S_IRUSR | stat.S_IWUSR)[2:]
    settings = (called / "settings").read_text()
    assert f"spark.hadoop.fs.s3a.secret.key={SECRET}\n" in settings
    assert "spark.driver.bindAddress=127.0.0.1\n" in settings
    assert "spark.my.other=a=b: \\\\c\n" in settings
