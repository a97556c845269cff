"""Tests that only use a fixture; `bench.fixtures` measures them. Not part of the test suite."""

from __future__ import annotations

from typing import Any

import psycopg

from lakebed.clients.connector import Connector


def test_database(repeat: int, postgres_connection: psycopg.Connection[Any]) -> None:
    row = postgres_connection.execute("SELECT current_database() LIKE 'test_database%'").fetchone()
    assert row == (True,)


def test_topic(repeat: int, kafka_topic: str) -> None:
    assert kafka_topic.startswith("test_topic")


def test_path(repeat: int, delta_table_path: str) -> None:
    assert delta_table_path.startswith("s3a://")


def test_namespace(repeat: int, iceberg_namespace: str) -> None:
    assert iceberg_namespace.startswith("test_namespace")


def test_connector(repeat: int, debezium_connector: Connector) -> None:
    assert debezium_connector.status().connector.state == "RUNNING"
