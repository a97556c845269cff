"""What three brokers and three Connect workers must survive; run by `test_kafka_cluster.py`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from lakebed.clients.topics import create_topic
from lakebed.config.kafka_clients import client_settings
from lakebed.services.connect_storage import STORAGE_TOPICS
from lakebed.services.endpoints import BROKERS, WORKERS
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

    from lakebed.cdc.events import ChangeEvent
    from lakebed.clients.connector import Connector
    from lakebed.clients.debezium import DebeziumClient
    from lakebed.config.endpoints import KafkaEndpoint
    from lakebed.pytest_plugin.connectors import DebeziumConnectors
    from lakebed.pytest_plugin.crash import Crash
    from lakebed.pytest_plugin.events import ChangeEvents
    from lakebed.pytest_plugin.session import SessionStack

NODES = (1, 2, 3)


def partitions(admin: AdminClient, topic: str) -> dict[int, Any]:
    """By number, the partitions of a topic: leader, replicas, isrs."""
    found: dict[int, Any] = admin.list_topics(topic, timeout=30).topics[topic].partitions
    return found


def quorum_leader(stack: SessionStack) -> int:
    """The node that leads the quorum of controllers, as the nodes have written down (Kafka, KIP-595)."""
    files = [stack.folder / name / "log" / "__cluster_metadata-0" / "quorum-state" for name in BROKERS]
    states = [json.loads(file.read_text()) for file in files]
    known = [state for state in states if state["leaderId"] in NODES]
    leader: int = max(known, key=lambda state: state["leaderEpoch"])["leaderId"]
    return leader


def ids_of(events: Iterable[ChangeEvent]) -> set[int]:
    """Return the keys of the rows that the events are about."""
    return {event.row["id"] for event in events if event.row is not None}


# -- brokers ------------------------------------------------------------------------------------------


def test_every_topic_is_on_three_brokers_and_leaders_are_spread(
    kafka_admin_client: AdminClient,
    kafka_topic: str,
    lakebed_record: Callable[[str, str], None],
    debezium_connector: Connector,
    postgres_connection: psycopg.Connection[Any],
    lakebed_stack: SessionStack,
) -> None:
    assert len(lakebed_stack.need("kafka").kafka_bootstrap_servers.split(",")) == 3
    assert sorted(kafka_admin_client.list_topics(timeout=30).brokers) == list(NODES)
    spread = f"{kafka_topic}-spread"
    lakebed_record("topic", spread)
    create_topic(kafka_admin_client, spread, partitions=6)
    assert {one.leader for one in partitions(kafka_admin_client, spread).values()} == set(NODES)
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    postgres_connection.execute("INSERT INTO orders VALUES (1)")
    debezium_connector.wait_until_acknowledged(postgres_connection)
    # Made by the fixture, by Kafka itself, by Connect, and by the connector.
    topics = (kafka_topic, "__consumer_offsets", *STORAGE_TOPICS, debezium_connector.topic("orders"))
    for topic in topics:
        for one in partitions(kafka_admin_client, topic).values():
            assert sorted(one.replicas) == sorted(one.isrs) == list(NODES), topic
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        config = kafka_admin_client.describe_configs([resource])[resource].result(30)
        assert config["min.insync.replicas"].value == "2", topic
    # One partition, also here: the order of a table's changes is that of its topic.
    assert len(partitions(kafka_admin_client, debezium_connector.topic("orders"))) == 1


class Numbers:
    """Writes numbers into a topic, and reads them as a consumer group, each in a thread of its own."""

    def __init__(self, kafka: KafkaEndpoint, topic: str) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[object] = []
        self.consumed: list[int] = []
        self._settings = client_settings(kafka)
        self._topic = topic
        self._written, self._read = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._write_all, self._consume_all)
        ]

    def _write_all(self) -> None:
        producer = Producer({**self._settings, "enable.idempotence": True, "linger.ms": 0})
        number = 0
        while not self._written.wait(0.005):
            producer.produce(self._topic, str(number), on_delivery=self._delivered)
            producer.poll(0)
            number += 1
        assert producer.flush(60) == 0

    def _delivered(self, error: object, message: Any) -> None:
        if error is not None:
            self.refused.append(error)
        else:
            self.acknowledged.append(int(message.value()))

    def _consume_all(self) -> None:
        reading = {"group.id": self._topic, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
        consumer = Consumer({**self._settings, **reading})
        consumer.subscribe([self._topic])
        while not self._read.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                self.consumed.append(int(message.value() or b""))
        consumer.close()

    def wait_for_more(self, numbers: list[int], count: int) -> None:
        wanted = len(numbers) + count
        wait_until(
            lambda: len(numbers) >= wanted,
            f"{wanted} numbers to have gone through",
            deadline_seconds=60,
            explain=lambda: (
                f"written {len(self.acknowledged)}, refused {self.refused}, read {len(self.consumed)}"
            ),
        )

    @contextmanager
    def flowing(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
            self._written.set()
            self._threads[0].join()
            wait_until(
                lambda: len(set(self.consumed)) >= len(self.acknowledged),
                "the consumer to have read everything",
                deadline_seconds=60,
            )
        finally:
            self._written.set()
            self._read.set()
            for thread in self._threads:
                thread.join()

    def whole_topic(self) -> list[int]:
        consumer = Consumer({**self._settings, "group.id": f"{self._topic}-whole"})
        try:
            partition = TopicPartition(self._topic, 0, 0)
            _, end = consumer.get_watermark_offsets(partition, timeout=30)
            consumer.assign([partition])
            found = [consumer.poll(30) for _ in range(end)]
            return [int(message.value() or b"") for message in found if message is not None]
        finally:
            consumer.close()


@pytest.mark.parametrize("victim", ["neither", "leader of the topic", "leader of the controllers"])
def test_a_killed_broker_costs_no_record_and_stops_nobody(
    victim: str,
    kafka_admin_client: AdminClient,
    kafka_topic: str,
    lakebed_record: Callable[[str, str], None],
    lakebed_crash: Crash,
    lakebed_stack: SessionStack,
) -> None:
    leader, controller = partitions(kafka_admin_client, kafka_topic)[0].leader, quorum_leader(lakebed_stack)
    neither = next(node for node in NODES if node not in (leader, controller))
    node = {"neither": neither, "leader of the topic": leader}.get(victim, controller)
    lakebed_record("consumer-group", kafka_topic)
    numbers = Numbers(lakebed_stack.need("kafka").kafka, kafka_topic)
    with numbers.flowing():
        numbers.wait_for_more(numbers.consumed, 20)
        with lakebed_crash(BROKERS[node - 1]):
            numbers.wait_for_more(numbers.acknowledged, 300)
            numbers.wait_for_more(numbers.consumed, 300)
            # A table that is new while a broker is dead has its topic all the same.
            new = f"{kafka_topic}-new"
            lakebed_record("topic", new)
            create_topic(kafka_admin_client, new)
            assert quorum_leader(lakebed_stack) != node
        # The broker has what was written without it.
        assert sorted(partitions(kafka_admin_client, kafka_topic)[0].isrs) == list(NODES)
        numbers.wait_for_more(numbers.consumed, 20)
    assert numbers.refused == []
    assert numbers.whole_topic() == numbers.acknowledged == list(range(len(numbers.acknowledged)))
    # A group reads again what it had not committed.
    assert list(dict.fromkeys(numbers.consumed)) == numbers.acknowledged


def test_no_change_is_lost_while_each_broker_dies_in_its_turn(
    postgres_connection: psycopg.Connection[Any],
    debezium_connector: Connector,
    change_events: ChangeEvents,
    lakebed_crash: Crash,
) -> None:
    insert = "INSERT INTO orders SELECT FROM generate_series(1, 20)"
    postgres_connection.execute("CREATE TABLE orders (id serial PRIMARY KEY)")
    for broker in BROKERS:
        postgres_connection.execute(insert)
        with lakebed_crash(broker):
            postgres_connection.execute(insert)
            debezium_connector.wait_until_acknowledged(postgres_connection)
            postgres_connection.execute(insert)
    # Connect's producers are not idempotent: what they send again may be there twice.
    assert ids_of(change_events("orders")) == set(range(1, 181))


# -- workers ------------------------------------------------------------------------------------------


def worker_of(connector: Connector, stack: SessionStack) -> str | None:
    """Which service runs a connector's task; None where none does."""
    ports = stack.need("connect").ports
    tasks = [task for task in connector.status().tasks if task.state == "RUNNING"]
    names = {f"127.0.0.1:{ports[name][name]}": name for name in WORKERS}
    return names[tasks[0].worker_id] if tasks else None


