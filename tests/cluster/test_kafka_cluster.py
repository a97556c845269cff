"""Three brokers, three Connect workers: what they survive, what refuses them, and what is left: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.free_ports import free_port

from lakebed.config.settings import load_settings
from lakebed.errors import NotEnoughMemory, StackFailed
from lakebed.services.endpoints import BROKERS, WORKERS
from lakebed.stack.connection import end_stack, find_stack, open_stack
from lakebed.stack.folders import NAME_OF_UP

# It takes minutes: `make test-large`.
pytestmark = pytest.mark.large

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
ON_CLUSTER = Path(__file__, "..", "on_kafka_cluster.py").resolve()
SIZES = ("--lakebed-set", "kafka_brokers=3", "--lakebed-set", "connect_workers=3")
RunTests = Callable[..., pytest.RunResult]
_TESTS = 10


def test_what_three_of_each_survive(run_tests: RunTests) -> None:
    result = run_tests("-q", *SIZES, test_it=ON_CLUSTER.read_text())
    result.assert_outcomes(passed=_TESTS)
    result.stdout.no_fnmatch_line("*could not*")


_MARKED = """
    import pytest

    @pytest.mark.lakebed("kafka-cluster")
    def test_a_mark_is_enough(kafka_topic, kafka_admin_client):
        found = kafka_admin_client.list_topics(kafka_topic, timeout=30).topics[kafka_topic]
        (partition,) = found.partitions.values()
        assert sorted(partition.replicas) == sorted(partition.isrs) == [1, 2, 3]
"""


def test_a_mark_asks_for_three_brokers(run_tests: RunTests) -> None:
    run_tests("-q", test_marked=_MARKED).assert_outcomes(passed=1)


_LITTERS = """
    from lakebed.clients.connector import Connector, connect_to_stream
    from lakebed.clients.topics import create_topic
    from lakebed.services import postgres

    def test_litters(lakebed_stack, kafka_admin_client, debezium_client, debezium_connectors, kafka_topic):
        for _ in range(2):
            debezium_connectors()
        create_topic(kafka_admin_client, "not-recorded", partitions=3)
        addresses = lakebed_stack.need("postgres", "connect")
        for name in ("one", "two", "three"):
            fields = {"slot_name": name, "topic_prefix": name, "publication_name": name}
            config = addresses.debezium_connector_config(name, **fields)
            with postgres.connect(addresses.postgres_port, "cdcdb") as own:
                own.execute("CREATE TABLE IF NOT EXISTS orders (id int PRIMARY KEY)")
                connector = Connector(config, debezium_client)
                connect_to_stream(connector, own)
                own.execute("INSERT INTO orders SELECT coalesce(max(id), 0) + 1 FROM orders")
                connector.wait_until_acknowledged(own)
"""

_FINDS_NOTHING = """
    def test_finds_nothing(lakebed_stack, kafka_admin_client, debezium_client, debezium_connector):
        ports = lakebed_stack.need("kafka").ports
        assert {"kafka", "kafka-2", "kafka-3", "connect", "connect-2", "connect-3"} <= set(ports)
        assert debezium_client.names() == [debezium_connector.name]
        topics = {name for name in kafka_admin_client.list_topics(timeout=30).topics if name[0] != "_"}
        own = {name for name in topics if name.startswith(("lakebed-connect-", debezium_connector.name))}
        assert topics == own
        assert len(lakebed_stack.need("kafka").kafka_bootstrap_servers.split(",")) == 3
"""


def test_a_kept_cluster_is_as_before_after_each_run(run_tests: RunTests, stacks: Path) -> None:
    first = run_tests("-q", "--lakebed-keep", *SIZES, test_litters=_LITTERS)
    try:
        first.assert_outcomes(passed=1)
        first.stdout.no_fnmatch_line("*could not*")
        settings = load_settings({"data_folder": stacks})
        before = _pids(stacks)
        assert set(before) == {"postgres", *BROKERS, *WORKERS}
        # Whoever asks for no size uses what is there.
        again = run_tests("-q", "test_next.py", test_next=_FINDS_NOTHING)
        again.assert_outcomes(passed=1)
        # And whoever asks for the same.
        run_tests("-q", *SIZES, "test_next.py", test_next=_FINDS_NOTHING).assert_outcomes(passed=1)
        assert _pids(stacks) == before
    finally:
        end_stack(load_settings({"data_folder": stacks}), NAME_OF_UP, "the test")
    assert find_stack(settings, NAME_OF_UP, "the test") is None


def _pids(stacks: Path) -> dict[str, int]:
    connection = find_stack(load_settings({"data_folder": stacks}), NAME_OF_UP, "the test")
    assert connection is not None
    services = connection.status()["services"]
    connection.hang_up()
    return {one["service"]: one["pid"] for one in services}


def test_a_running_stack_does_not_grow(stacks: Path) -> None:
    one = load_settings({"data_folder": stacks})
    stack = open_stack(one, "own", client="the test")
    try:
        stack.start(["connect"], one)
        before = {entry["service"]: entry["pid"] for entry in stack.status()["services"]}
        three = load_settings({"data_folder": stacks, "kafka_brokers": 3})
        with pytest.raises(StackFailed, match=r"start kafka-2 beside kafka\n.* a cluster keeps its size"):
            stack.start(["kafka"], three)
        with pytest.raises(StackFailed, match="start kafka-2 beside kafka"):
            stack.start(["kafka-cluster"], one)
        two = load_settings({"data_folder": stacks, "connect_workers": 2})
        with pytest.raises(StackFailed, match="start connect-2 beside connect"):
            stack.start(["connect"], two)
        assert {entry["service"]: entry["pid"] for entry in stack.status()["services"]} == before
    finally:
        stack.close()


def test_the_memory_of_all_of_them_is_counted_before_any_is_started(stacks: Path) -> None:
    settings = load_settings({"data_folder": stacks, "kafka_brokers": 3, "memory_mb": 900})
    stack = open_stack(settings, "own", client="the test")
    try:
        with pytest.raises(NotEnoughMemory) as caught:
            stack.start(["kafka"], settings)
        for broker in BROKERS:
            assert broker in caught.value.seen
        assert stack.status()["services"] == []
    finally:
        stack.close()


def test_the_command_starts_them_by_name_on_loopback(
    stacks: Path,
    child_environment: Callable[[Path], dict[str, str]],
) -> None:
    environment = child_environment(stacks)

    def lakebed(*arguments: str) -> str:
        command = [sys.executable, "-m", "lakebed", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    names = (*BROKERS, *WORKERS)
    ports = {name: free_port() for name in names}
    chosen = [word for name, port in ports.items() for word in ("--port", f"{name}={port}")]
    printed = lakebed("up", "kafka-cluster", "connect-cluster", *chosen)
    try:
        assert printed.split() == [
            "KAFKA_BOOTSTRAP_SERVERS=" + ",".join(f"127.0.0.1:{ports[name]}" for name in BROKERS),
            f"DEBEZIUM_URL=http://127.0.0.1:{ports['connect']}",
        ]
        services = json.loads(lakebed("status", "--json"))["services"]
        assert {one["service"]: one["port"] for one in services} == ports
        listening = [
            connection.laddr
            for one in services
            for connection in psutil.Process(one["pid"]).net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        # Brokers have a second one, for the quorum.
        assert len(listening) == 2 * len(BROKERS) + len(WORKERS)
        assert {address.ip for address in listening} <= set(LOOPBACK)
        # Fails for one that was not started.
        lakebed("logs", "connect-2")
    finally:
        lakebed("down")
