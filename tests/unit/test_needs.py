"""Which services the collected tests need."""

from __future__ import annotations

import pytest

from lakebed.pytest_plugin.needs import CONNECTOR_FIELDS, MARKS, SERVICES_OF_FIXTURES, services_needed
from lakebed.services import SERVICE_NAMES

_FIXTURES = (
    "kafka_admin_client",
    "spark_session",
    "schema_registry_client",
    "debezium_client",
    "iceberg_catalog",
    "postgres_connection",
    "kafka_topic",
    "delta_table_path",
    "iceberg_namespace",
    "debezium_connector",
)


def needed(pytester: pytest.Pytester, *tests: str) -> list[str]:
    return services_needed(pytester.getitems("import pytest\n" + "\n".join(tests)))


def test_every_fixture_of_the_contract_has_its_services() -> None:
    more = {"debezium_connectors", "change_events", "cdc_pipeline", "mariadb_connection", "mariadb_connector"}
    assert set(SERVICES_OF_FIXTURES) == {*_FIXTURES, *more}


def test_tests_without_our_fixtures_need_nothing(pytester: pytest.Pytester) -> None:
    assert needed(pytester, "def test_a(tmp_path): ...", "def test_b(): ...") == []


@pytest.mark.parametrize(
    ("fixture", "services"),
    [
        ("postgres_connection", ["postgres"]),
        ("mariadb_connection", ["mariadb"]),
        ("mariadb_connector", ["kafka", "connect", "mariadb"]),
        ("kafka_topic", ["kafka"]),
        ("delta_table_path", ["s3"]),
        ("spark_session", ["s3"]),
        ("iceberg_namespace", ["s3", "iceberg-rest"]),
        ("debezium_connector", ["postgres", "kafka", "connect"]),
        ("schema_registry_client", ["schema-registry"]),
        ("cdc_pipeline", ["postgres", "kafka", "connect", "schema-registry", "s3"]),
    ],
)
def test_a_fixture_brings_its_services_and_no_other(
    pytester: pytest.Pytester, fixture: str, services: list[str]
) -> None:
    assert needed(pytester, f"def test_a({fixture}): ...") == services


def test_a_fixture_that_uses_ours_counts(pytester: pytest.Pytester) -> None:
    fixture = "@pytest.fixture\ndef orders(postgres_connection): ..."
    assert needed(pytester, fixture, "def test_a(orders): ...") == ["postgres"]


def test_all_tests_together_and_each_service_once(pytester: pytest.Pytester) -> None:
    tests = ("def test_a(kafka_topic): ...", "def test_b(kafka_topic, postgres_connection): ...")
    assert needed(pytester, *tests) == ["postgres", "kafka"]


def test_what_an_attached_service_needs_is_not_looked_for(pytester: pytest.Pytester) -> None:
    items = pytester.getitems("def test_a(debezium_client, iceberg_namespace): ...")
    assert services_needed(items) == ["kafka", "connect", "s3", "iceberg-rest"]
    assert services_needed(items, ("connect", "iceberg-rest")) == ["connect", "iceberg-rest"]


def test_a_mark_adds_services_by_any_of_their_names(pytester: pytest.Pytester) -> None:
    tests = ("@pytest.mark.lakebed('minio', 'kafka')", "def test_a(postgres_connection): ...")
    assert needed(pytester, *tests) == ["postgres", "kafka", "s3"]


def refused(pytester: pytest.Pytester, mark: str) -> str:
    with pytest.raises(pytest.UsageError) as caught:
        needed(pytester, f"@pytest.mark.{mark}", "def test_a(): ...")
    return str(caught.value)


def test_an_unknown_service_in_a_mark_is_refused_with_test_and_known_ones(pytester: pytest.Pytester) -> None:
    message = refused(pytester, "lakebed('mysql')")
    assert "::test_a" in message
    assert "'mysql'" in message
    assert ", ".join(SERVICE_NAMES) in message


@pytest.mark.parametrize("mark", ["lakebed", "lakebed()", "lakebed(kafka=True)"])
def test_a_mark_without_names_is_refused(pytester: pytest.Pytester, mark: str) -> None:
    assert "takes the names of services" in refused(pytester, mark)


@pytest.mark.parametrize("mark", ["debezium(snapshotmode='x')", "debezium('orders')"])
def test_an_unknown_field_of_a_connector_is_refused_with_the_known_ones(
    pytester: pytest.Pytester, mark: str
) -> None:
    assert ", ".join(CONNECTOR_FIELDS) in refused(pytester, mark)


@pytest.mark.parametrize("mark", ["lakebed_kafka", "debezium_connector"])
def test_a_mark_that_looks_like_ours_is_refused_with_ours(pytester: pytest.Pytester, mark: str) -> None:
    message = refused(pytester, mark)
    assert f"'{mark}'" in message
    assert f"known marks: {', '.join(MARKS)}" in message


@pytest.mark.parametrize("avro", [True, False])
def test_avro_needs_the_registry(pytester: pytest.Pytester, avro: bool) -> None:
    tests = f"@pytest.mark.debezium(avro={avro})\ndef test_a(debezium_connector): ..."
    assert ("schema-registry" in needed(pytester, tests)) is avro


def test_a_known_field_and_other_marks_are_left_alone(pytester: pytest.Pytester) -> None:
    marks = "@pytest.mark.debezium(topic_prefix='a')\n@pytest.mark.skipif(False, reason='no')"
    assert needed(pytester, marks, "def test_a(kafka_topic): ...") == ["kafka"]
