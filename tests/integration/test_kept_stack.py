"""A stack that stays for the next run: quick to reach, and with no trace of the run before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient

from lakebed.clients.topics import create_topic, topics_with_prefix
from lakebed.config.settings import Settings, load_settings
from lakebed.stack.addresses import Addresses
from lakebed.stack.connection import StackConnection, end_stack, find_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP
from lakebed.stack.resources import Resources
from lakebed.waiting import wait_until

RunTests = Callable[..., pytest.RunResult]


@pytest.fixture
def settings(stacks: Path) -> Iterator[Settings]:
    """Settings for the stack of one test, which is ended with the test."""
    settings = load_settings({"data_folder": stacks})
    yield settings
    end_stack(settings, NAME_OF_UP, "tests")


def kept(settings: Settings) -> StackConnection:
    connection = find_stack(settings, NAME_OF_UP, "tests")
    assert connection is not None
    return connection


# Everything a test can leave behind when it goes its own way, past the fixtures.
_LITTERING = """

    import httpx
    import pyarrow as pa
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.schema_registry import Schema
    from lakebed.clients.connector import Connector, connect_to_stream
    from lakebed.clients.topics import create_topic
    from lakebed.services import postgres, s3
    from pyarrow.fs import S3FileSystem

    SCHEMA = '{"type": "record", "name": "order", "fields": [{"name": "id", "type": "long"}]}'

    def test_litters(
        lakebed_stack, kafka_admin_client, schema_registry_client, debezium_client, iceberg_catalog,
        postgres_connection, kafka_topic, iceberg_namespace, debezium_connector,
    ):
        addresses = lakebed_stack.need("s3", "postgres")
        kafka = addresses.kafka_bootstrap_servers
        create_topic(kafka_admin_client, "orders")
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce("orders", b"one")
        producer.flush(10)
        reading = {"bootstrap.servers": kafka, "group.id": "readers", "auto.offset.reset": "earliest"}
        consumer = Consumer(reading)
        consumer.subscribe(["orders"])
        message = consumer.poll(30)
        assert message is not None and message.value() == b"one"
        consumer.commit(asynchronous=False)
        consumer.close()

        schema_registry_client.register_schema("orders-value", Schema(SCHEMA, "AVRO"))
        schema_registry_client.set_compatibility("orders-value", "FULL")
        schema_registry_client.set_compatibility(level="NONE")

        with postgres.connect(addresses.postgres_port, "cdcdb") as own:
            own.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
            own.execute("INSERT INTO orders VALUES (1)")
            own.execute("CREATE PUBLICATION everything FOR ALL TABLES")
            own.execute("SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')")
            own.execute("CREATE DATABASE forgotten")
            own.execute("CREATE ROLE forgotten")
            config = addresses.debezium_connector_config("orders", slot_name="orders", topic_prefix="shop")
            connect_to_stream(Connector(config, debezium_client), own)

        iceberg_catalog.create_namespace("sales")
        schema = pa.schema([("id", pa.int64())])
        table = iceberg_catalog.create_table("sales.orders", schema=schema)
        table.append(pa.table({"id": [1]}, schema=schema))

        store = S3FileSystem(
            endpoint_override=addresses.s3_endpoint, access_key=s3.ACCESS_KEY, secret_key=s3.SECRET_KEY,
            region=s3.REGION, allow_bucket_creation=True,
        )
        store.create_dir("forgotten")
        for name in ("forgotten/object", "warehouse/object", "delta/object"):
            with store.open_output_stream(name) as stream:
                stream.write(b"content")
"""

# A connector of the same name takes its snapshot: nothing is remembered of the one before.
_SAME_AGAIN = """
    from confluent_kafka import Consumer
    from confluent_kafka.schema_registry import Schema
    from lakebed.clients.connector import Connector, connect_to_stream
    from lakebed.services import postgres

    def test_finds_no_trace(lakebed_stack, kafka_admin_client, schema_registry_client, debezium_client):
        addresses = lakebed_stack.need("postgres")
        assert "orders" not in kafka_admin_client.list_topics(timeout=10).topics
        assert schema_registry_client.get_subjects() == []
        assert schema_registry_client.get_compatibility() == "BACKWARD"
        with postgres.connect(addresses.postgres_port, "cdcdb") as own:
            own.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
            own.execute("INSERT INTO orders VALUES (2)")
            config = addresses.debezium_connector_config("orders", slot_name="orders", topic_prefix="shop")
            connect_to_stream(Connector(config, debezium_client), own)
        reading = {"group.id": "readers", "auto.offset.reset": "earliest"}
        consumer = Consumer({"bootstrap.servers": addresses.kafka_bootstrap_servers, **reading})
        consumer.subscribe(["shop.public.orders"])
        message = consumer.poll(30)
        consumer.close()
        assert message is not None and b'"op":"r"' in message.value() and b'"id":2' in message.value()
