"""The fixture `cdc_pipeline`: change topics into Delta and Iceberg tables, in one line of a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.config.kafka_clients import Kafka
from lakebed.pytest_plugin.observing import OBSERVED
from lakebed.services.spark import ICEBERG_CATALOG

if TYPE_CHECKING:
    import psycopg
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from pyspark.sql import SparkSession

    from lakebed.cdc.pipeline import OnCommit, Pipeline, Target
    from lakebed.cdc.progress import Progress
    from lakebed.clients.connector import Connector
    from lakebed.config.endpoints import Endpoint
    from lakebed.lifecycle import CleanUp
    from lakebed.pytest_plugin.observing import Observations
    from lakebed.pytest_plugin.session import SessionStack

Places = str | Mapping[str, str] | None


def targets_for(connector: Connector, tables: Sequence[str], delta: Places, iceberg: Places) -> list[Target]:
    """Return where the topics of tables go.

    Raises:
        ValueError: no table or no place is named, or one place for several tables.
    """
    from lakebed.cdc.pipeline import Target

    if not tables or (delta is None and iceberg is None):
        raise ValueError(
            'name the source\'s tables and where they go: cdc_pipeline(connector, "orders", delta=path,'
            ' iceberg=f"{iceberg_namespace}.orders")'
        )
    targets = []
    for table in tables:
        places = []
        if delta is not None:
            places.append(f"delta.`{_place(delta, table, tables, 'delta', '/')}`")
        if iceberg is not None:
            places.append(f"{ICEBERG_CATALOG}.{_place(iceberg, table, tables, 'iceberg', '.')}")
        targets.append(Target(connector.topic(table), tuple(places)))
    return targets


def _place(given: str | Mapping[str, str], table: str, tables: Sequence[str], what: str, between: str) -> str:
    if isinstance(given, str):
        # For several tables it is what they lie in.
        return given if len(tables) == 1 else f"{given}{between}{table.rpartition('.')[2]}"
    if table not in given:
        raise ValueError(f"{what} names no place for table {table!r}; it has places for: {', '.join(given)}")
    return given[table]


class CdcPipeline:
    """A pipeline of one test, with the barrier for its tables.

    Attributes:
        pipeline: the pipeline itself.
        connector: whose changes it takes in.
        checkpoint: the folder of its checkpoints; delete what is in it to lose them.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        connector: Connector,
        database: Callable[[], psycopg.Connection[Any]],
        bootstrap_servers: Kafka,
        checkpoint: str,
        lake: Mapping[str, Endpoint],
    ) -> None:
        self.pipeline = pipeline
        self.connector = connector
        self.checkpoint = checkpoint
        self._database = database
        self._bootstrap_servers = bootstrap_servers
        self._lake = lake

    def run_available(self) -> int:
        """Bring everything that was committed before this call into the tables; return how many changes.

        Raises:
            ConnectorFailed, PipelineFailed, DeadlinePassed: with the cause.
        """
        self.wait_until_in_kafka()
        return self.pipeline.run_available()

    def start(self, *, trigger_seconds: float = 0.1) -> None:
        """Bring changes in as they come, until `stop` or the end of the test."""
        self.pipeline.start(trigger_seconds=trigger_seconds)

    def stop(self) -> None:
        """End what `start` began, after the batches that are under way."""
        self.pipeline.stop()

    def wait_until_in_kafka(self, *, deadline_seconds: float = 60.0) -> str:
        """Return when everything that was committed before this call is in Kafka.

        See `Connector.wait_until_acknowledged`.
        """
        with self._database() as postgres:
            return self.connector.wait_until_acknowledged(postgres, deadline_seconds=deadline_seconds)

    def wait_until_caught_up(self, *, deadline_seconds: float = 60.0) -> None:
        """Return when everything that was committed before this call is in all tables of the pipeline.

        Raises:
            ConnectorFailed, PipelineFailed: at once, with the cause.
            DeadlinePassed: with the state of connector, slot, topic and tables.
        """
        from lakebed.cdc.barrier import wait_for_table
        from lakebed.cdc.topic_state import end_offsets

        self.wait_until_in_kafka(deadline_seconds=deadline_seconds)
        topics = [target.topic for target in self.pipeline.targets]
        ends = end_offsets(self._bootstrap_servers, topics)
        for target in self.pipeline.targets:
            for table in target.tables:
                wait_for_table(
                    lambda table=table: self.pipeline.progress(table),  # type: ignore[misc]
                    table,
                    target.topic,
                    self._bootstrap_servers,
                    ends=ends[target.topic],
                    deadline_seconds=deadline_seconds,
                    check=self.pipeline.raise_if_failed,
                    explain=self._explain,
                )

    def _explain(self) -> str:
        """Return what connector and pipeline do, and which servers of the lake cannot be reached."""
        from lakebed.services.attached.probing import unreachable

        lines = [self.pipeline.describe(), self.connector.describe()]
        for name, endpoint in self._lake.items():
            reasons = [unreachable(*server) for server in endpoint.servers()]
            lines += [f"{name}: {reason}" for reason in reasons if reason is not None]
        return "\n".join(lines)