@pytest.fixture
def three(debezium_connectors: DebeziumConnectors, lakebed_stack: SessionStack) -> dict[str, Connector]:
    """By worker, a connector whose task it runs."""
    made = [debezium_connectors() for _ in WORKERS]

    def spread() -> dict[str | None, Connector] | None:
        found = {worker_of(connector, lakebed_stack): connector for connector in made}
        return found if len(found) == 3 and None not in found else None

    found = wait_until(
        spread,
        "each worker to have a connector",
        deadline_seconds=60,
        explain=lambda: str([worker_of(connector, lakebed_stack) for connector in made]),
    )
    assert found is not None
    return {str(name): connector for name, connector in found.items()}


@pytest.mark.parametrize("worker", WORKERS)
def test_the_connector_of_a_killed_worker_is_carried_on_by_another(
    worker: str,
    three: dict[str, Connector],
    postgres_connection: psycopg.Connection[Any],
    debezium_client: DebeziumClient,
    change_events: ChangeEvents,
    lakebed_crash: Crash,
    lakebed_stack: SessionStack,
) -> None:
    connector = three[worker]
    execute = postgres_connection.execute
    execute("CREATE TABLE orders (id int PRIMARY KEY, state int NOT NULL)")
    execute("INSERT INTO orders SELECT id, 0 FROM generate_series(1, 50) id")
    for one in three.values():
        one.wait_until_acknowledged(postgres_connection)
    lakebed_crash.kill(worker)
    execute("UPDATE orders SET state = 1 WHERE id <= 20")
    execute("DELETE FROM orders WHERE id > 40")
    wait_until(
        lambda: worker_of(connector, lakebed_stack) not in (None, worker),
        "another worker to have the task",
        deadline_seconds=60,
        explain=connector.describe,
    )
    # Through a worker that lives, whichever is asked first.
    debezium_client.wait_until_streaming(connector.name, connector.config.slot_name, postgres_connection)
    execute("UPDATE orders SET state = 2 WHERE id <= 10")
    connector.wait_until_acknowledged(postgres_connection)
    debezium_client.pause(connector.name)
    debezium_client.resume(connector.name)
    lakebed_crash.bring_back(worker)
    execute("INSERT INTO orders VALUES (60, 3)")
    # The one that is back gets its share.
    wait_until(
        lambda: {worker_of(one, lakebed_stack) for one in three.values()} == set(WORKERS),
        "each worker to have a connector again",
        deadline_seconds=60,
        explain=lambda: str([worker_of(one, lakebed_stack) for one in three.values()]),
    )
    for one in three.values():
        _prove(postgres_connection, change_events, one)


