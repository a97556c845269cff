"""The command and kept stacks with services that somebody else runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakebed.clients.topics import topics_with_prefix
from lakebed.services.topics import admin_client
from lakebed.stack.addresses import Addresses

Lakebed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lakebed(stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Lakebed:
    """The command, with nothing running, and with these variables."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from lakebed.cli import main; main()", *arguments],
            env={**child_environment(stacks), **variables},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def options(addresses: Addresses) -> list[str]:
    """Options that attach Kafka and PostgreSQL."""
    url = f"postgresql://cdcuser:cdcpass@127.0.0.1:{addresses.postgres_port}/cdcdb"
    return ["--attach", f"kafka={addresses.kafka_bootstrap_servers}", "--attach", f"postgresql={url}"]


def test_up_shows_what_is_attached_and_down_leaves_it(
    lakebed: Lakebed, options: list[str], addresses: Addresses
) -> None:
    before = topics_with_prefix(admin_client(addresses.kafka), "lakebed-connect-")
    up = lakebed("up", "connect", "postgres", *options)
    assert up.returncode == 0, up.stderr
    assert f"KAFKA_BOOTSTRAP_SERVERS={addresses.kafka_bootstrap_servers}" in up.stdout
    status = json.loads(lakebed("status", "--json").stdout)
    assert {one["service"]: one["state"] for one in status["services"]} == {
        "connect": "HEALTHY",
        "postgres": "ATTACHED",
        "kafka": "ATTACHED",
    }
    assert "cdcpass" not in json.dumps(status)
    table = lakebed("status").stdout
    assert "ATTACHED" in table
    assert f"127.0.0.1:{addresses.postgres_port}" in table
    # One set of topics for the Connect of this stack, beside those of the Connect that is there.
    during = topics_with_prefix(admin_client(addresses.kafka), "lakebed-connect-")
    assert len(during) == len(before) + 3
    exports = lakebed("env").stdout
    assert f"export POSTGRES_PORT={addresses.postgres_port}" in exports
    assert "export POSTGRES_DB=cdcdb" in exports
    log = lakebed("logs", "kafka")
    assert log.returncode == 4
    assert f"it is attached at {addresses.kafka_bootstrap_servers}" in log.stderr
    down = lakebed("down")
    assert down.returncode == 0, down.stderr
    assert topics_with_prefix(admin_client(addresses.kafka), "lakebed-connect-") == before


@pytest.mark.parametrize(
    ("option", "seen"),
    [
        ("kafkka=broker:9092", "lakebed has no such service"),
        ("kafka", "write SERVICE=ADDRESS, such as kafka=broker:9092"),
        ("kafka=http://broker", "scheme 'http' is not one of a Kafka broker"),
        ("postgres=postgresql://me:hunter2@db:x", "it is no URL; allowed: postgresql://"),
    ],
)
def test_a_wrong_option_is_wrong_use(lakebed: Lakebed, option: str, seen: str) -> None:
    finished = lakebed("up", "kafka", "--attach", option)
    assert finished.returncode == 2
    assert seen in finished.stderr
    assert "hunter2" not in finished.stderr


def test_containers_know_nothing_of_it(lakebed: Lakebed) -> None:
    finished = lakebed("up", "--runtime", "compose", "--attach", "kafka=broker:9092")
    assert finished.returncode == 2
    assert "the setting attach is for the native runtime, not for containers" in finished.stderr


def test_a_wrong_address_leaves_nothing_running(lakebed: Lakebed, addresses: Addresses) -> None:
    finished = lakebed("up", "connect", "--attach", f"kafka=127.0.0.1:{addresses.postgres_port}")
    assert finished.returncode == 4
    assert "expected a Kafka broker; seen: PostgreSQL answers there" in finished.stderr
    assert json.loads(lakebed("status", "--json").stdout) == {"services": []}


def test_the_doctor_looks_at_them(lakebed: Lakebed, addresses: Addresses) -> None:
    attach = {"kafka": addresses.kafka_bootstrap_servers, "connect": "http://127.0.0.1:9"}
    finished = lakebed("doctor", LAKEBED_ATTACH=json.dumps(attach))
    assert finished.returncode == 3
    found = f"attached kafka: {addresses.kafka_bootstrap_servers} is a Kafka broker, and allows enough"
    assert found in finished.stdout
    found = "attached connect: expected Kafka Connect's REST interface; seen: 127.0.0.1:9 refuses"
    assert found in finished.stdout
    assert "29092" not in finished.stdout


_TEST = """
    from confluent_kafka.cimpl import NewTopic

    def test_it(kafka_topic, kafka_admin_client, lakebed_stack):
        assert lakebed_stack.folder.name == {stack!r}
        made = kafka_admin_client.create_topics([NewTopic("made-by-hand-while-tests-run")])
        made["made-by-hand-while-tests-run"].result(30)
"""
_DIFFERS = """
    import pytest
    from lakebed.errors import AttachDiffers

    def test_it(lakebed_stack):
        with pytest.raises(AttachDiffers, match={seen!r}):
            lakebed_stack.need("kafka")
"""


def test_a_kept_stack_with_attached_services(
    lakebed: Lakebed, run_tests: Any, addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = addresses.kafka_bootstrap_servers
    admin = admin_client(addresses.kafka)
    assert lakebed("up", "kafka", "--attach", f"kafka={kafka}").returncode == 0
    try:
        # Other settings are noticed, either way.
        differs = _DIFFERS.format(seen=f"it uses kafka at {kafka}")
        run_tests("-q", "test_none.py", test_none=differs).assert_outcomes(passed=1)
        monkeypatch.setenv("LAKEBED_ATTACH", json.dumps({"kafka": kafka, "connect": "http://127.0.0.1:9"}))
        differs = _DIFFERS.format(seen="it uses a connect of lakebed's own")
        run_tests("-q", "test_more.py", test_more=differs).assert_outcomes(passed=1)
        # The same settings use it; and nothing is swept: what was made by hand stays.
        monkeypatch.setenv("LAKEBED_ATTACH", json.dumps({"kafka": kafka}))
        same = _TEST.format(stack="up")
        run_tests("-q", "test_same.py", test_same=same).assert_outcomes(passed=1)
        assert topics_with_prefix(admin, "made-by-hand") == ["made-by-hand-while-tests-run"]
        assert topics_with_prefix(admin, "test_it") == []
    finally:
        admin.delete_topics(["made-by-hand-while-tests-run"])["made-by-hand-while-tests-run"].result(30)
        assert lakebed("down").returncode == 0
