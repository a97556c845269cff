"""A standalone Spark cluster as containers: one master, one worker or more.

Natively, Spark is a JVM of the process that opens the session (`services/spark.py`).
"""

from __future__ import annotations

from lakebed.services.container import Container, HealthCheck

# The newest 3.5 with an image (apache/spark-docker, versions.json); Delta 3.3 is built for 3.5.
IMAGE = "apache/spark:3.5.8-scala2.12-java17-python3-ubuntu"
_MASTER_URL = "spark://spark-master:7077"
_CLASS_RUNNER = "/opt/spark/bin/spark-class"


SPARK_MASTER = Container(
    service="spark-master",
    image=IMAGE,
    port=7077,
    host_port=7077,
    command=(
        *(_CLASS_RUNNER, "org.apache.spark.deploy.master.Master"),
        *("--host", "spark-master", "--port", "7077", "--webui-port", "8080"),
    ),
    healthcheck=HealthCheck(("CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/json/")),
    profile="spark",
    container_name="cdc-spark-master",
)

SPARK_WORKER = Container(
    service="spark-worker",
    image=IMAGE,
    command=(
        *(_CLASS_RUNNER, "org.apache.spark.deploy.worker.Worker"),
        # The contract's executors take 1g.
        *("--cores", "2", "--memory", "2g", "--webui-port", "8081", _MASTER_URL),
    ),
    # It names its master there when that has accepted it.
    healthcheck=HealthCheck(("CMD-SHELL", "wget -q -O - http://127.0.0.1:8081/json/ | grep -q spark://")),
    needs=("spark-master",),
    profile="spark",
    # The executors call the driver back, which may be a program on the host.
    host_gateway=True,
)