class CdcPipelines:
    """Makes the pipelines of one test: what the fixture `cdc_pipeline` is."""

    def __init__(
        self,
        stack: SessionStack,
        spark: SparkSession,
        registry: SchemaRegistryClient,
        database: Callable[[], psycopg.Connection[Any]],
        clean_up: CleanUp,
        observed: Observations,
    ) -> None:
        self._stack = stack
        self._observed = observed
        self._spark = spark
        self._registry = registry
        self._database = database
        self._clean_up = clean_up

    def __call__(
        self,
        connector: Connector,
        *tables: str,
        delta: Places = None,
        iceberg: Places = None,
        checkpoint: str | None = None,
        on_commit: OnCommit = lambda table, progress: None,
    ) -> CdcPipeline:
        """Return a pipeline that keeps tables of the lake equal to tables of the connector's database.

        Args:
            connector: writes Avro (`avro=True`).
            tables: of the source, such as "orders" or "sales.orders".
            delta: the path of the Delta table. For several tables a folder they lie in, or one for each.
            iceberg: the identifier of the Iceberg table, "namespace.table". For several a namespace, or one
                for each.
            checkpoint: of another pipeline, to go on with; None for a new folder.
            on_commit: called after each commit with the table and how far it has come.

        Raises:
            ValueError: the connector does not write Avro, or no table or place is named.
        """
        from lakebed.cdc.pipeline import Pipeline

        if "avro" not in str(connector.config.extra_config.get("value.converter", "")).lower():
            raise ValueError(
                f"connector {connector.name!r} writes JSON, which does not say which types its values have;"
                " let it write Avro: @pytest.mark.debezium(avro=True), or debezium_connectors(avro=True)"
            )
        targets = targets_for(connector, tables, delta, iceberg)
        addresses = self._stack.need("kafka", "schema-registry", "s3")
        kafka = addresses.kafka
        folder = checkpoint or str(self._stack.new_folder())

        def commits(table: str, progress: Progress) -> None:
            self._observed.committed(table, progress)
            on_commit(table, progress)

        self._observed.brings(targets)
        pipeline = Pipeline(self._spark, kafka, self._registry, targets, folder, on_commit=commits)
        self._clean_up.add("the pipeline", pipeline.stop)
        lake: dict[str, Endpoint] = {"schema-registry": addresses.schema_registry, "s3": addresses.s3}
        if iceberg is not None and "iceberg-rest" in addresses:
            lake["iceberg-rest"] = addresses.iceberg_rest
        return CdcPipeline(pipeline, connector, self._database, kafka, folder, lake)


@pytest.fixture
def cdc_pipeline(
    request: pytest.FixtureRequest,
    lakebed_stack: SessionStack,
    spark_session: SparkSession,
    schema_registry_client: SchemaRegistryClient,
    postgres_connection: psycopg.Connection[Any],
    lakebed_clean_up: CleanUp,
) -> CdcPipelines:
    """Makes pipelines: `cdc_pipeline(connector, "orders", delta=path, iceberg=f"{namespace}.orders")`.

    Their checkpoints are in a folder of the stack, and what they started is stopped, when the test is over.
    """
    from lakebed.services import postgres

    server, name = lakebed_stack.need("postgres").postgres, postgres_connection.info.dbname
    return CdcPipelines(
        lakebed_stack,
        spark_session,
        schema_registry_client,
        lambda: postgres.connect(server, name),
        lakebed_clean_up,
        request.node.stash[OBSERVED],
    )
