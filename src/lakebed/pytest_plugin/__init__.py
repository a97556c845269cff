"""The pytest plugin: fixtures on a stack that starts once and only with what the tests ask for."""

from __future__ import annotations

from lakebed.pytest_plugin.crash import lakebed_crash, postgres_connections
from lakebed.pytest_plugin.events import change_events
from lakebed.pytest_plugin.fixtures import (
    debezium_client,
    debezium_connector,
    debezium_connectors,
    delta_table_path,
    iceberg_catalog,
    iceberg_namespace,
    kafka_admin_client,
    kafka_topic,
    lakebed_clean_up,
    lakebed_record,
    lakebed_settings,
    lakebed_stack,
    lakebed_test_name,
    postgres_connection,
    postgres_databases,
    schema_registry_client,
    spark_session,
)
from lakebed.pytest_plugin.hooks import (
    pytest_addoption,
    pytest_collection_finish,
    pytest_configure,
    pytest_itemcollected,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_runtestloop,
    pytest_sessionfinish,
)
from lakebed.pytest_plugin.mariadb import mariadb_connection, mariadb_connector
from lakebed.pytest_plugin.pipelines import cdc_pipeline
from lakebed.pytest_plugin.tables import change_feed, table_rows

__all__ = [
    "cdc_pipeline",
    "change_events",
    "change_feed",
    "debezium_client",
    "debezium_connector",
    "debezium_connectors",
    "delta_table_path",
    "iceberg_catalog",
    "iceberg_namespace",
    "kafka_admin_client",
    "kafka_topic",
    "lakebed_clean_up",
    "lakebed_crash",
    "lakebed_record",
    "lakebed_settings",
    "lakebed_stack",
    "lakebed_test_name",
    "mariadb_connection",
    "mariadb_connector",
    "postgres_connection",
    "postgres_connections",
    "postgres_databases",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_itemcollected",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_protocol",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_runtestloop",
    "pytest_sessionfinish",
    "schema_registry_client",
    "spark_session",
    "table_rows",
]
