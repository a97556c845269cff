"""The suite `test_chain.py` on servers that were started outside: used, and left as they were found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema
from pyarrow.fs import FileSelector, FileType

from lakebed.clients.catalog import open_catalog
from lakebed.clients.connector import Connector, connect_to_stream
from lakebed.clients.debezium import DebeziumClient
from lakebed.clients.object_store import object_store
from lakebed.clients.registry import schema_registry_client
from lakebed.clients.topics import create_topic
from lakebed.config.settings import load_settings
from lakebed.services import Place, postgres
from lakebed.services.postgres_connection import administer
from lakebed.services.topics import admin_client
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import open_stack
from lakebed.stack.resources import Resources

CHAIN = (Path(__file__).parent / "test_chain.py").read_text()
TESTS = CHAIN.count("\ndef test_") + 1


@dataclass(frozen=True)
class Others:
    """Servers that lakebed is only told of.

    Attributes:
        addresses: where they are.
        inventory: returns, by service and kind, all that is in them.
    """

    addresses: Addresses
    inventory: Callable[[], dict[str, Any]]

    def attach(self, *services: str) -> str:
        """Return the setting that attaches these of them, all without any, by nothing but addresses."""
        a = self.addresses
        every = {
            "postgres": f"postgresql://{postgres.USER}:{postgres.PASSWORD}@127.0.0.1:{a.postgres_port}/postgres",
            "kafka": a.kafka_bootstrap_servers,
            "connect": a.debezium_url,
            "schema-registry": a.schema_registry_url,
            "s3": {"endpoint": a.s3_endpoint, "access_key": "minioadmin", "secret_key": "minioadmin"},
            "iceberg-rest": a.iceberg_catalog_uri,
        }
        return json.dumps({name: every[name] for name in services or every})


@pytest.fixture(scope="module")
def others(
    new_stacks_folder: Callable[[], AbstractContextManager[Path]],
) -> Iterator[Others]:
    """All six services, with something of strangers in each."""
    with new_stacks_folder() as folder:
        settings = load_settings({"data_folder": folder})
        stack = open_stack(settings, "others", client="somebody else")
        try:
            ports = stack.start([], settings)
            addresses = Addresses(ports)
            _make_things_of_strangers(addresses)
            places = {
                name: Place(folder=folder, cache=folder, ports=own, stack_ports=ports)
                for name, own in ports.items()
            }
            resources = Resources(folder, lambda: places)
            yield Others(addresses, lambda: _inventory(addresses, resources, list(places)))
        finally:
            stack.close()


def _inventory(addresses: Addresses, resources: Resources, services: list[str]) -> dict[str, Any]:
    present: dict[str, Any] = {name: dict(resources.present(name)) for name in services}
    # The store keeps folders with nothing in them, which are no objects.
    store = object_store(addresses.s3_endpoint)
    present["s3"]["path"] = sorted(
        one.path
        for bucket in ("delta", "warehouse")
        for one in store.get_file_info(FileSelector(bucket, recursive=True))
        if one.type is FileType.File
    )
    return present


def _make_things_of_strangers(addresses: Addresses) -> None:
    administer(addresses.postgres_port, lambda one: one.execute("CREATE DATABASE stranger"))
    with postgres.connect(addresses.postgres_port, "stranger") as database:
        database.execute("CREATE TABLE things (id int PRIMARY KEY)")
        database.execute("CREATE ROLE stranger")
        create_topic(admin_client(addresses.kafka), "stranger.topic")
        with DebeziumClient(addresses.debezium_url) as client:
            config = addresses.debezium_connector_config(
                "stranger",
                database_dbname="stranger",
                topic_prefix="stranger",
                slot_name="stranger",
                publication_name="stranger",
            )
            connector = Connector(config, client)
            connect_to_stream(connector, database)
            database.execute("INSERT INTO things VALUES (1)")
            connector.wait_until_acknowledged(database)
    with schema_registry_client(addresses.schema_registry_config()) as registry:
        schema = json.dumps({"type": "record", "name": "stranger", "fields": []})
        registry.register_schema("stranger-value", Schema(schema, "AVRO"))
    open_catalog(addresses.iceberg_catalog_config()).create_namespace("stranger")
    with object_store(addresses.s3_endpoint).open_output_stream("delta/stranger/file") as file:
        file.write(b"theirs")
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    producer.produce("stranger.topic", b"theirs")
    assert producer.flush(30) == 0


def test_the_chain_on_servers_of_somebody_else(
    run_tests: Any, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = others.inventory()
    monkeypatch.setenv("LAKEBED_ATTACH", others.attach())
    result = run_tests("-q", test_chain=CHAIN)
    result.assert_outcomes(passed=TESTS)
    result.stdout.no_fnmatch_line("*could not*")
    assert others.inventory() == before


# Two more runs of the whole chain: `make test-large`.
@pytest.mark.large
@pytest.mark.parametrize("services", [("postgres", "kafka"), ("s3", "schema-registry")])
def test_the_chain_with_some_of_somebody_else_and_some_of_its_own(
    run_tests: Any, others: Others, monkeypatch: pytest.MonkeyPatch, services: tuple[str, ...]
) -> None:
    before = others.inventory()
    monkeypatch.setenv("LAKEBED_ATTACH", others.attach(*services))
    run_tests("-q", test_chain=CHAIN).assert_outcomes(passed=TESTS)
    # Connect's own topics, too, are gone from the Kafka that it used.
    assert others.inventory() == before


_STRANGERS = """
    import pytest
    from lakebed.errors import IsAttached, NotOurs
    from lakebed.services import SERVICE_NAMES

    @pytest.mark.parametrize(("kind", "name"), [
        ("database", "stranger"), ("database", "postgres"), ("slot", "stranger"), ("role", "stranger"),
        ("role", "cdcuser"), ("publication", "stranger/stranger"), ("table", "stranger/public.things"),
        ("schema", "stranger/public"), ("topic", "stranger.topic"), ("topic", "__consumer_offsets"),
        ("topic", "lakebed-connect-configs"), ("topic-prefix", "stranger"), ("connector", "stranger"),
        ("connector-offset", "any"), ("subject", "stranger-value"), ("subject-prefix", "stranger-"),
        ("compatibility", ""), ("namespace", "stranger"), ("path", "delta/stranger"), ("path", "delta"),
        ("bucket", "warehouse"),
    ])
    def test_what_is_there_is_never_recorded(lakebed_stack, kind, name):
        with pytest.raises(NotOurs, match="it is there already on the attached"):
            lakebed_stack.record(kind, name)

    def test_a_connector_does_not_take_over_a_slot_of_somebody_else(debezium_connectors, postgres_connection):
        with pytest.raises(NotOurs, match="record slot stranger"):
            debezium_connectors(slot_name="stranger")

    def test_a_prefix_that_is_in_use_is_refused(debezium_connectors):
        with pytest.raises(NotOurs, match="record topic-prefix stranger"):
            debezium_connectors(topic_prefix="stranger")

    @pytest.mark.parametrize("service", SERVICE_NAMES)
    def test_no_server_of_somebody_else_is_killed(lakebed_crash, lakebed_stack, service):
        with pytest.raises(IsAttached, match=f"kill {service}"):
            lakebed_crash.kill(service)
        assert lakebed_stack.killed() == []

    def test_nothing_is_started(lakebed_stack, iceberg_catalog, debezium_client, kafka_admin_client):
        status = lakebed_stack.status()
        assert {one["state"] for one in status["services"]} == {"ATTACHED"}
        assert [one["pid"] for one in status["services"]] == [None] * 6
        assert status["ports"] == {}
        assert "cdcpass" not in str(status) and "minioadmin" not in str(status)
        assert "cdcpass" not in repr(lakebed_stack.settings) + repr(lakebed_stack.need("kafka"))
