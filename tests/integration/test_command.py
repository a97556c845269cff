"""The command, as a user runs it: in a process of its own, on a stack of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.free_ports import free_port
from tests.integration.lakebed_command import PROGRAM, Command

from lakebed.cli import main
from lakebed.services import SERVICE_NAMES
from lakebed.services.definition import LOOPBACK


@pytest.fixture
def command(stacks: Path, child_environment: Callable[[Path], dict[str, str]]) -> Command:
    """The command, with nothing running."""
    return Command(stacks, child_environment(stacks))


@dataclass(frozen=True)
class CommandHere:
    """The same in this process, which saves the second that Python and its imports take."""

    stacks: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.monkeypatch.setattr(sys, "argv", ["lakebed", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        shown = self.capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return subprocess.CompletedProcess(arguments, caught.value.code, shown.out, shown.err)


@pytest.fixture
def command_here(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandHere:
    """The command in this process, with nothing running."""
    for name in ("LAKEBED_DATA_FOLDER", "LAKEBED_CACHE", "COLUMNS"):
        monkeypatch.setenv(name, command.environment[name])
    return CommandHere(command.stacks, monkeypatch, capsys)


@dataclass(frozen=True)
class Up:
    """A stack that was started with `lakebed up postgres` and then `lakebed up s3`."""

    command: Command
    postgres_port: int
    s3_port: int
    first: subprocess.CompletedProcess[str]
    postgres_pid: int
    second: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def up(
    new_stacks_folder: Callable[[], AbstractContextManager[Path]],
    child_environment: Callable[[Path], dict[str, str]],
) -> Iterator[Up]:
    with new_stacks_folder() as stacks:
        command = Command(stacks, child_environment(stacks))
        ports = free_port(), free_port()
        chosen = ["--port", f"postgres={ports[0]}", "--port", f"s3={ports[1]}"]
        first = command("up", "postgres", *chosen)
        assert first.returncode == 0, first.stderr
        (entry,) = command.status()["services"]
        second = command("up", "s3", *chosen)
        yield Up(command, *ports, first, entry["pid"], second)
        finished = command("down")
        assert finished.returncode == 0, finished.stderr


def test_up_starts_on_the_port_asked_for_and_shows_each_step(up: Up) -> None:
    assert f"POSTGRES_PORT={up.postgres_port}" in up.first.stdout
    assert "STARTING" in up.first.stderr
    assert "HEALTHY" in up.first.stderr
    with psycopg.connect(
        host=LOOPBACK, port=up.postgres_port, user="cdcuser", password="cdcpass", dbname="cdcdb"
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_second_up_adds_to_the_running_stack(up: Up) -> None:
    assert up.second.returncode == 0, up.second.stderr
    assert f"MINIO_ENDPOINT=http://{LOOPBACK}:{up.s3_port}" in up.second.stdout
    services = {entry["service"]: entry for entry in up.command.status()["services"]}
    assert set(services) == {"postgres", "s3"}
    assert services["postgres"]["pid"] == up.postgres_pid
    assert [services[name]["port"] for name in ("postgres", "s3")] == [up.postgres_port, up.s3_port]


def test_status_is_a_table_for_people(up: Up) -> None:
    finished = up.command("status")
    assert finished.returncode == 0
    heading, *rows = [line.split() for line in finished.stdout.splitlines()]
    assert heading == ["service", "state", "since", "port", "pid", "memory", "start"]
    assert {row[0]: row[1] for row in rows} == {"postgres": "HEALTHY", "s3": "HEALTHY"}
    assert str(up.postgres_pid) in rows[0]


def test_status_is_json_for_scripts(up: Up) -> None:
    status = up.command.status()
    assert status["keep"] is True
    assert status["ports"]["postgres"] == {"postgres": up.postgres_port}
    for entry in status["services"]:
        assert entry["memory_mb"] > 0
        assert entry["seconds_to_start"] > 0
        assert [move["to_state"] for move in entry["history"]] == ["STARTING", "HEALTHY"]
        assert Path(entry["log"]).is_file()


def test_logs_are_those_of_the_service(up: Up) -> None:
    whole = up.command("logs", "postgres")
    assert whole.returncode == 0
    assert "database system is ready to accept connections" in whole.stdout
    last = up.command("logs", "postgresql", "--lines", "1")
    assert len(last.stdout.splitlines()) == 1
    assert last.stdout.strip() in whole.stdout


def test_logs_of_a_service_that_was_not_started_name_those_that_were(up: Up) -> None:
    finished = up.command("logs", "kafka")
    assert finished.returncode == 4
    assert "started: postgres, s3" in finished.stderr


def test_the_logs_of_several_services_are_one(up: Up) -> None:
    finished = up.command("logs")
    assert finished.returncode == 0, finished.stderr
    names = [line.split(" | ")[0].strip() for line in finished.stdout.splitlines()]
    assert set(names) == {"postgres", "s3"}
    chosen = up.command("logs", "s3", "postgres", "-n", "2", "--json")
    lines = [json.loads(line) for line in chosen.stdout.splitlines()]
    assert sorted(line["service"] for line in lines) == ["postgres", "postgres", "s3", "s3"]
    times = [line["at"] for line in lines]
    assert None not in times
    assert times == sorted(times)


def test_up_env_and_doctor_are_json_for_scripts(up: Up) -> None:
    again = json.loads(up.command("up", "postgres", "s3", "--json").stdout)
    assert again["runtime"] == "native"
    assert again["ports"]["postgres"] == {"postgres": up.postgres_port}
    assert again["addresses"]["POSTGRES_PORT"] == str(up.postgres_port)
    assert not [name for name in again["addresses"] if "PASSWORD" in name or "KEY" in name]
    environment = json.loads(up.command("env", "--json").stdout)["environment"]
    assert environment["POSTGRES_PASSWORD"] == "cdcpass"
    doctor = up.command("doctor", "--json")
    content = json.loads(doctor.stdout)
    assert content["is_good"] is (doctor.returncode == 0)
    assert {"subject", "seen", "remedy", "is_good"} == content["findings"][0].keys()


def test_env_is_evaluated_by_a_shell(up: Up, tmp_path: Path) -> None:
    finished = up.command("env")
    assert finished.returncode == 0
    script = tmp_path / "script.sh"
    script.write_text(f"{finished.stdout}\nexec env\n")
    shell = subprocess.run(["sh", str(script)], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    seen = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    endpoint = f"http://{LOOPBACK}:{up.s3_port}"
    wanted = {
        "POSTGRES_HOST": LOOPBACK,
        "POSTGRES_PORT": str(up.postgres_port),
        "POSTGRES_USER": "cdcuser",
        "POSTGRES_PASSWORD": "cdcpass",
        "POSTGRES_DB": "cdcdb",
        "MINIO_ENDPOINT": endpoint,
        "MINIO_ACCESS_KEY": "minioadmin",
        "MINIO_SECRET_KEY": "minioadmin",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "minioadmin",
        "AWS_SECRET_ACCESS_KEY": "minioadmin",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    assert {name: seen.get(name) for name in wanted} == wanted
    # Only for what runs.
    assert not {"KAFKA_BOOTSTRAP_SERVERS", "DEBEZIUM_URL", "ICEBERG_CATALOG_URI"} & seen.keys()


def test_doctor_knows_the_running_stack(up: Up) -> None:
    finished = up.command("doctor", LAKEBED_PORTS=json.dumps({"postgres": up.postgres_port}))
    assert f"port {up.postgres_port}: postgres of the running stack listens on it" in finished.stdout
    assert "leftovers: none" in finished.stdout


def test_a_service_that_is_up_is_not_started_again(up: Up) -> None:
    finished = up.command("up", "postgres")
    assert finished.returncode == 0, finished.stderr
    assert "STARTING" not in finished.stderr
    services = {entry["service"]: entry["pid"] for entry in up.command.status()["services"]}
    assert services["postgres"] == up.postgres_pid


# -- with nothing running ----------------------------------------------------------------------------


def test_down_ends_everything(command: Command) -> None:
    started = command("up", "postgres", "--port", f"postgres={free_port()}")
    assert started.returncode == 0, started.stderr
    finished = command("down")
    assert finished.returncode == 0
    assert "stopped" in finished.stderr
    assert not command.stacks.exists() or not list(command.stacks.iterdir())
    assert command.status() == {"services": []}


@pytest.mark.parametrize("subcommand", ["down", "status"])
def test_with_nothing_running_the_command_says_so(command_here: CommandHere, subcommand: str) -> None:
    finished = command_here(subcommand)
    assert finished.returncode == 0
    assert "no stack runs" in finished.stdout + finished.stderr


@pytest.mark.parametrize("arguments", [["env"], ["logs", "postgres"], ["logs", "-f"], ["tail", "orders"]])
def test_what_needs_a_stack_says_how_to_start_one(command_here: CommandHere, arguments: list[str]) -> None:
    finished = command_here(*arguments)
    assert (finished.returncode, finished.stdout) == (4, "")
    assert "lakebed up" in finished.stderr


@pytest.mark.parametrize("subcommand", ["up", "logs", "prefetch"])
def test_an_unknown_service_is_refused_with_the_known_ones(
    command_here: CommandHere, subcommand: str
) -> None:
    finished = command_here(subcommand, "mysql")
    assert finished.returncode == 2
    assert "'mysql'" in finished.stderr
    assert f"known services: {', '.join(SERVICE_NAMES)}" in finished.stderr
    assert not command_here.stacks.exists() or not list(command_here.stacks.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--no-such-option"],
        ["up", "--port", "postgres"],
        ["up", "--port", "postgres=many"],
        ["up", "--port", "postgres=0"],
        ["up", "--port", "mysql=3306"],
        ["up", "--memory-mb", "0"],
        ["logs", "postgres", "-n", "0"],
        ["tail"],
        ["tail", "orders", "--from", "yesterday"],
        ["tail", "orders", "-n", "0"],
        ["status", "--watch", "--interval", "0"],
        ["completion", "tcsh"],
        ["fly"],
    ],
)
def test_wrong_use_has_its_exit_code_and_starts_nothing(
    command_here: CommandHere, arguments: list[str]
) -> None:
    finished = command_here(*arguments)
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert "error: " in finished.stderr
    assert not command_here.stacks.exists() or not list(command_here.stacks.iterdir())


def test_an_unknown_setting_has_its_exit_code(command: Command) -> None:
    finished = command("status", LAKEBED_MEMROY_MB="5")
    assert finished.returncode == 2
    assert "LAKEBED_MEMROY_MB" in finished.stderr
    assert "LAKEBED_MEMORY_MB" in finished.stderr


def test_doctor_finds_a_held_port_and_says_what_to_do(command: Command) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        finished = command("doctor", LAKEBED_PORTS=json.dumps({"postgres": port}))
    assert finished.returncode == 3
    assert f"port {port}: wanted by postgres, held by" in finished.stdout
    assert "lakebed up --port postgres=NUMBER" in finished.stdout
    for subject in (
        "memory: ",
        "disk for cache: ",
        "disk for data: ",
        "Java: ",
        "locale: ",
        "user: ",
        "leftovers: ",
    ):
        assert subject in finished.stdout


def test_doctor_is_content_with_a_good_machine(command: Command) -> None:
    ports = {name: free_port() for name in SERVICE_NAMES}
    finished = command("doctor", LAKEBED_PORTS=json.dumps(ports), LC_ALL="C.UTF-8")
    assert finished.returncode == 0, finished.stdout
    assert "  do  " not in finished.stdout


def test_prefetch_needs_no_network_when_all_is_there(command: Command) -> None:
    # Nothing listens there: any download would fail, and at once.
    mirror = f"http://{LOOPBACK}:{free_port()}/maven"
    services = ("postgres", "kafka", "connect", "iceberg-rest", "spark")
    fetched = command("prefetch", *services)
    assert fetched.returncode == 0, fetched.stderr
    finished = command("prefetch", *services, LAKEBED_MAVEN_MIRROR=mirror)
    assert finished.returncode == 0, finished.stderr
    assert "everything is in" in finished.stderr


def test_prefetch_into_an_empty_cache_without_network_fails_with_its_code(
    command: Command, tmp_path: Path
) -> None:
    mirror = f"http://{LOOPBACK}:{free_port()}/maven"
    finished = command(
        "prefetch", "postgres", LAKEBED_MAVEN_MIRROR=mirror, LAKEBED_CACHE=str(tmp_path / "cache")
    )
    assert finished.returncode == 5
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (
            ["frobnicate"],
            "known commands: completion, compose, demo, doctor, down, env, logs, prefetch, sbom, status,"
            " tail, ui, up",
        ),
        (["up", "--frob"], "known options: --port, --memory-mb"),
    ],
)
def test_an_unknown_command_or_option_is_refused_with_the_known_ones(
    command: Command, arguments: list[str], known: str
) -> None:
    finished = command(*arguments)
    assert finished.returncode == 2
    assert known in finished.stderr


def test_a_running_service_keeps_its_port(up: Up) -> None:
    finished = up.command("up", "postgres", "--port", "postgres=1")
    assert finished.returncode == 4
    assert f"it runs on port {up.postgres_port}" in finished.stderr
    assert up.command("status").returncode == 0


# -- with --json ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["env"], 4, "StackFailed"),
        (["logs", "postgres"], 4, "StackFailed"),
        (["tail", "orders"], 4, "StackFailed"),
        (["up", "mysql"], 2, "UnknownService"),
        (["logs", "mysql"], 2, "UnknownService"),
        (["up", "--port", "postgres"], 2, "UsageError"),
        (["status", "--frob"], 2, "UsageError"),
        (["fly"], 2, "UsageError"),
        (["tail"], 2, "UsageError"),
    ],
)
def test_an_error_is_json_too_with_the_same_exit_code(
    command_here: CommandHere, arguments: list[str], code: int, kind: str
) -> None:
    plain = command_here(*arguments)
    finished = command_here(*arguments, "--json")
    assert (finished.returncode, plain.returncode, plain.stdout) == (code, code, "")
    error = json.loads(finished.stdout)["error"]
    assert error.keys() == {"type", "attempted", "seen", "remedy"}
    assert (error["type"], bool(error["seen"])) == (kind, True)
    # For people it is said as ever.
    assert finished.stderr == plain.stderr


def test_what_has_nothing_to_say_says_it_in_json(command_here: CommandHere) -> None:
    assert json.loads(command_here("down", "--json").stdout) == {"stopped": False, "compose_project": None}
    assert json.loads(command_here("status", "--json").stdout) == {"services": []}
    assert json.loads(command_here("prefetch", "s3", "--json").stdout)["sets"] == []


def test_a_compose_file_as_json(command_here: CommandHere, tmp_path: Path) -> None:
    document = json.loads(command_here("compose", "render", "kafka", "--json").stdout)
    assert list(document["services"]) == ["kafka"]
    file = tmp_path / "compose.yaml"
    written = json.loads(command_here("compose", "render", "kafka", "--output", str(file), "--json").stdout)
    assert written == {"output": str(file), "services": ["kafka"]}
    assert file.exists()


@pytest.mark.parametrize("arguments", [["compose", "render"], ["status", "--watch"], ["env", "--json"]])
def test_the_command_ends_quietly_when_nobody_reads_it(command: Command, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        finished = subprocess.run(
            [*PROGRAM, *arguments],
            env=command.environment,
            cwd=command.stacks.parent,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert finished.returncode == (4 if arguments[0] == "env" else 141), finished.stderr
    assert "Traceback" not in finished.stderr
    assert "BrokenPipe" not in finished.stderr


# -- ports ------------------------------------------------------------------------------------------


def test_a_port_is_for_a_native_service_natively_and_for_a_container_with_compose(
    command_here: CommandHere,
) -> None:
    # Each is refused for what comes after its name was found.
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        taken = command_here("up", "spark-cluster", "--port", f"spark-worker-1={port}")
    assert (taken.returncode, str(port) in taken.stderr) == (3, True)
    unknown = command_here("up", "spark-cluster", "--port", "spark-worker=7078")
    assert (unknown.returncode, "'spark-worker'" in unknown.stderr) == (2, True)
    rendered = command_here("compose", "render", "spark", "--port", "spark-worker-1=7078")
    assert (rendered.returncode, "'spark-worker-1'" in rendered.stderr) == (2, True)