def _prove(
    postgres_connection: psycopg.Connection[Any], change_events: ChangeEvents, connector: Connector
) -> None:
    """Every change has arrived in its order; what was sent again is as it was."""
    seen: dict[int, list[int | None]] = {}
    for event in change_events(connector.topic("orders"), connector=connector):
        if event.row is not None:
            state = None if event.after is None else event.after["state"]
            states = seen.setdefault(event.row["id"], [])
            if state not in states:
                states.append(state)
    assert seen == {
        **{number: [0, 1, 2] for number in range(1, 11)},
        **{number: [0, 1] for number in range(11, 21)},
        **{number: [0] for number in range(21, 41)},
        **{number: [0, None] for number in range(41, 51)},
        60: [3],
    }
    rows = dict(postgres_connection.execute("SELECT id, state FROM orders").fetchall())
    assert {id_: states[-1] for id_, states in seen.items() if states[-1] is not None} == rows


def test_connectors_are_made_and_deleted_while_a_worker_is_dead(
    debezium_connectors: DebeziumConnectors,
    debezium_client: DebeziumClient,
    lakebed_crash: Crash,
) -> None:
    before = debezium_connectors()
    # The first one: it is asked before the others.
    with lakebed_crash("connect"):
        during = debezium_connectors()
        debezium_connectors.delete(before)
        assert debezium_client.names() == [during.name]
    assert debezium_client.names() == [during.name]


def test_one_broker_and_one_worker_may_be_dead_at_once(
    postgres_connection: psycopg.Connection[Any],
    debezium_connector: Connector,
    change_events: ChangeEvents,
    lakebed_crash: Crash,
) -> None:
    postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    lakebed_crash.kill("connect")
    lakebed_crash.kill("kafka")
    postgres_connection.execute("INSERT INTO orders SELECT generate_series(1, 100)")
    debezium_connector.wait_until_acknowledged(postgres_connection)
    assert ids_of(change_events("orders")) == set(range(1, 101))
    # The end of the test brings both back.