"""


def resources_of(connection: StackConnection) -> dict[str, Any]:
    """Return, by service and kind, what is in a running stack."""
    from lakebed.services import Place

    ports = connection.status()["ports"]
    places = {
        name: Place(folder=connection.folder.path, cache=connection.folder.path, ports=own, stack_ports=ports)
        for name, own in ports.items()
    }
    resources = Resources(connection.folder.path, lambda: places)
    return {name: resources.present(name) for name in places}


def test_the_next_run_finds_no_trace_of_the_one_before(run_tests: RunTests, settings: Settings) -> None:
    connection = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    connection.start([], settings)
    before = resources_of(connection)
    connection.close()

    first = run_tests("-q", test_first=_LITTERING)
    first.assert_outcomes(passed=1)
    first.stdout.no_fnmatch_line("*could not*")
    after = resources_of(kept(settings))
    assert after == before
    assert kept(settings).status()["left"] == []

    run_tests("-q", "test_second.py", test_second=_SAME_AGAIN).assert_outcomes(passed=1)
    assert resources_of(kept(settings)) == before


def test_keep_leaves_the_servers_for_the_next_run_which_uses_them(
    run_tests: RunTests, settings: Settings
) -> None:
    test = """
        def test_it(postgres_connection, lakebed_stack):
            print("pid:", lakebed_stack.status()["pid"], "keep:", lakebed_stack.status()["keep"])
    """
    first = run_tests("-s", "--lakebed-keep", test_it=test)
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["lakebed: the servers stay for the next run*lakebed down*"])
    pid = kept(settings).status()["pid"]
    for result in (first, run_tests("-s", test_it=test)):
        result.stdout.fnmatch_lines([f"*pid: {pid} keep: True"])
    # Another one for those who want it.
    own = run_tests("-s", "--lakebed-set", "stack=own", test_it=test)
    own.stdout.fnmatch_lines(["*keep: False"])
    own.stdout.no_fnmatch_line(f"*pid: {pid} *")
    assert kept(settings).status()["clients"] == []


def test_what_a_person_made_before_the_run_stays(run_tests: RunTests, settings: Settings) -> None:
    connection = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    kafka = Addresses(connection.start(["kafka"], settings)).kafka_bootstrap_servers
    connection.close()
    admin = AdminClient({"bootstrap.servers": kafka})
    create_topic(admin, "by-hand.orders")
    run_tests(
        test_it="""
        from lakebed.clients.topics import create_topic

        def test_it(kafka_admin_client, kafka_topic):
            create_topic(kafka_admin_client, "by-a-test")
        """
    ).assert_outcomes(passed=1)
    assert topics_with_prefix(admin, "") == ["by-hand.orders"]


_WAITS = """
    import os, sys
    from lakebed.clients.topics import create_topic

    def test_it(postgres_connection, kafka_topic, kafka_admin_client, lakebed_record):
        lakebed_record("topic", "recorded")
        create_topic(kafka_admin_client, "recorded")
        create_topic(kafka_admin_client, "not-recorded")
        print("\\nmade", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def waiting_run(
    tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]]
) -> Iterator[subprocess.Popen[str]]:
    """A run of pytest in the middle of its test."""
    (tmp_path / "test_waits.py").write_text("\n".join(line[4:] for line in _WAITS.splitlines()))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-s",
        "-p",
        "no:cacheprovider",
        "--lakebed-keep",
        str(tmp_path),
    ]
    run = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=child_environment(stacks),
    )
    with run:
        assert run.stdout is not None
        assert any(line == "made\n" for line in run.stdout)
        yield run
        if run.poll() is None:
            run.kill()


def test_what_a_killed_run_made_is_removed_from_a_kept_stack(
    waiting_run: subprocess.Popen[str], settings: Settings
) -> None:
    connection = kept(settings)
    admin = AdminClient(
        {"bootstrap.servers": Addresses(connection.status()["ports"]).kafka_bootstrap_servers}
    )
    assert {"recorded", "not-recorded"} <= set(topics_with_prefix(admin, ""))
    waiting_run.kill()
    wait_until(lambda: connection.status()["clients"] == [], "the lease to end", deadline_seconds=30)
    wait_until(lambda: topics_with_prefix(admin, "") == [], "the topics to be gone", deadline_seconds=30)
    # The next client waits until all is done.
    open_stack(settings, NAME_OF_UP, client="tests", tests=True).close()
    present = resources_of(connection)
    assert present["postgres"]["database"] == {}
    assert connection.folder.ledger.read_text().count("record") == 0
    assert connection.status()["left"] == []


