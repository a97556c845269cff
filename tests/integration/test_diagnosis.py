"""What a failed wait tells: the connector, its task, its slot, its publication, Connect's log."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.diagnosis import diagnose
from lakebed.errors import DeadlinePassed


def test_a_streaming_connector_with_its_slot_and_publication(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    text = debezium_connector.describe(postgres_connection)
    assert text.startswith("state: RUNNING\n")
    assert "task 0 RUNNING" in text
    assert "Connect's worker: healthy: " in text
    assert f"slot '{debezium_connector.config.slot_name}': sender streaming, " in text
    assert "bytes behind" in text
    assert "wal_status=reserved" in text
    assert f"publication '{debezium_connector.config.publication_name}': all tables" in text
    assert "the end of Connect's log:" in text
    assert debezium_connector.config.database_password not in text
    # The slot's name is known to Connect as well.
    assert "sender streaming" in diagnose(debezium_client, debezium_connector.name, postgres_connection)


def test_a_slot_nobody_uses_and_one_that_is_not_there(
    debezium_client: DebeziumClient, postgres_connection: psycopg.Connection[Any]
) -> None:
    own = postgres_connection.info.dbname
    postgres_connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [own])
    text = diagnose(debezium_client, "no-such-connector", postgres_connection, own)
    assert text.startswith("connector: no answer (ConnectRefused: HTTP 404")
    assert f"slot '{own}': inactive since 20" in text
    assert "slot 'elsewhere': does not exist" in diagnose(
        debezium_client, "no-such-connector", postgres_connection, "elsewhere"
    )


def test_servers_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # bound, but it does not listen
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with DebeziumClient(url, log=tmp_path / "connect.log") as client:
            text = diagnose(client, "orders")
    assert text.startswith("connector: no answer (ConnectRefused: ConnectError:")
    assert "Connect's worker: no answer (ConnectRefused: ConnectError:" in text
    assert "(no log: No such file or directory)" in text


def test_a_deadline_of_waiting_to_stream_holds_the_diagnosis(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
) -> None:
    name = debezium_connector.name
    with pytest.raises(DeadlinePassed) as caught:
        debezium_client.wait_until_streaming(name, "another_slot", postgres_connection, deadline_seconds=0.1)
    assert "state: RUNNING" in caught.value.seen
    assert "task 0 RUNNING" in caught.value.seen
    assert "slot 'another_slot': does not exist" in caught.value.seen
    assert "the end of Connect's log:" in caught.value.seen
