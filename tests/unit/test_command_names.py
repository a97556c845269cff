"""What the command knows without importing it is what there is."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from lakebed.cli import names
from lakebed.cli.group import COMMANDS, lakebed
from lakebed.compose.definitions import DEFINITION_NAMES, PROFILES
from lakebed.config.settings import Settings
from lakebed.services import GROUPS, KNOWN_NAMES, SERVICE_NAMES

HEAVY = ("pydantic", "confluent_kafka", "psycopg", "httpx", "rich", "yaml")


def test_the_names_that_a_shell_completes_are_those_of_the_services() -> None:
    assert names.SERVICE_NAMES == SERVICE_NAMES
    assert (*names.SERVICE_NAMES, *names.ON_REQUEST_NAMES) == KNOWN_NAMES
    assert tuple(GROUPS) == names.GROUP_NAMES
    assert names.CONTAINER_NAMES == DEFINITION_NAMES
    assert names.PROFILES == PROFILES
    runtime = Settings.model_fields["runtime"].annotation
    assert runtime is not None
    assert runtime.__args__ == names.RUNTIMES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_is_what_the_list_says(name: str) -> None:
    context = click.Context(lakebed)
    command = lakebed.get_command(context, name)
    assert command is not None
    assert command.name == name
    # The list may leave out the end of a sentence.
    said, listed = (command.help or "").split(".")[0], COMMANDS[name][1].rstrip(".")
    assert said.split()[:3] == listed.split()[:3]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("completion", "compose")])
def test_every_command_takes_json(name: str) -> None:
    command = lakebed.get_command(click.Context(lakebed), name)
    assert command is not None
    assert "--json" in [option for parameter in command.params for option in parameter.opts]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("lakebed do", ["doctor", "down"]),
        ("lakebed logs spark-w", ["spark-worker-1", "spark-worker-2", "spark-worker"]),
        ("lakebed up --port post", ["postgres="]),
        ("lakebed status --runtime c", ["compose"]),
        ("lakebed tail --from b", ["beginning"]),
        ("lakebed compose render --profile l", ["lake"]),
        ("lakebed completion z", ["zsh"]),
    ],
)
def test_what_is_completed_without_a_server_imports_nothing_heavy(words: str, completed: list[str]) -> None:
    program = (
        "import atexit, sys\n"
        "def told():\n"
        f"    sys.stderr.write(','.join(name for name in {HEAVY!r} if name in sys.modules))\n"
        "atexit.register(told)\n"
        "from lakebed.cli import main; main()\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={
            "PYTHONPATH": ":".join(sys.path),
            "_LAKEBED_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0
    assert [line.split(",")[1] for line in finished.stdout.splitlines()] == completed
    assert finished.stderr == ""
