"""How Spark is configured for Delta Lake on an S3 store."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lakebed.config.checks import check_flag, check_text, check_text_mapping, check_url
from lakebed.config.secrets import masked_repr

DELTA_SPARK_CONFIG: dict[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.jars.packages": "io.delta:delta-spark_2.12:3.3.2",
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
    "spark.sql.warehouse.dir": "/tmp/spark-warehouse",
    "spark.hadoop.fs.s3a.endpoint": "http://minio:9000",
    "spark.hadoop.fs.s3a.access.key": "minioadmin",
    "spark.hadoop.fs.s3a.secret.key": "minioadmin",
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
}
"""The settings of the Spark service, as the contract writes them."""

_MASTER = re.compile(
    r"local(\[(\d+|\*)(,\s*\d+)?\])?|local-cluster\[\d+,\s*\d+,\s*\d+\]|yarn|(spark|mesos|k8s)://\S+"
)
_DELTA_VERSION = re.compile(r"\d+(\.\d+){1,3}([-.]?[A-Za-z][A-Za-z0-9.-]*)?")
_SCALA_VERSION = re.compile(r"\d+\.\d+")
_MEMORY = re.compile(r"0*[1-9]\d*[kmgtKMGT]")


@dataclass
class DeltaSparkConfig:
    """Configuration for Delta Lake with Spark.

    ``extra_config`` overrides every other setting. Raises TypeError or ValueError, naming the field, for a
    value that cannot work: when it is made and again when it is converted.
    """

    app_name: str = "CDC-Demo-Tests"
    master: str = "spark://localhost:7077"

    delta_version: str = "3.3.2"
    scala_version: str = "2.12"

    enable_cdf: bool = True

    s3_endpoint: str = "http://localhost:9000"
    s3_access_key: str = "minioadmin"
    s3_secret_key: str = "minioadmin"
    s3_path_style_access: bool = True

    driver_memory: str = "1g"
    executor_memory: str = "1g"

    extra_config: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.validate()

    def __repr__(self) -> str:
        return masked_repr(self)

    def validate(self) -> None:
        """Raise TypeError or ValueError for the first field that cannot work.

        Sources: Spark, "Submitting Applications", Master URLs; "Spark Configuration", spark.driver.memory.
        """
        masters = "a Spark master such as local[2], spark://localhost:7077, yarn or k8s://https://host:443"
        memory = 'a Spark memory size: a number and one of k, m, g, t, such as "1g" or "512m"'
        check_text("DeltaSparkConfig.app_name", self.app_name)
        check_text("DeltaSparkConfig.master", self.master, masters, pattern=_MASTER)
        check_text(
            "DeltaSparkConfig.delta_version",
            self.delta_version,
            "a version such as 3.3.2",
            pattern=_DELTA_VERSION,
        )
        check_text(
            "DeltaSparkConfig.scala_version",
            self.scala_version,
            "a Scala version of two numbers such as 2.12",
            pattern=_SCALA_VERSION,
        )
        check_flag("DeltaSparkConfig.enable_cdf", self.enable_cdf)
        check_url("DeltaSparkConfig.s3_endpoint", self.s3_endpoint)
        check_text("DeltaSparkConfig.s3_access_key", self.s3_access_key)
        check_text("DeltaSparkConfig.s3_secret_key", self.s3_secret_key)
        check_flag("DeltaSparkConfig.s3_path_style_access", self.s3_path_style_access)
        check_text("DeltaSparkConfig.driver_memory", self.driver_memory, memory, pattern=_MEMORY)
        check_text("DeltaSparkConfig.executor_memory", self.executor_memory, memory, pattern=_MEMORY)
        check_text_mapping("DeltaSparkConfig.extra_config", self.extra_config)

    def to_spark_config(self) -> dict[str, str]:
        """Convert to Spark configuration dictionary.

        As in the contract, ``app_name`` and ``master`` are not part of it: they are given to the session
        builder.
        """
        self.validate()
        config = {
            "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
            "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
            "spark.jars.packages": f"io.delta:delta-spark_{self.scala_version}:{self.delta_version}",
            "spark.databricks.delta.properties.defaults.enableChangeDataFeed": str(self.enable_cdf).lower(),
            "spark.hadoop.fs.s3a.endpoint": self.s3_endpoint,
            "spark.hadoop.fs.s3a.access.key": self.s3_access_key,
            "spark.hadoop.fs.s3a.secret.key": self.s3_secret_key,
            "spark.hadoop.fs.s3a.path.style.access": str(self.s3_path_style_access).lower(),
            "spark.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
            "spark.driver.memory": self.driver_memory,
            "spark.executor.memory": self.executor_memory,
        }
        config.update(self.extra_config)
        return config
