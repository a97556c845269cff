"""The runtime "compose", against a stand-in for the command `docker` that checks every argument.

No engine is needed. What these tests cannot show is named in docs/compose.md: that the images start.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.free_ports import free_port
from tests.integration.lakebed_command import Running

from lakebed.services.definition import LOOPBACK
from lakebed.waiting import wait_until

_STAND_IN = Path(__file__).with_name("docker_stand_in.py")
_PROGRAM = "from lakebed.cli import main; main()"


@dataclass(frozen=True)
class Scenario:
    """What the stand-in plays, and what it was asked.

    Attributes:
        memory: its folder.
        environment: in which lakebed runs.
        ports: the free ports by service, which the services are published on.
    """

    memory: Path
    environment: dict[str, str]
    ports: dict[str, int]

    def plays(self, **events: Any) -> None:
        """Have it play: `lives` (steps by service), `checks` and `logs`, `up_fails`, `down_fails`, ..."""
        fresh = self.memory / "scenario.fresh"
        fresh.write_text(json.dumps(events))
        fresh.replace(self.memory / "scenario.json")

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments],
            env={**self.environment, **variables},
            cwd=self.memory,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            env=self.environment,
            cwd=self.memory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--runtime", "compose", *arguments)

    @property
    def containers(self) -> set[str]:
        file = self.memory / "state.json"
        return set(json.loads(file.read_text())) if file.exists() else set()

    @property
    def calls(self) -> list[list[str]]:
        """What of `docker compose` was called, without the part about the project, in order."""
        file = self.memory / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        found = [json.loads(line)["arguments"] for line in lines]
        return [one[one.index("-") + 1 :] if "-" in one else one for one in found]

    def given_to_up(self) -> dict[str, Any]:
        calls = [json.loads(line) for line in (self.memory / "calls.jsonl").read_text().splitlines()]
        document = yaml.safe_load(next(one["given"] for one in calls if "up" in one["arguments"]))
        assert isinstance(document, dict)
        return document


@pytest.fixture
def scenario(
    tmp_path: Path, stacks: Path, child_environment: Callable[[Path], dict[str, str]]
) -> Iterator[Scenario]:
    """The stand-in on PATH; when the test is over, it must have refused nothing."""
    memory, programs = tmp_path / "stand-in", tmp_path / "bin"
    memory.mkdir()
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(_STAND_IN))} "$@"\n')
    docker.chmod(0o755)
    names = ("postgres", "kafka", "connect", "schema-registry", "s3", "iceberg-rest", "spark-master")
    ports = {name: free_port() for name in names}
    environment = child_environment(stacks) | {
        "DOCKER_STAND_IN": str(memory),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "LAKEBED_PORTS": json.dumps(ports),
        # Of another project; lakebed must not hand them on.
        "COMPOSE_PROJECT_NAME": "somebody-elses",
        "COMPOSE_FILE": "/somebody/elses.yaml",
    }
    found = Scenario(memory, environment, ports)
    found.plays()
    yield found
    # The note for `lakebed down`: the containers of the stand-in go with its memory.
    (stacks / "compose.json").unlink(missing_ok=True)
    refused = memory / "refused"
    assert not refused.exists(), refused.read_text()


def test_up_starts_what_is_asked_for_and_what_it_needs(scenario: Scenario) -> None:
    finished = scenario.up("iceberg", "registry")
    assert finished.returncode == 0, finished.stderr
    assert scenario.containers == {"minio", "iceberg-rest", "kafka", "schema-registry"}
    assert finished.stdout.splitlines() == [
        f"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{scenario.ports['kafka']}",
        f"SCHEMA_REGISTRY_URL=http://127.0.0.1:{scenario.ports['schema-registry']}",
        f"ICEBERG_CATALOG_URI=http://127.0.0.1:{scenario.ports['iceberg-rest']}",
        f"MINIO_ENDPOINT=http://127.0.0.1:{scenario.ports['s3']}",
        f"AWS_ENDPOINT_URL=http://127.0.0.1:{scenario.ports['s3']}",
    ]
    # The same lines as natively, each state once.
    for service in ("s3", "iceberg-rest", "kafka", "schema-registry"):
        states = [line.split()[3] for line in finished.stderr.splitlines() if f"s  {service} " in line]
        assert states == ["STARTING", "HEALTHY"]
    assert "postgres Pulling" in finished.stderr


def test_what_lakebed_starts_listens_on_loopback_only(scenario: Scenario) -> None:
    assert scenario.up().returncode == 0
    services = scenario.given_to_up()["services"]
    assert len(services) == 8
    assert {port.rsplit(":", 2)[0] for one in services.values() for port in one.get("ports", [])} == {
        LOOPBACK
    }


def test_a_second_up_adds_and_leaves_the_rest_as_it_is(scenario: Scenario) -> None:
    assert scenario.up("kafka").returncode == 0
    # Its port is held now, by the container: no reason to refuse, and not to be changed either.
    with socket.create_server((LOOPBACK, scenario.ports["kafka"])):
        finished = scenario.up("connect", "--port", "kafka=19999")
    assert finished.returncode == 0, finished.stderr
    assert scenario.containers == {"kafka", "connect"}
    assert f"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{scenario.ports['kafka']}" in finished.stdout


def test_status_logs_env_and_down(scenario: Scenario) -> None:
    assert scenario.up("connect", "postgres").returncode == 0
    content = json.loads(scenario.run("status", "--json", "--runtime", "compose").stdout)
    assert (content["runtime"], content["project"]) == ("compose", f"lakebed-{os.getuid()}")
    assert {one["service"]: (one["state"], one["port"], one["container"]) for one in content["services"]} == {
        "kafka": ("HEALTHY", scenario.ports["kafka"], "cdc-kafka"),
        "connect": ("HEALTHY", scenario.ports["connect"], "cdc-connect"),
        "postgres": ("HEALTHY", scenario.ports["postgres"], "cdc-postgres"),
    }
    assert "cdc-connect" in scenario.run("status", "--runtime", "compose").stdout
    logs = scenario.run("logs", "debezium", "--runtime", "compose")
    assert logs.stdout == "connect says hello\nconnect is up\n"
    assert scenario.run("logs", "connect", "-n", "1", "--runtime", "compose").stdout == "connect is up\n"
    env = scenario.run("env", "--runtime", "compose").stdout
    assert f"export DEBEZIUM_URL=http://127.0.0.1:{scenario.ports['connect']}\n" in env
    assert "export POSTGRES_PASSWORD=cdcpass\n" in env
    ended = scenario.run("down", "--runtime", "compose")
    assert (ended.returncode, ended.stderr) == (0, "stopped\n")
    assert scenario.containers == set()


def test_the_logs_of_containers_are_one_and_are_followed(scenario: Scenario) -> None:
    scenario.plays(
        logs={
            "kafka": "[2026-01-31 12:00:02,000] INFO kafka is up\n",
            "connect": "2026-01-31T12:00:01Z connect is on its way\n2026-01-31T12:00:03Z connect is up\n",
        },
    )
    assert scenario.up("connect").returncode == 0
    both = scenario.run("logs", "--runtime", "compose", TZ="UTC")
    assert both.stdout.splitlines() == [
        "connect | 2026-01-31T12:00:01Z connect is on its way",
        "kafka   | [2026-01-31 12:00:02,000] INFO kafka is up",
        "connect | 2026-01-31T12:00:03Z connect is up",
    ]
    following = Running(scenario.start("logs", "--runtime", "compose", "-f", "-n", "1", "--json"))
    try:
        for service in ("kafka", "connect"):
            wait_until((scenario.memory / f"{service}.is_followed").exists, "docker", deadline_seconds=30)
            (scenario.memory / f"{service}.writes").touch()
            following.wait_for(f"{service} writes on")
            (scenario.memory / f"{service}.ends").touch()
            following.wait_for(f"{service} has ended", err=True)
        # With the last container the command ends.
        assert following.end() == 0
    finally:
        following.process.kill()
    lines = [(one["service"], one["event"], one.get("line")) for one in following.objects()]
    assert [line for line in lines if line[0] == "connect"] == [
        ("connect", "line", "2026-01-31T12:00:03Z connect is up"),
        ("connect", "line", "connect writes on"),
        ("connect", "line", "connect ends"),
        ("connect", "ended", None),
    ]


def test_following_ends_docker_with_ctrl_c(scenario: Scenario) -> None:
    assert scenario.up("kafka").returncode == 0
    following = Running(scenario.start("logs", "--runtime", "compose", "-f"))
    try:
        following.wait_for("kafka is up")
        children = psutil.Process(following.process.pid).children(recursive=True)
        assert children
        assert following.interrupt() == 130
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == []
    finally:
        following.process.kill()
    assert following.err == []


def test_watching_containers(scenario: Scenario) -> None:
    arguments = ("status", "--runtime", "compose", "--watch", "--json", "--interval", "0.2")
    watching = Running(scenario.start(*arguments))
    try:
        watching.wait_for('"services": []')
        assert scenario.up("kafka").returncode == 0
        watching.wait_for('"HEALTHY"')
        # Docker's engine goes away, and comes back.
        scenario.plays(ps_fails="Cannot connect to the Docker daemon")
        watching.wait_for("Cannot connect to the Docker daemon")
        scenario.plays()
        watching.wait_for('"HEALTHY"', count=2)
        assert scenario.run("down", "--runtime", "compose").returncode == 0
        watching.wait_for('"services": []', count=3)
        assert watching.interrupt() == 130
    finally:
        watching.process.kill()


def test_down_of_processes_tells_of_containers_without_asking_docker(scenario: Scenario) -> None:
    assert scenario.up("kafka").returncode == 0
    before = len(scenario.calls)
    finished = scenario.run("down")
    assert finished.returncode == 0
    assert f"containers of the Compose project lakebed-{os.getuid()} were started: kafka;" in finished.stderr
    assert "`lakebed down --runtime compose` ends them" in finished.stderr
    told = json.loads(scenario.run("down", "--json").stdout)
    assert told == {"stopped": False, "compose_project": f"lakebed-{os.getuid()}"}
    assert len(scenario.calls) == before
    ended = scenario.run("down", "--runtime", "compose", "--json")
    assert json.loads(ended.stdout) == {"stopped": True, "compose_project": None}
    assert scenario.run("down").stderr == "no stack runs\n"


def test_a_port_is_that_of_a_container(scenario: Scenario) -> None:
    port = free_port()
    content = json.loads(scenario.up("kafka", "--port", f"kafka={port}", "--json").stdout)
    assert content["runtime"] == "compose"
    assert content["ports"] == {"kafka": {"kafka": port}}
    refused = scenario.up("spark", "--port", "spark-worker-1=7078")
    assert (refused.returncode, "'spark-worker-1'" in refused.stderr) == (2, True)


def test_where_nothing_runs_each_command_says_so(scenario: Scenario) -> None:
    assert (
        scenario.run("status", "--runtime", "compose").stdout
        == "no container of lakebed's project is there\n"
    )
    assert scenario.run("down", "--runtime", "compose").stderr == "no stack runs\n"
    env = scenario.run("env", "--runtime", "compose")
    assert (env.returncode, "lakebed up --runtime compose" in env.stderr) == (4, True)
    logs = scenario.run("logs", "kafka", "--runtime", "compose")
    assert (logs.returncode, "it was not started" in logs.stderr) == (4, True)


def test_the_addresses_of_a_spark_cluster(scenario: Scenario) -> None:
    finished = scenario.up("spark")
    assert finished.stdout == f"SPARK_MASTER_URL=spark://127.0.0.1:{scenario.ports['spark-master']}\n"
    assert scenario.containers == {"spark-master", "spark-worker"}


def test_the_setting_chooses_the_runtime_and_the_option_wins(scenario: Scenario) -> None:
    assert scenario.run("up", "postgres", LAKEBED_RUNTIME="compose").returncode == 0
    assert scenario.containers == {"postgres"}
    native = scenario.run("status", "--json", "--runtime", "native", LAKEBED_RUNTIME="compose")
    assert json.loads(native.stdout) == {"services": []}
    wrong = scenario.run("status", LAKEBED_RUNTIME="kubernetes")
    assert (wrong.returncode, "'native' or 'compose'" in wrong.stderr) == (2, True)


def test_another_image_by_option_or_setting(scenario: Scenario) -> None:
    images = json.dumps({"postgres": "postgres:17", "kafka": "not/needed:1"})
    finished = scenario.run(
        *("up", "--runtime", "compose", "postgres", "minio", "--image", "s3=chrislusf/seaweedfs:latest"),
        LAKEBED_IMAGES=images,
    )
    assert finished.returncode == 0, finished.stderr
    services = scenario.given_to_up()["services"]
    assert services["postgres"]["image"] == "postgres:17"
    assert services["minio"]["image"] == "chrislusf/seaweedfs:latest"
    native = scenario.run("up", "postgres", "--image", "postgres=postgres:17")
    assert (native.returncode, "--runtime compose" in native.stderr) == (2, True)


def test_an_older_compose_writes_an_array(scenario: Scenario) -> None:
    scenario.plays(old_compose=True)
    assert scenario.up("kafka").returncode == 0


# A health check that fails, as the engine keeps it.
def _failed(output: str, times: int) -> dict[str, Any]:
    return {"FailingStreak": times, "Log": [{"ExitCode": 1, "Output": f"{output}\n"}] * times}


def test_an_unhealthy_container_ends_the_start_with_its_last_words(scenario: Scenario) -> None:
    scenario.plays(
        lives={"kafka": ["created", "running starting", "running starting", "running unhealthy"]},
        checks={"cdc-kafka": _failed("broker not available", 5)},
        logs={"kafka": "a first line\nOutOfMemoryError\n"},
    )
    finished = scenario.up("connect")
    assert finished.returncode == 4
    assert "5 health checks failed, the last with: broker not available" in finished.stderr
    assert "OutOfMemoryError" in finished.stderr
    assert scenario.containers == set()
    assert "down" in [call[0] for call in scenario.calls]


def test_failed_checks_are_retries_until_the_fifth(scenario: Scenario) -> None:
    scenario.plays(
        lives={"kafka": ["created", "running starting", "running starting", "running healthy"]},
        checks={"cdc-kafka": _failed("not yet", 3)},
    )
    finished = scenario.up("kafka")
    assert finished.returncode == 0
    assert [
        line.split("STARTING")[1].strip() for line in finished.stderr.splitlines() if "STARTING" in line
    ] == [
        "",
        *(f"health check {count} of 5 failed: not yet" for count in (1, 2, 3)),
    ]


def test_a_catalog_without_curl_is_told_of_one_with_it(scenario: Scenario) -> None:
    said = 'OCI runtime exec failed: exec: "curl": executable file not found in $PATH: unknown'
    scenario.plays(
        lives={"iceberg-rest": ["created", "running starting", "running unhealthy"]},
        checks={"cdc-iceberg-rest": _failed(said, 5)},
    )
    finished = scenario.up("iceberg")
    assert finished.returncode == 4
    assert "--image iceberg-rest=apache/iceberg-rest-fixture:" in finished.stderr
    assert "tabulario/iceberg-rest:latest does not have" in finished.stderr


def test_a_container_that_exits_ends_the_start(scenario: Scenario) -> None:
    scenario.plays(lives={"minio": ["created", "running starting", "exited 137"]})
    finished = scenario.up("s3")
    assert finished.returncode == 4
    assert "its container cdc-minio exited with code 137" in finished.stderr
    assert "minio is up" in finished.stderr
    assert scenario.containers == set()


def test_a_failed_addition_leaves_what_ran_before(scenario: Scenario) -> None:
    assert scenario.up("kafka").returncode == 0
    scenario.plays(lives={"connect": ["created", "exited 1"]})
    finished = scenario.up("connect", "postgres")
    assert finished.returncode == 4
    assert scenario.containers == {"kafka"}
    assert "down" not in [call[0] for call in scenario.calls]


@pytest.mark.parametrize(
    ("said", "code", "remedy"),
    [
        (
            "Error response from daemon: driver failed programming external connectivity on endpoint"
            " cdc-kafka: Bind for 127.0.0.1:29092 failed: port is already allocated",
            3,
            "--port SERVICE=NUMBER",
        ),
        (
            'Error response from daemon: Conflict. The container name "/cdc-kafka" is already in use by'
            ' container "ab12". You have to remove (or rename) that container to be able to reuse that name.',
            4,
            "one such project can run",
        ),
        ("Error response from daemon: manifest for apache/kafka:4.3.1 not found", 5, "--image SERVICE=IMAGE"),
        ("Error response from daemon: something nobody has seen", 4, "Docker's own"),
    ],
)
def test_what_compose_says_becomes_an_error_that_teaches(
    scenario: Scenario, said: str, code: int, remedy: str
) -> None:
    scenario.plays(up_fails=said)
    finished = scenario.up("kafka")
    assert finished.returncode == code
    assert said in finished.stderr
    assert remedy in finished.stderr
    assert scenario.containers == set()


def test_what_cannot_be_removed_is_said_with_what_failed_before(scenario: Scenario) -> None:
    scenario.plays(up_fails="the first thing", down_fails="the engine hangs")
    finished = scenario.up("kafka")
    assert finished.returncode == 4
    for said in ("the first thing", "the engine hangs", "lakebed down --runtime compose"):
        assert said in finished.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_start_leaves_nothing(scenario: Scenario, number: signal.Signals, code: int) -> None:
    scenario.plays(lives={"kafka": ["created", "running starting"]})
    process = scenario.start("up", "--runtime", "compose", "connect")
    try:
        wait_until((scenario.memory / "up_is_waiting").exists, "Compose to start", deadline_seconds=30)
        wait_until(lambda: scenario.containers, "containers", deadline_seconds=30)
        process.send_signal(number)
        # A second one must not disturb the clean-up.
        process.send_signal(number)
        _, written = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, written
    assert scenario.containers == set()


@pytest.mark.parametrize(
    ("events", "seen"),
    [
        (
            {"compose_version": "error: docker: unknown command: docker compose"},
            "docker has no Compose plug-in: docker: unknown command: docker compose",
        ),
        (
            {"compose_version": "docker-compose version 1.29.2, build 5becea4c"},
            "its Compose plug-in is 'docker-compose version 1.29.2",
        ),
        (
            {"engine_version": "error: Cannot connect to the Docker daemon at unix:///var/run/docker.sock."},
            "Docker's engine does not answer: Cannot connect to the Docker daemon",
        ),
        ({"engine_host": "ssh://build@far.example"}, "Docker's engine runs on far.example"),
        ({"engine_host": "tcp://192.0.2.7:2376"}, "Docker's engine runs on 192.0.2.7"),
    ],
)
@pytest.mark.parametrize("command", ["up", "down", "status", "env"])
def test_without_an_engine_the_alternatives_are_named(
    scenario: Scenario, command: str, events: dict[str, str], seen: str
) -> None:
    scenario.plays(**events)
    finished = scenario.run(command, "--runtime", "compose")
    assert finished.returncode == 3
    assert seen in finished.stderr
    assert "--runtime native" in finished.stderr
    assert "attach" in finished.stderr
    # Nothing was asked of Compose.
    assert {call[0] for call in scenario.calls} <= {"compose", "version", "context"}


def test_without_docker_the_alternatives_are_named(scenario: Scenario) -> None:
    finished = scenario.run("up", "--runtime", "compose", PATH=str(scenario.memory))
    assert finished.returncode == 3
    assert "there is no program `docker` on PATH" in finished.stderr
    assert "--runtime native" in finished.stderr


def test_a_port_that_is_held_is_found_before_anything_is_started(scenario: Scenario) -> None:
    with socket.create_server((LOOPBACK, scenario.ports["kafka"])):
        finished = scenario.up("kafka")
    assert finished.returncode == 3
    assert f"port {scenario.ports['kafka']} (kafka) is held by" in finished.stderr
    assert f"(pid {os.getpid()}" in finished.stderr
    assert "up" not in [call[0] for call in scenario.calls]


def test_the_stand_in_refuses_what_docker_is_not_asked(scenario: Scenario) -> None:
    docker = [sys.executable, str(_STAND_IN)]
    clean = {name: value for name, value in scenario.environment.items() if not name.startswith("COMPOSE_")}
    for arguments, environment in (
        (["compose", "up"], clean),
        (["ps"], clean),
        (["compose", "version"], scenario.environment),
    ):
        finished = subprocess.run([*docker, *arguments], env=environment, cwd="/", input="")
        assert finished.returncode == 97
    refused = scenario.memory / "refused"
    assert len(refused.read_text().splitlines()) == 3
    refused.unlink()


@pytest.mark.parametrize(
    ("arguments", "variables", "seen"),
    [
        (["mysql"], {}, "'mysql'"),
        (["--port", "mysql=1"], {}, "'mysql'"),
        (["kafka", "--port", "kafka=70000"], {}, "a number from 1 to 65535"),
        (["kafka", "s3", "--port", "kafka=9123", "--port", "s3=9123"], {}, "port 9123 of the host"),
        (["kafka", "--image", "kafka=no image"], {}, "kafka has the image 'no image'"),
        (
            ["registry"],
            {"LAKEBED_REGISTRY_USERNAME": "me", "LAKEBED_REGISTRY_PASSWORD": "geheim"},
            "registry_username and registry_password are set",
        ),
    ],
)
def test_what_cannot_work_is_refused_before_docker_is_asked(
    scenario: Scenario, arguments: list[str], variables: dict[str, str], seen: str
) -> None:
    finished = scenario.run("up", "--runtime", "compose", *arguments, **variables)
    assert finished.returncode == 2
    assert seen in finished.stderr
    assert "geheim" not in finished.stderr
    assert scenario.calls == []
