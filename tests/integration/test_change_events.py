"""Change events of real connectors: which there are, in which order, and where they end."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

from lakebed.cdc.decoding import EventDecoder
from lakebed.cdc.events import UNAVAILABLE, ChangeEvent, Operation, Row
from lakebed.cdc.reading import change_events as read
from lakebed.clients.connector import Connector
from lakebed.config.debezium import SnapshotMode
from lakebed.errors import ConnectorFailed, ConnectRefused, DeadlinePassed, NoChangeEvents, PoisonMessage
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.stack.addresses import Addresses

Postgres = psycopg.Connection[Any]

in_every_form = pytest.mark.parametrize(
    "form",
    [
        pytest.param({}, id="JSON"),
        pytest.param(
            {"value_converter_schemas_enable": True, "key_converter_schemas_enable": True},
            id="JSON with schemas",
        ),
        pytest.param({"avro": True}, id="Avro", marks=pytest.mark.lakebed("schema-registry")),
    ],
)
EVERYTHING: dict[str, Any] = {
    "extra_config": {"skipped.operations": "none", "provide.transaction.metadata": "true"}
}


def summary(events: Sequence[ChangeEvent]) -> list[tuple[str, Any, Any, Any]]:
    return [
        (event.op.name, None if event.key is None else event.key["id"], event.before, event.after)
        for event in events
    ]


def one_value(postgres: Postgres, query: str, *parameters: Any) -> Any:
    row = postgres.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


@in_every_form
def test_the_life_of_a_row(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE prices (id int PRIMARY KEY, cents int)")
    postgres_connection.execute("INSERT INTO prices VALUES (1, 999)")
    debezium_connectors(**form, **EVERYTHING)
    postgres_connection.execute("INSERT INTO prices VALUES (2, NULL)")
    postgres_connection.execute("UPDATE prices SET cents = 899 WHERE id = 1")
    postgres_connection.execute("DELETE FROM prices WHERE id = 1")
    postgres_connection.execute("TRUNCATE prices")
    assert summary(list(change_events("prices"))) == [
        ("READ", 1, None, {"id": 1, "cents": 999}),
        ("CREATE", 2, None, {"id": 2, "cents": None}),
        ("UPDATE", 1, None, {"id": 1, "cents": 899}),
        # With REPLICA IDENTITY DEFAULT PostgreSQL logs only the key of what was before.
        ("DELETE", 1, {"id": 1, "cents": None}, None),
        ("TOMBSTONE", 1, None, None),
        ("TRUNCATE", None, None, None),
    ]


@in_every_form
def test_with_replica_identity_full_the_row_before_is_there(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE prices (id int PRIMARY KEY, cents int, name text)")
    postgres_connection.execute("ALTER TABLE prices REPLICA IDENTITY FULL")
    debezium_connectors(**form)
    postgres_connection.execute("INSERT INTO prices VALUES (1, 999, 'a')")
    postgres_connection.execute("UPDATE prices SET cents = 899")
    postgres_connection.execute("DELETE FROM prices")
    created, updated, deleted, tombstone = change_events("prices")
    assert created.row == updated.before == {"id": 1, "cents": 999, "name": "a"}
    assert updated.changed() == {"cents": (999, 899)}
    assert deleted.row == updated.after == {"id": 1, "cents": 899, "name": "a"}
    assert (tombstone.is_tombstone, tombstone.source) == (True, None)
    assert "cents=899" in repr(updated)
    assert f"{updated.topic}/0@1" in repr(updated)


@in_every_form
def test_a_changed_key_is_a_delete_and_a_create_that_know_each_other(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE prices (id int PRIMARY KEY, cents int)")
    postgres_connection.execute("INSERT INTO prices VALUES (1, 999)")
    debezium_connectors(**form)
    postgres_connection.execute("UPDATE prices SET id = 2")
    _, deleted, tombstone, created = change_events("prices")
    assert [event.op for event in (deleted, tombstone, created)] == [
        Operation.DELETE,
        Operation.TOMBSTONE,
        Operation.CREATE,
    ]
    assert (deleted.key, deleted.new_key, deleted.old_key) == ({"id": 1}, {"id": 2}, None)
    assert (tombstone.key, tombstone.new_key) == ({"id": 1}, {"id": 2})
    assert (created.key, created.old_key, created.new_key) == ({"id": 2}, {"id": 1}, None)
    assert created.after == {"id": 2, "cents": 999}


TOASTED = {
    "words": ("text", "repeat(md5('x'), 200)"),
    "document": ("jsonb", "to_jsonb(repeat(md5('x'), 200))"),
    "content": ("bytea", "convert_to(repeat(md5('x'), 200), 'UTF8')"),
    "markup": ("xml", "('<a>' || repeat(md5('x'), 200) || '</a>')::xml"),
    "pairs": ("hstore", "hstore('a', repeat(md5('x'), 200))"),
    "texts": ("text[]", "array_fill('abc'::text, ARRAY[1000])"),
    "wholes": ("int[]", "array_fill(1, ARRAY[1000])"),
    "larges": ("bigint[]", "array_fill(1::bigint, ARRAY[1000])"),
    "identities": ("uuid[]", "array_fill(gen_random_uuid(), ARRAY[1000])"),
    "contents": ("bytea[]", "array_fill('abc'::bytea, ARRAY[1000])"),
    "documents": ("jsonb[]", "array_fill('{}'::jsonb, ARRAY[1000])"),
}


@pytest.mark.parametrize(
    ("form", "modes"),
    [
        pytest.param({}, {}, id="JSON"),
        pytest.param({"value_converter_schemas_enable": True}, {}, id="JSON with schemas"),
        pytest.param({"avro": True}, {}, id="Avro", marks=pytest.mark.lakebed("schema-registry")),
        # With another binary.handling.mode Debezium sends NULL for bytea, and all is lost.
        pytest.param({}, {"hstore.handling.mode": "map"}, id="hstore as map"),
        pytest.param({}, {"unavailable.value.placeholder": "same as before"}, id="own placeholder"),
    ],
)
def test_a_value_that_did_not_change_and_is_not_in_the_log_is_unavailable(
    form: dict[str, Any],
    modes: dict[str, str],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE EXTENSION hstore")
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in TOASTED.items())
    postgres_connection.execute(f"CREATE TABLE articles (id int PRIMARY KEY, cents int, {columns})".encode())
    for name in TOASTED:
        # Not compressed, so that it is out of line for certain.
        postgres_connection.execute(f"ALTER TABLE articles ALTER {name} SET STORAGE EXTERNAL".encode())
    debezium_connectors(**form, extra_config=modes)
    values = ", ".join(value for _, value in TOASTED.values())
    postgres_connection.execute(f"INSERT INTO articles SELECT 1, 999, {values}".encode())
    postgres_connection.execute("UPDATE articles SET cents = 899")
    postgres_connection.execute("ALTER TABLE articles REPLICA IDENTITY FULL")
    postgres_connection.execute("UPDATE articles SET cents = 799")
    created, updated, fully_logged = change_events("articles")
    assert created.after is not None
    assert UNAVAILABLE not in created.after.values()
    assert updated.after == {"id": 1, "cents": 899, **dict.fromkeys(TOASTED, UNAVAILABLE)}
    assert fully_logged.after == {**created.after, "cents": 799}
    assert fully_logged.changed() == {"cents": (899, 799)}


@in_every_form
def test_a_transaction_says_how_its_events_are_ordered(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE lines (id int PRIMARY KEY)")
    debezium_connectors(**form, **EVERYTHING)
    with postgres_connection.transaction():
        transaction_id = one_value(postgres_connection, "SELECT pg_current_xact_id()::text::int")
        postgres_connection.execute("INSERT INTO orders VALUES (1)")
        postgres_connection.execute("INSERT INTO lines VALUES (1), (2)")
        postgres_connection.execute("INSERT INTO orders VALUES (2)")
    orders, lines = list(change_events("orders")), list(change_events("lines"))
    both = sorted(orders + lines, key=lambda event: event.transaction.total_order if event.transaction else 0)
    assert [event.source.table for event in both if event.source] == ["orders", "lines", "lines", "orders"]
    transactions = [event.transaction for event in both if event.transaction]
    assert [one.total_order for one in transactions] == [1, 2, 3, 4]
    assert [one.data_collection_order for one in transactions] == [1, 1, 2, 2]
    assert {one.tx_id for one in transactions} == {transaction_id}
    assert {event.source.tx_id for event in both if event.source} == {transaction_id}


@in_every_form
def test_a_logical_message_is_an_event(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    connector = debezium_connectors(**form)
    postgres_connection.execute("SELECT pg_logical_emit_message(true, 'audit', 'by Ada'::bytea)")
    events = list(change_events(f"{connector.config.topic_prefix}.message"))
    (said,) = [event for event in events if event.message and event.message.prefix == "audit"]
    assert (said.op, said.message and said.message.content) == (Operation.MESSAGE, b"by Ada")
    assert said.key == {"prefix": "audit"}


def test_positions_are_in_the_order_of_commits_and_times_are_now(
    postgres_connection: Postgres,
    debezium_connector: Connector,
    change_events: ChangeEvents,
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    before = one_value(postgres_connection, "SELECT clock_timestamp()")
    with postgres_connection.transaction():
        # Written first, committed last.
        postgres_connection.execute("INSERT INTO notes VALUES (1)")
        with psycopg.connect(
            postgres_connection.info.dsn, password=debezium_connector.config.database_password
        ) as other:
            other.execute("INSERT INTO notes VALUES (2)")
    postgres_connection.execute("INSERT INTO notes VALUES (3)")
    events = list(change_events("notes"))
    assert [event.key["id"] for event in events if event.key] == [2, 1, 3]
    sources = [event.source for event in events if event.source]
    assert sources == sorted(sources)
    assert sources[0] < sources[1] < sources[2] >= sources[1]
    assert sources[2] > sources[0] <= sources[0]
    assert (sources[1].lsn or 0) < (sources[0].lsn or 0)
    text = one_value(postgres_connection, "SELECT '0/0'::pg_lsn + %s::bigint::numeric", sources[0].lsn)
    assert sources[0].lsn_text == text
    for event, source in zip(events, sources, strict=True):
        assert not source.is_snapshot
        assert (source.connector, source.db) == ("postgresql", postgres_connection.info.dbname)
        assert event.timestamp is not None
        assert event.kafka_timestamp is not None
        assert before <= source.timestamp <= event.timestamp
        assert event.timestamp <= event.kafka_timestamp + timedelta(milliseconds=1)
        assert event.kafka_timestamp <= datetime.now(timezone.utc)


def test_what_was_read_from_the_table_says_so(
    postgres_connection: Postgres, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO notes SELECT generate_series(1, 3)")
    debezium_connectors()
    postgres_connection.execute("INSERT INTO notes VALUES (4)")
    events = list(change_events("notes"))
    assert [(event.op.value, event.source and event.source.is_snapshot) for event in events] == [
        ("r", True),
        ("r", True),
        ("r", True),
        ("c", False),
    ]


def test_nothing_is_missing_behind_a_large_transaction_and_nothing_is_read_twice(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    """The barrier's message alone overtakes the last batches of such a transaction."""
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    last: ChangeEvent | None = None
    total = 0
    for count in (1, 20000, 1, 5000):
        postgres_connection.execute(
            "INSERT INTO notes SELECT id, repeat(md5(id::text), 8) FROM generate_series(%s::int, %s::int) id",
            [total + 1, total + count],
        )
        events = list(change_events("notes", after=last))
        seen = [event.key["id"] for event in events if event.key]
        assert seen == list(range(total + 1, total + count + 1))
        last, total = events[-1], total + count


