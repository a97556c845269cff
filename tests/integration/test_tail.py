"""`lakebed tail` on the servers of the session, attached: there is no stack of `up`, and no trace is left."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from tests.integration.lakebed_command import PROGRAM, Command, Running

from lakebed.clients.topics import create_topic
from lakebed.pytest_plugin.connectors import DebeziumConnectors
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.stack.addresses import Addresses

Postgres = psycopg.Connection[Any]


@pytest.fixture
def command(
    stacks: Path, child_environment: Callable[[Path], dict[str, str]], addresses: Addresses
) -> Command:
    """The command, with Kafka and the schema registry attached."""
    attach = {"kafka": addresses.kafka_bootstrap_servers, "schema-registry": addresses.schema_registry_url}
    return Command(stacks, child_environment(stacks) | {"LAKEBED_ATTACH": json.dumps(attach)})


@pytest.fixture
def producer(addresses: Addresses) -> Iterator[Producer]:
    producer = Producer({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    yield producer
    producer.flush(30)


def messages(finished: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def reading(following: Running, topic: str) -> None:
    following.wait_for(f"reading {topic}", err=True)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({}, id="JSON"),
        pytest.param(
            {"value_converter_schemas_enable": True, "key_converter_schemas_enable": True},
            id="JSON with schemas",
        ),
        pytest.param({"avro": True}, id="Avro"),
    ],
)
def test_the_life_of_a_row_in_every_form(
    form: dict[str, Any],
    command: Command,
    postgres_connection: Postgres,
    debezium_connectors: DebeziumConnectors,
    change_events: ChangeEvents,
) -> None:
    postgres_connection.execute("CREATE TABLE prices (id int PRIMARY KEY, cents int, name text)")
    postgres_connection.execute("ALTER TABLE prices REPLICA IDENTITY FULL")
    postgres_connection.execute("INSERT INTO prices VALUES (1, 999, 'ink')")
    connector = debezium_connectors(**form)
    postgres_connection.execute("UPDATE prices SET cents = 899 WHERE id = 1")
    postgres_connection.execute("DELETE FROM prices WHERE id = 1")
    (position,) = postgres_connection.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
    assert len(list(change_events("prices"))) == 4

    found = messages(command("tail", connector.topic("prices"), "--no-follow", "--json"))
    assert [(one["kind"], one.get("op")) for one in found] == [
        ("event", "r"),
        ("event", "u"),
        ("event", "d"),
        ("tombstone", None),
    ]
    read, updated, deleted, tombstone = found
    assert read["after"] == {"id": 1, "cents": 999, "name": "ink"}
    assert (read["source"]["is_snapshot"], read["latency_seconds"]) == (True, None)
    assert (updated["changed"], updated["before"]["cents"], updated["after"]["cents"]) == (
        ["cents"],
        999,
        899,
    )
    assert 0 <= updated["latency_seconds"] < 60
    assert deleted["before"] == {"id": 1, "cents": 899, "name": "ink"}
    assert tombstone["key"] == {"id": 1}
    assert in_log(updated["source"]["lsn"]) <= in_log(deleted["source"]["lsn"]) <= in_log(position)

    shown = command("tail", connector.topic("prices"), "--no-follow").stdout.splitlines()
    assert f"UPDATE id=1  {updated['source']['lsn']} +" in shown[2]
    assert shown[3] == "    cents 999 -> 899"
    assert shown[-1].endswith("TOMBSTONE id=1")


def in_log(lsn: str) -> tuple[int, int]:
    high, low = lsn.split("/")
    return int(high, 16), int(low, 16)


def test_what_comes_is_shown_as_it_comes(
    command: Command, kafka_topic: str, producer: Producer, kafka_admin_client: AdminClient
) -> None:
    producer.produce(kafka_topic, b"before")
    producer.flush(30)
    groups = {one.group_id for one in kafka_admin_client.list_consumer_groups().result(30).valid}
    with command.running("tail", kafka_topic, "--json") as following:
        reading(following, kafka_topic)
        producer.produce(kafka_topic, b'{"a": 1}', b"key")
        producer.flush(30)
        following.wait_for('"value": {"a": 1}')
        # Whoever reads it is not seen.
        during = {one.group_id for one in kafka_admin_client.list_consumer_groups().result(30).valid}
        assert not {name for name in during - groups if name.startswith("lakebed-tail")}
        assert following.interrupt() == 130
    (only,) = following.objects()
    assert (only["topic"], only["offset"], only["key"], only["kind"]) == (kafka_topic, 1, "key", "plain")
    after = {one.group_id for one in kafka_admin_client.list_consumer_groups().result(30).valid}
    assert not {name for name in after - groups if name.startswith("lakebed-tail")}


def test_where_to_begin_and_where_to_end(command: Command, kafka_topic: str, producer: Producer) -> None:
    begin = int(time.time()) - 3600
    for number in range(5):
        at = (begin + number) * 1000
        producer.produce(kafka_topic, str(number).encode(), str(number % 2).encode(), timestamp=at)
    producer.flush(30)

    def values(*arguments: str) -> list[Any]:
        return [one["value"] for one in messages(command("tail", kafka_topic, "--json", *arguments))]

    assert values("--no-follow") == [0, 1, 2, 3, 4]
    assert values("--no-follow", "--from", "end") == []
    assert values("--no-follow", "--from", "-2") == [3, 4]
    assert values("--from", "-2", "-n", "2") == [3, 4]
    since = datetime.fromtimestamp(begin + 2, timezone.utc).isoformat()
    assert values("--no-follow", "--from", since) == [2, 3, 4]
    assert values("--no-follow", "--from", "2099-01-01") == []
    assert values("--no-follow", "--from", "2h") == [0, 1, 2, 3, 4]
    assert values("--no-follow", "--key", "1") == [1, 3]
    assert values("--from", "beginning", "-n", "1", "--key", "1") == [1]


def test_a_pattern_means_topics_that_come_later_too(
    command: Command, kafka_topic: str, producer: Producer, kafka_admin_client: AdminClient
) -> None:
    later = f"{kafka_topic}.later"
    with command.running("tail", f"{kafka_topic}*", "--json") as following:
        reading(following, kafka_topic)
        create_topic(kafka_admin_client, later)
        try:
            producer.produce(later, b"in a new topic")
            producer.flush(30)
            following.wait_for("in a new topic")
        finally:
            kafka_admin_client.delete_topics([later])[later].result(30)
        # It is left, and the others are read on.
        following.wait_for(f"gone: {later}", err=True)
        producer.produce(kafka_topic, b"in the old one")
        producer.flush(30)
        following.wait_for("in the old one")
        assert following.interrupt() == 130


def test_what_cannot_be_decoded_ends_nothing(command: Command, kafka_topic: str, producer: Producer) -> None:
    for value in (b"\x00\x7f\xff\xff\xffno such schema", b"\xff\xfe", b"text", b'{"fine": true}'):
        producer.produce(kafka_topic, value)
    producer.flush(30)
    unknown, raw, text, fine = messages(command("tail", kafka_topic, "--no-follow", "--json"))
    assert (unknown["kind"], "which the registry refuses" in unknown["reason"]) == ("undecodable", True)
    assert (raw["kind"], raw["value_base64"]) == ("undecodable", "//4=")
    assert (text["value"], fine["value"]) == ("text", {"fine": True})
    assert r"b'\xff\xfe'" in command("tail", kafka_topic, "--no-follow").stdout


def test_on_a_terminal_it_is_coloured_and_cannot_command_it(
    command: Command, kafka_topic: str, producer: Producer
) -> None:
    evil = "\x1b]0;a title\x07\x1b[2J"
    producer.produce(kafka_topic, evil.encode(), evil.encode())
    producer.produce(kafka_topic, json.dumps({evil: evil}).encode())
    producer.flush(30)
    with command.on_terminal("tail", kafka_topic, "--from", "beginning") as terminal:
        terminal.wait_for("0@1")
        # The second message's own line is there as well.
        terminal.wait_for(': "')
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "\x1b[36m" in terminal.seen
        assert r"\x1b]0;a title\x07\x1b[2J" in terminal.seen
        assert "\x1b]0;" not in terminal.seen
        assert "\x1b[2J" not in terminal.seen
        assert "error" not in terminal.seen


def test_a_topic_that_is_not_there_is_refused_with_those_that_are(command: Command, kafka_topic: str) -> None:
    finished = command("tail", "no.such.topic", "--json")
    assert finished.returncode == 4
    error = json.loads(finished.stdout)["error"]
    assert (error["attempted"], error["seen"]) == ("read topic no.such.topic", "there is no such topic")
    assert kafka_topic in error["remedy"]
    nothing = command("tail", "no.such.*", "--no-follow")
    assert nothing.returncode == 4


def test_a_stack_without_kafka_says_so(command: Command) -> None:
    finished = command("tail", "orders", LAKEBED_ATTACH=json.dumps({"kafka": "127.0.0.1:9"}))
    assert finished.returncode == 4
    assert "read from Kafka" in finished.stderr


def test_a_shell_completes_the_names_of_topics(command: Command, kafka_topic: str, tmp_path: Path) -> None:
    program = tmp_path / "lakebed"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    script = f"""
        eval "$(lakebed completion bash)"
        COMP_WORDS=(lakebed tail {kafka_topic[:-1]}) COMP_CWORD=2
        _lakebed_completion lakebed
        echo "${{COMPREPLY[@]}}"
    """
    finished = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**command.environment, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert kafka_topic in finished.stdout.split()
    assert finished.stderr == ""