"""


def test_what_strangers_have_made_is_safe(
    run_tests: Any, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = others.inventory()
    monkeypatch.setenv("LAKEBED_ATTACH", others.attach())
    run_tests("-q", test_strangers=_STRANGERS).assert_outcomes(passed=30)
    assert others.inventory() == before


_KILLED = """
    import os, signal

    def test_the_run_is_killed_with_its_supervisor(
        lakebed_stack, debezium_connector, kafka_topic, delta_table_path, iceberg_namespace
    ):
        os.kill(lakebed_stack.status()["pid"], signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_removes_what_a_killed_one_and_its_supervisor_left(
    run_tests: Any, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = others.inventory()
    monkeypatch.setenv("LAKEBED_ATTACH", others.attach())
    run_tests("-q", test_killed=_KILLED)
    assert others.inventory() != before
    run_tests("-q", "test_next.py", test_next="def test_next(kafka_topic): pass").assert_outcomes(passed=1)
    assert others.inventory() == before


_ALONE = """
    import pytest

    def test_nothing_is_started_for_its_sake(debezium_client, iceberg_catalog_of_others, lakebed_stack):
        assert debezium_client.names() == ["stranger"]
        assert [one["service"] for one in lakebed_stack.status()["services"]] == ["connect", "iceberg-rest"]

    @pytest.fixture
    def iceberg_catalog_of_others(lakebed_stack):
        return lakebed_stack.need("iceberg-rest")

    def test_what_is_asked_for_by_name_is_started(lakebed_stack):
        lakebed_stack.need("s3")
        states = {one["service"]: one["state"] for one in lakebed_stack.status()["services"]}
        assert states == {"connect": "ATTACHED", "iceberg-rest": "ATTACHED", "s3": "RUNNING"}
"""


def test_what_an_attached_service_needs_is_not_started(
    run_tests: Any, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEBED_ATTACH", others.attach("connect", "iceberg-rest"))
    run_tests("-q", test_alone=_ALONE).assert_outcomes(passed=2)