def test_an_iterator_ends_with_what_was_there_when_it_was_made(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO notes VALUES (1)")
    events = change_events("notes")
    postgres_connection.execute("INSERT INTO notes VALUES (2)")
    assert [event.key for event in change_events("notes")] == [{"id": 1}, {"id": 2}]
    assert [event.key for event in events] == [{"id": 1}]
    assert [event.key for event in change_events("notes", after=0)] == [{"id": 2}]
    assert list(change_events("notes", after=1)) == []


def test_a_table_without_changes_has_no_events(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    assert list(change_events("notes")) == []


def test_a_call_in_a_transaction_sees_what_others_have_committed(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    with postgres_connection.transaction():
        postgres_connection.execute("INSERT INTO notes VALUES (1)")
        assert list(change_events("notes")) == []
    assert [event.key for event in change_events("notes")] == [{"id": 1}]


@in_every_form
def test_a_table_that_is_altered_and_dropped_is_read_to_its_end(
    form: dict[str, Any],
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, price numeric(9,2))")
    connector = debezium_connectors(**form)
    postgres_connection.execute("INSERT INTO notes VALUES (1, 1.5)")
    topic = connector.topic("notes")
    (first,) = change_events(topic)
    postgres_connection.execute("ALTER TABLE notes ADD COLUMN day date")
    postgres_connection.execute("INSERT INTO notes VALUES (2, 2.5, '2024-02-29')")
    rows = postgres_connection.execute("SELECT * FROM notes ORDER BY id").fetchall()
    _, second = change_events(topic)
    assert [tuple(event.row.values()) for event in (first, second) if event.row] == [rows[0][:2], rows[1]]
    postgres_connection.execute("ALTER TABLE notes DROP COLUMN price")
    assert list(change_events(topic)) == [first, second]
    postgres_connection.execute("DROP TABLE notes")
    assert list(change_events(topic)) == [first, second]


@pytest.mark.lakebed("schema-registry")
def test_several_connectors_each_in_its_own_form(
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, at timestamptz DEFAULT now())")
    json, avro = debezium_connectors(), debezium_connectors(avro=True)
    postgres_connection.execute("INSERT INTO notes VALUES (1)")
    (from_json,), (from_avro,) = change_events(json.topic("notes")), change_events(avro.topic("notes"))
    assert from_json.after == from_avro.after
    assert from_json.topic != from_avro.topic
    (given,) = change_events("notes", connector=avro)
    assert given == from_avro
    with pytest.raises(
        NoChangeEvents, match=r"no connector of this test has that topic.*topic prefixes"
    ) as error:
        change_events("notes")
    assert json.config.topic_prefix in str(error.value)


def test_a_table_that_does_not_exist_is_named_with_those_that_do(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    with pytest.raises(NoChangeEvents, match=r"no table public\.note; its tables: public\.notes"):
        change_events("note")


def test_without_a_connector_the_error_says_what_to_use(change_events: ChangeEvents) -> None:
    with pytest.raises(NoChangeEvents, match="has made no connector") as error:
        change_events("notes")
    assert "debezium_connector" in str(error.value)


def test_a_failed_connector_is_an_error_at_once_with_its_trace(
    postgres_connection: Postgres, debezium_connectors: DebeziumConnectors, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, text text)")
    # A record that is larger than what the producer takes ends the task.
    connector = debezium_connectors(extra_config={"producer.override.max.request.size": "5000"})
    postgres_connection.execute("INSERT INTO notes VALUES (1, repeat('x', 10000))")
    with pytest.raises(ConnectorFailed, match="RecordTooLargeException"):
        change_events(connector.topic("notes"))


def test_a_connector_that_only_takes_a_snapshot_has_no_end_to_wait_for(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    config = dataclasses.replace(debezium_connector.config, snapshot_mode=SnapshotMode.INITIAL_ONLY)
    connector = dataclasses.replace(debezium_connector, config=config)
    with pytest.raises(NoChangeEvents, match=r"(?s)initial_only.*lakebed\.cdc\.reading"):
        change_events(connector.topic("notes"), connector=connector)


def test_a_connector_that_is_gone_is_an_error_at_once(
    postgres_connection: Postgres,
    debezium_connector: Connector,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    debezium_connectors.delete(debezium_connector)
    with pytest.raises(ConnectRefused, match="HTTP 404"):
        change_events("notes")


def test_a_paused_connector_is_an_error_with_its_state_when_the_time_is_up(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    debezium_connector.client.pause(debezium_connector.name)
    with pytest.raises(DeadlinePassed, match=r"(?s)to acknowledge everything.*state: PAUSED"):
        change_events("notes", deadline_seconds=1)


POISON = {
    b"\xff\xfepoison": "neither Avro .* nor JSON",
    b"": "neither Avro .* nor JSON",
    b'{"id": 1}': "no change event.*the fields id",
    b"[1]": "no change event",
    b"\x00\x00\x00\x00\x07abc": "no schema registry was given",
    b'{"op": "c", "source": {"connector": "oracle"}}': "connectors for postgresql, mariadb.*oracle",
    b'{"op": "c", "source": {"connector": "postgresql"}}': "KeyError 'db'",
    b'{"schema": {}, "payload": {}}': "broken schema",
}


def test_a_poison_message_says_where_it_is_and_what_to_do(
    postgres_connection: Postgres,
    debezium_connector: Connector,
    change_events: ChangeEvents,
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO notes VALUES (1)")
    topic = debezium_connector.topic("notes")
    assert len(list(change_events(topic))) == 1
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    for value in POISON:
        producer.produce(topic, value, key=b"not a key either")
    assert producer.flush(10) == 0
    postgres_connection.execute("INSERT INTO notes VALUES (2)")

    events = change_events(topic)
    assert next(events).key == {"id": 1}
    with pytest.raises(
        PoisonMessage, match=rf"(?s)offset 1 of topic '{topic}', partition 0.*after=1"
    ) as error:
        next(events)
    assert repr(next(iter(POISON))) in str(error.value)
    assert [event.key for event in change_events(topic, after=len(POISON))] == [{"id": 2}]

    skipped: list[tuple[Any, PoisonMessage]] = []
    kept = change_events(topic, on_poison=lambda message, error: skipped.append((message.value(), error)))
    assert [event.key for event in kept] == [{"id": 1}, {"id": 2}]
    assert [message for message, _ in skipped] == list(POISON)
    for reason, (_, error_of_it) in zip(POISON.values(), skipped, strict=True):
        assert re.search(reason, str(error_of_it))


@pytest.mark.lakebed("schema-registry")
def test_avro_that_is_broken_or_of_an_unknown_schema_is_poison(
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    connector = debezium_connectors(avro=True)
    postgres_connection.execute("INSERT INTO notes VALUES (1)")
    topic = connector.topic("notes")
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": topic})
    assert len(list(change_events(topic))) == 1
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    good = bytes(message.value() or b"")
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    for value in (good[:20], good + b"!", b"\x00\x7f\xff\xff\xff" + good[5:]):
        producer.produce(topic, value, key=message.key())
    assert producer.flush(10) == 0
    errors: list[str] = []
    events = list(change_events(topic, on_poison=lambda _, error: errors.append(str(error))))
    assert [event.key for event in events] == [{"id": 1}]
    for text, error in zip(
        ("not Avro of schema", "bytes left over", "which the registry refuses"), errors, strict=True
    ):
        assert text in error


def test_a_column_whose_type_was_changed_is_named(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, price int)")
    postgres_connection.execute("INSERT INTO notes VALUES (1, 5)")
    postgres_connection.execute("ALTER TABLE notes ALTER price TYPE numeric(9,2)")
    with pytest.raises(PoisonMessage, match=r"column 'price' of type .*Decimal holds 5"):
        list(change_events("notes"))


@pytest.mark.lakebed("schema-registry")
def test_messages_of_an_ordinary_consumer_can_be_decoded(
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
    schema_registry_client: SchemaRegistryClient,
    addresses: Addresses,
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY, price numeric)")
    connector = debezium_connectors(avro=True)
    postgres_connection.execute("INSERT INTO notes VALUES (1, 1.5)")
    (event,) = change_events("notes")
    decoder = EventDecoder(registry=schema_registry_client)
    consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, "group.id": event.topic})
    consumer.assign([TopicPartition(event.topic, 0, 0)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    assert decoder.decode(message) == change_events.decoder(connector).decode(message) == event
    # Without a connection and without schemas values stay as they were sent.
    assert isinstance(decoder.decode(message).after, Row)


def test_partitions_are_all_read_and_need_an_offset_each(
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
    addresses: Addresses,
) -> None:
    partitions = {"topic.creation.default.partitions": "3", "topic.creation.default.replication.factor": "1"}
    connector = debezium_connectors(extra_config=partitions)
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO notes SELECT generate_series(1, 100)")
    events = list(change_events("notes"))
    assert sorted(event.key["id"] for event in events if event.key) == list(range(1, 101))
    assert {event.partition for event in events} == {0, 1, 2}
    with pytest.raises(ValueError, match=r"no offset for the partitions \[1, 2\].*\{0: 41, 1: 17\}"):
        change_events("notes", after=0)
    topic = connector.topic("notes")
    behind = read(
        addresses.kafka_bootstrap_servers,
        topic,
        change_events.decoder(connector),
        after={0: 10**6, 1: -1, 2: 10**6},
    )
    assert [event.offset for event in behind] == [event.offset for event in events if event.partition == 1]


def test_an_event_of_another_topic_is_no_place_to_go_on_from(
    postgres_connection: Postgres, debezium_connector: Connector, change_events: ChangeEvents
) -> None:
    postgres_connection.execute("CREATE TABLE notes (id int PRIMARY KEY)")
    postgres_connection.execute("CREATE TABLE others (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO notes VALUES (1)")
    postgres_connection.execute("INSERT INTO others VALUES (1)")
    (event,) = change_events("notes")
    with pytest.raises(ValueError, match="after is an event of topic"):
        change_events("others", after=event)
    with pytest.raises(ValueError, match="-1 for the beginning"):
        change_events("notes", after=-2)