def test_another_run_goes_on_when_one_is_killed(
    waiting_run: subprocess.Popen[str], run_tests: RunTests, settings: Settings
) -> None:
    test = f"""
        import os, signal
        from lakebed.waiting import wait_until

        def test_it(kafka_topic, kafka_admin_client, postgres_connection, lakebed_stack):
            os.kill({waiting_run.pid}, signal.SIGKILL)
            wait_until(
                lambda: len(lakebed_stack.status()["clients"]) == 1, "it to be gone", deadline_seconds=30
            )
            wait_until(
                lambda: "recorded" not in kafka_admin_client.list_topics(timeout=10).topics,
                "its topic to be gone", deadline_seconds=30,
            )
            assert kafka_topic in kafka_admin_client.list_topics(timeout=10).topics
            assert postgres_connection.execute("SELECT 1").fetchone() == (1,)
    """
    run_tests("-q", test_it=test).assert_outcomes(passed=1)


def test_what_cannot_be_removed_is_reported_by_name_and_the_next_run_can_go_on(
    run_tests: RunTests, settings: Settings
) -> None:
    test = """
        import psutil
        from lakebed.waiting import wait_until

        def test_it(kafka_topic, lakebed_record, lakebed_stack):
            lakebed_record("topic", "orders")
            (kafka,) = lakebed_stack.status()["services"]
            psutil.Process(kafka["pid"]).kill()
            wait_until(
                lambda: lakebed_stack.status()["services"][0]["state"] == "STOPPED",
                "Kafka's end to be noticed", deadline_seconds=30,
            )
    """
    result = run_tests("-q", "--lakebed-keep", test_it=test)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*CleanUpIncomplete*", "*topic orders: reach kafka: it does not run*"])
    status = kept(settings).status()
    assert {"kind": "topic", "name": "orders"}.items() <= status["left"][0].items()
    run_tests("-q", test_it="def test_it(kafka_topic): ...").assert_outcomes(passed=1)


def test_status_tells_of_a_killed_supervisor_and_up_goes_on_with_its_servers(
    settings: Settings, stacks: Path, child_environment: Callable[[Path], dict[str, str]]
) -> None:
    connection = open_stack(settings, NAME_OF_UP, client="tests", keep=True)
    ports = connection.start(["kafka", "postgres"], settings)
    connection.close()
    connection = open_stack(settings, NAME_OF_UP, client="a run", tests=True)
    kafka = Addresses(ports).kafka_bootstrap_servers
    admin = AdminClient({"bootstrap.servers": kafka})
    create_topic(admin, "not-recorded")
    pids = {entry["service"]: entry["pid"] for entry in connection.status()["services"]}
    supervisor = psutil.Process(connection.status()["pid"])
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: find_stack(settings, NAME_OF_UP, "tests") is None, "its end", deadline_seconds=10)

    def lakebed(*arguments: str) -> str:
        finished = subprocess.run(
            [sys.executable, "-c", "from lakebed.cli import main; main()", *arguments],
            capture_output=True,
            text=True,
            env=child_environment(stacks),
            check=True,
        )
        return finished.stdout

    said = lakebed("status")
    assert "its supervisor was killed" in said
    assert f"kafka (pid {pids['kafka']})" in said
    assert "`lakebed up` takes them over" in said
    # A stack of another name leaves it alone.
    open_stack(settings, "another", client="tests").close()
    lakebed("up", "kafka")
    status = json.loads(lakebed("status", "--json"))
    assert {entry["service"]: entry["pid"] for entry in status["services"]} == pids
    assert {entry["state"] for entry in status["services"]} == {"HEALTHY"}
    assert "taken over" in status["services"][0]["history"][0]["reason"]
    assert status["pid"] != supervisor.pid
    assert topics_with_prefix(admin, "") == []
    # It is watched again, and can be started again.
    psutil.Process(pids["kafka"]).kill()

    def states() -> dict[str, str]:
        return {entry["service"]: entry["state"] for entry in kept(settings).status()["services"]}

    wait_until(lambda: states()["kafka"] == "STOPPED", "Kafka's end to be noticed", deadline_seconds=10)
    lakebed("up", "kafka")
    assert states() == {"postgres": "HEALTHY", "kafka": "HEALTHY"}
    lakebed("down")
    assert not any(map(psutil.pid_exists, pids.values()))
