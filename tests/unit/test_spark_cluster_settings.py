"""What a Spark session is told for each kind of master."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lakebed.config.settings import load_settings
from lakebed.errors import StackFailed
from lakebed.services import SERVICE_NAMES
from lakebed.services.spark import session_settings
from lakebed.services.spark_cluster import CLUSTER_SERVICES, services_of, spark_jars
from lakebed.stack.addresses import Addresses

_JARS = [Path("/jars/a.jar"), Path("/jars/b.jar")]
_SPARK = {"spark-master": {"spark-master": 7077, "web": 2}}
_ADDRESSES = Addresses.of({"s3": {"s3": 9000}, **_SPARK}, load_settings())


def settings_for(master: str) -> dict[str, str]:
    return session_settings(_ADDRESSES.delta_spark_config(master), _JARS, Path("/folder"), [], release="3.5")


@pytest.mark.parametrize("master", ["local", "local[2]", "local[*]", "local[2,3]"])
def test_a_session_of_one_process_has_the_jars_on_its_class_path_only(master: str) -> None:
    settings = settings_for(master)
    assert settings["spark.driver.extraClassPath"] == "/jars/a.jar:/jars/b.jar"
    assert "spark.jars" not in settings


@pytest.mark.parametrize(
    "master", ["spark://a:7077", "yarn", "k8s://https://a:443", "local-cluster[2,1,1024]"]
)
def test_the_executors_of_others_get_the_jars_from_the_session(master: str) -> None:
    settings = settings_for(master)
    assert settings["spark.jars"] == "/jars/a.jar,/jars/b.jar"
    assert settings["spark.driver.extraClassPath"] == "/jars/a.jar:/jars/b.jar"


def test_executors_trust_whom_the_driver_trusts() -> None:
    flags = ["-Djavax.net.ssl.trustStore=/a folder/trusted.p12"]

    def for_executors(master: str) -> str | None:
        config = _ADDRESSES.delta_spark_config(master)
        settings = session_settings(config, _JARS, Path("/folder"), flags, flags, release="3.5")
        return settings.get("spark.executor.extraJavaOptions")

    assert for_executors("cluster") == f'"{flags[0]}"'
    assert for_executors("local[2]") is None


def test_the_stacks_own_cluster_has_the_jars_and_room_for_two_sessions() -> None:
    config = _ADDRESSES.delta_spark_config("cluster")
    assert config.master == "spark://127.0.0.1:7077"
    settings = settings_for("cluster")
    assert settings["spark.jars"] == ""
    assert settings["spark.cores.max"] == "2"
    assert settings["spark.executor.memory"] == "1g"


def test_only_the_word_cluster_asks_for_its_services() -> None:
    assert services_of("cluster") == CLUSTER_SERVICES
    assert services_of("local[2]") == services_of("spark://127.0.0.1:7077") == ()
    assert not set(CLUSTER_SERVICES) & set(SERVICE_NAMES)


def test_the_environment_names_the_master_where_there_is_one() -> None:
    assert _ADDRESSES.environment()["SPARK_MASTER_URL"] == "spark://127.0.0.1:7077"
    assert "SPARK_MASTER_URL" not in Addresses.of({"s3": {"s3": 9000}}, load_settings()).environment()


def test_without_pyspark_the_way_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StackFailed, match=r"lakebed\[spark\]"):
        spark_jars()
