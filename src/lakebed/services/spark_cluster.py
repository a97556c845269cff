"""A standalone Spark cluster: one master and two workers, from PySpark's own jars.

Both are started as `sbin/start-master.sh` and `start-worker.sh` would, without their shell (Apache Spark
documentation, "Spark Standalone Mode"). A worker starts the executors: JVMs that inherit its environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakebed.config.settings import CLUSTER
from lakebed.provision.lock import spark_release
from lakebed.provision.pyspark import pyspark_folder
from lakebed.services.answers import found
from lakebed.services.definition import LOOPBACK, Place, Service
from lakebed.services.java_logging import log_flag, write_log_configuration
from lakebed.services.spark import JARS, JAVA_FLAGS, SCALA
from lakebed.services.spark_java import spark_java_home

# As the contract's container: room for the executors of two sessions, each with one core of each worker.
CORES = 2
MEMORY = "2g"
_WEB = "web"
_COMMON_FLAGS = (
    # The next port instead of one that is taken would be one that nobody was told of.
    "-Dspark.port.maxRetries=0",
    # The web page is for reading.
    "-Dspark.ui.killEnabled=false",
    # Another way to hand in applications, which Spark 4 has open unless told otherwise, always on port 6066.
    "-Dspark.master.rest.enabled=false",
)
_RECOVERY_FLAGS = (
    "-Dspark.deploy.recoveryMode=FILESYSTEM",
    # How long a master that comes back waits for workers and sessions that do not.
    "-Dspark.worker.timeout=20",
)

SESSION_SETTINGS = {
    # They are on the executors' class path already; Spark would copy 300 MB to each.
    "spark.jars": "",
    # One executor on each worker; a second session (a pipeline in a process of its own) finds room too.
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
}
"""What a session on this cluster needs beside the model."""


def spark_jars() -> tuple[Path, ...]:
    """Return PySpark's own jars, always in the same order; raises as `pyspark_folder`."""
    return tuple(sorted((pyspark_folder() / "jars").glob("*.jar")))


def services_of(master: str) -> tuple[str, ...]:
    """Return the services that a session with this setting `spark_master` needs: the cluster, or none."""
    return CLUSTER_SERVICES if master == CLUSTER else ()


def master_url(port: int) -> str:
    """Return the URL of a master that lakebed has started on a port."""
    return f"spark://{LOOPBACK}:{port}"


def master_state(port: int) -> dict[str, Any]:
    """Return what a master tells of itself: `status`, `workers`, `activeapps`, `completedapps`.

    Args:
        port: of its web page (Apache Spark, `JsonProtocol.writeMasterState`).
    """
    state: dict[str, Any] = found(port, "/json/")
    return state


def _web_port(place: Place, service: str) -> int:
    return place.stack_ports[service][_WEB]


def _prepare(place: Place) -> None:
    # In Spark's configuration folder: the executors read it as well.
    write_log_configuration(place.folder, "warn")


def _command(
    place: Place, service: str, main_class: str, flags: list[str], arguments: list[str]
) -> list[str]:
    listen = ["--host", LOOPBACK, "--port", str(place.ports[service])]
    web = ["--webui-port", str(place.ports[_WEB])]
    java = [*place.java, log_flag(place.folder), *_COMMON_FLAGS, *flags, "-cp", place.joined_class_path()]
    return [*java, f"org.apache.spark.deploy.{main_class}", *listen, *web, *arguments]


def _environment(place: Place) -> dict[str, str]:
    temporary = str(place.folder / "tmp")
    release = spark_release()
    return {
        "SPARK_HOME": str(pyspark_folder()),
        "SPARK_CONF_DIR": str(place.folder),
        # Spark would look for it in the folders of a build, which PySpark has not.
        "SPARK_SCALA_VERSION": SCALA[release],
        # For the executors: this process has been started with the other one.
        "JAVA_HOME": str(spark_java_home(place.folder, release)),
        # Also the address of the web page (Apache Spark, `WebUI.bind`).
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_LOCAL_DIRS": temporary,
    }


def _command_of_master(place: Place) -> list[str]:
    recovery = [*_RECOVERY_FLAGS, f"-Dspark.deploy.recoveryDirectory={place.folder / 'recovery'}"]
    return _command(place, "spark-master", "master.Master", recovery, [])


def _check_master(place: Place) -> None:
    status = master_state(place.ports[_WEB])["status"]
    if status != "ALIVE":
        raise ConnectionError(f"the master is {status}")


def _worker(number: int) -> Service:
    name = f"spark-worker-{number}"

    def command(place: Place) -> list[str]:
        size = ["--cores", str(CORES), "--memory", MEMORY, "--work-dir", str(place.folder / "work")]
        master = master_url(place.stack_ports["spark-master"]["spark-master"])
        return _command(place, name, "worker.Worker", [], [*size, master])

    def environment(place: Place) -> dict[str, str]:
        own = set(spark_jars())
        lake_jars = [str(jar) for jar in place.class_path if jar not in own]
        temporary = place.folder / "tmp"
        return {
            **_environment(place),
            # What executors get beside Spark's own jars (Apache Spark, `AbstractCommandBuilder`).
            "SPARK_DIST_CLASSPATH": ":".join(lake_jars),
            # Executors take their flags from the session, which does not know this folder.
            "JAVA_TOOL_OPTIONS": " ".join([*JAVA_FLAGS, f"-Djava.io.tmpdir={temporary}"]),
            # Where S3A collects what it is going to send (core-default.xml, `fs.s3a.buffer.dir`).
            "LOCAL_DIRS": str(temporary),
        }

    def check(place: Place) -> None:
        workers = master_state(_web_port(place, "spark-master"))["workers"]
        states = [worker["state"] for worker in workers if worker["port"] == place.ports[name]]
        if "ALIVE" not in states:
            raise ConnectionError(f"the master knows this worker as: {', '.join(states) or 'not at all'}")

    return Service(
        name=name,
        title="Spark standalone worker",
        needs=("spark-master",),
        # A worker that finds no master waits longer between its questions than a master takes to start.
        waits_for=("spark-master",),
        ports={name: None, _WEB: None},
        # With one executor that has run a pipeline.
        memory_mb=800,
        jars=JARS,
        package_jars=spark_jars,
        heap_mb=192,
        prepare=_prepare,
        command=command,
        environment=environment,
        check=check,
    )


SPARK_MASTER = Service(
    name="spark-master",
    title="Spark standalone master",
    ports={"spark-master": 7077, _WEB: None},
    memory_mb=200,
    package_jars=spark_jars,
    heap_mb=192,
    prepare=_prepare,
    command=_command_of_master,
    environment=_environment,
    check=_check_master,
)

SPARK_WORKERS = (_worker(1), _worker(2))

CLUSTER_SERVICES = tuple(service.name for service in (SPARK_MASTER, *SPARK_WORKERS))
