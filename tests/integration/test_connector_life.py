"""What can be done with a connector beside creating it: offsets, restarts of a task, a new configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.config.debezium import PluginName
from lakebed.errors import ConnectRefused
from lakebed.lifecycle import ConnectorState
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.stack.addresses import Addresses
from lakebed.waiting import wait_until

EventsUntilNow = Callable[[Connector, str], list[dict[str, Any]]]


def test_the_worker_tells_its_version_health_and_plugins(debezium_client: DebeziumClient) -> None:
    assert debezium_client.version()["version"].startswith("4.")
    assert debezium_client.health()["status"] == "healthy"
    connectors = {plugin["class"] for plugin in debezium_client.plugins()}
    assert "io.debezium.connector.postgresql.PostgresConnector" in connectors
    types = {plugin["type"] for plugin in debezium_client.plugins(connectors_only=False)}
    assert types >= {"source", "converter", "transformation"}


def test_offsets_are_read_altered_and_reset_while_it_is_stopped(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    name = debezium_connector.name
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    assert [event["op"] for event in events_until_now(debezium_connector, "orders")] == ["c"]
    (kept,) = wait_until(
        lambda: debezium_client.offsets(name), "offsets to be committed", deadline_seconds=10
    )
    assert kept["partition"] == {"server": debezium_connector.config.topic_prefix}
    refusals: list[Callable[[], None]] = [
        lambda: debezium_client.reset_offsets(name),
        lambda: debezium_client.alter_offsets(name, [kept]),
    ]
    for refused in refusals:
        with pytest.raises(ConnectRefused, match="must be in the STOPPED state") as caught:
            refused()
        assert "debezium_client.stopped(name)" in caught.value.remedy

    with debezium_client.stopped(name):
        debezium_client.alter_offsets(name, [{**kept, "offset": {**kept["offset"], "txId": 7}}])
        assert debezium_client.offsets(name)[0]["offset"]["txId"] == 7
        debezium_client.reset_offsets(name)
        assert debezium_client.offsets(name) == []
    # Without offsets it begins anew, with a snapshot.
    debezium_client.wait_until_streaming(name, debezium_connector.config.slot_name, postgres_connection)
    assert [event["op"] for event in events_until_now(debezium_connector, "orders")] == ["c", "r"]


def test_acknowledged_means_that_every_row_of_a_bulk_is_in_the_topic(
    debezium_connector: Connector,
    postgres_connection: psycopg.Connection[Any],
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": "end-of-orders"})
    topic = TopicPartition(debezium_connector.topic("orders"), 0)
    try:
        # So many that they go to Kafka in many batches, which what is in other topics overtakes.
        for rows in (10_000, 20_000):
            postgres_connection.execute(
                "INSERT INTO orders SELECT id, repeat('x', 200) FROM generate_series(%s::int, %s::int) id",
                [rows - 9_999, rows],
            )
            debezium_connector.wait_until_acknowledged(postgres_connection)
            assert consumer.get_watermark_offsets(topic, timeout=10) == (0, rows)
    finally:
        consumer.close()


def test_one_task_is_restarted_and_goes_on_where_it_was(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    debezium_client.restart_task(debezium_connector.name)
    postgres_connection.execute("INSERT INTO orders VALUES (2)")
    ids = [event["after"]["id"] for event in events_until_now(debezium_connector, "orders")]
    # At least once: what had no committed offset yet comes again.
    assert list(dict.fromkeys(ids)) == [1, 2]
    with pytest.raises(ConnectRefused, match="HTTP 404"):
        debezium_client.restart_task(debezium_connector.name, 7)


def test_a_new_configuration_counts_when_update_returns(
    debezium_connector: Connector,
    postgres_connection: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
    postgres_connection.execute("INSERT INTO orders VALUES (1, 'seen')")
    changed = debezium_connector.update(
        postgres_connection, extra_config={"column.exclude.list": "public.orders.note"}
    )
    postgres_connection.execute("INSERT INTO orders VALUES (2, 'hidden')")
    events = events_until_now(changed, "orders")
    assert events[-1]["after"] == {"id": 2}
    # The same configuration again restarts nothing, and returns too.
    changed.update(postgres_connection)
    postgres_connection.execute("INSERT INTO orders VALUES (3, 'hidden')")
    assert events_until_now(changed, "orders")[-1]["after"] == {"id": 3}


def test_its_topics_are_listed_and_forgotten(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    name = debezium_connector.name
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    assert len(events_until_now(debezium_connector, "orders")) == 1
    topic = debezium_connector.topic("orders")
    wait_until(lambda: topic in debezium_client.topics(name), "the topic to be noted", deadline_seconds=10)
    debezium_client.pause(name)
    debezium_client.reset_topics(name)
    wait_until(lambda: debezium_client.topics(name) == [], "the topics to be forgotten", deadline_seconds=10)


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (
            PluginName.WAL2JSON,
            "Debezium dropped wal2json with version 2.0; and PostgreSQL answers: could not",
        ),
        (PluginName.DECODERBUFS, 'PostgreSQL answers: could not access file "decoderbufs"'),
    ],
)
def test_the_server_itself_says_that_it_lacks_a_plugin(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    plugin: PluginName,
    says: str,
) -> None:
    with pytest.raises(ConnectRefused) as caught:
        debezium_connectors(plugin_name=plugin)
    assert says in caught.value.seen
    assert "use PluginName.PGOUTPUT" in caught.value.remedy
    assert postgres_connection.info.dbname not in debezium_client.names()
    slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
    assert postgres_connection.execute(slots).fetchone() == (0,)


def test_what_debezium_itself_has_against_the_plugins(addresses: Addresses, lakebed_test_name: str) -> None:
    """The fixed part of the refusals is true: asked without the client, Debezium knows no wal2json."""
    import httpx

    content = addresses.debezium_connector_config(lakebed_test_name).to_connector_payload()["config"]
    url = f"{addresses.debezium_url}/connector-plugins/PostgresConnector/config/validate"
    answer = httpx.put(url, json={**content, "plugin.name": "wal2json"}, trust_env=False).json()
    (errors,) = (one["value"]["errors"] for one in answer["configs"] if one["value"]["name"] == "plugin.name")
    assert "Value must be one of decoderbufs, pgoutput" in errors[0]


def test_a_deleted_connector_can_be_created_again(
    debezium_connector: Connector,
    debezium_client: DebeziumClient,
    postgres_connection: psycopg.Connection[Any],
    events_until_now: EventsUntilNow,
) -> None:
    name, slot = debezium_connector.name, debezium_connector.config.slot_name
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    assert len(events_until_now(debezium_connector, "orders")) == 1
    debezium_client.delete(name)
    assert debezium_client.state(name) is ConnectorState.DELETED
    postgres_connection.execute("INSERT INTO orders VALUES (2)")
    debezium_client.create(debezium_connector.config)
    debezium_client.wait_until_streaming(name, slot, postgres_connection)
    ids = [event["after"]["id"] for event in events_until_now(debezium_connector, "orders")]
    assert list(dict.fromkeys(ids)) == [1, 2]
