"""Confluent's error codes, as confluent-kafka's client raises them, and where Apicurio has others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

ONE = Schema(json.dumps({"type": "record", "name": "one", "fields": [{"name": "id", "type": "int"}]}), "AVRO")
OTHER = Schema(
    json.dumps({"type": "record", "name": "one", "fields": [{"name": "x", "type": "int"}]}), "AVRO"
)
BROKEN = Schema('{"type": "no such type"}', "AVRO")

Ask = Callable[[SchemaRegistryClient, str], object]


@pytest.fixture
def subject(
    schema_registry_client: SchemaRegistryClient,
    lakebed_test_name: str,
    lakebed_record: Callable[[str, str], None],
) -> str:
    """A subject with one schema."""
    lakebed_record("compatibility", lakebed_test_name)
    lakebed_record("subject", lakebed_test_name)
    schema_registry_client.register_schema(lakebed_test_name, ONE)
    return lakebed_test_name


def raised(client: SchemaRegistryClient, ask: Ask, subject: str) -> tuple[int, int, str]:
    with pytest.raises(SchemaRegistryError) as caught:
        ask(client, subject)
    return caught.value.http_status_code, caught.value.error_code, caught.value.error_message


@pytest.mark.parametrize(
    ("ask", "http_status", "code", "says"),
    [
        (lambda client, _: client.get_versions("nowhere"), 404, 40401, "Subject 'nowhere' not found"),
        (lambda client, subject: client.get_version(subject, 9), 404, 40402, "Version 9 not found"),
        (lambda client, _: client.get_schema(99_999_999), 404, 40403, "Schema 99999999 not found"),
        (
            lambda client, subject: client.lookup_schema(subject, OTHER),
            404,
            40403,
            "does not match any schema",
        ),
        (lambda client, subject: client.register_schema(subject, OTHER), 409, 409, "Incompatible"),
        (lambda client, subject: client.register_schema(subject, BROKEN), 422, 42201, "artifact type"),
        (
            lambda client, subject: client.set_compatibility(subject, "SOMETIMES"),
            422,
            42203,
            "Invalid compatibility level",
        ),
    ],
    ids=["40401", "40402", "40403-id", "40403-lookup", "409", "42201", "42203"],
)
def test_codes_that_are_confluents(
    schema_registry_client: SchemaRegistryClient,
    subject: str,
    ask: Ask,
    http_status: int,
    code: int,
    says: str,
) -> None:
    status, error_code, message = raised(schema_registry_client, ask, subject)
    assert (status, error_code) == (http_status, code)
    assert says in message


@pytest.mark.parametrize(
    ("ask", "code", "confluents"),
    [
        # An impossible version.
        (lambda client, subject: client.get_version(subject, 0), (404, 40402), 42202),
        # A compatibility that was never set.
        (lambda client, subject: client.get_compatibility(f"{subject}-x"), (404, 40401), 40408),
        # Deleted for good without having been deleted.
        (
            lambda client, subject: client._rest_client.delete(f"subjects/{subject}?permanent=true"),
            (409, 40405),
            40405,
        ),
    ],
    ids=["version", "compatibility", "permanent"],
)
def test_codes_that_are_apicurios_own(
    schema_registry_client: SchemaRegistryClient,
    subject: str,
    ask: Ask,
    code: tuple[int, int],
    confluents: int,
) -> None:
    """What docs/schema_registry.md notes as deviations: the day they go, this fails."""
    status, error_code, _ = raised(schema_registry_client, ask, subject)
    assert (status, error_code) == code
    assert (status, error_code) != (404 if confluents < 42000 else 422, confluents)


def test_a_deleted_subject_is_back_with_its_next_version(
    schema_registry_client: SchemaRegistryClient, subject: str
) -> None:
    schema_id = schema_registry_client.get_version(subject, 1).schema_id
    assert schema_id is not None
    assert schema_registry_client.delete_subject(subject) == [1]
    assert raised(schema_registry_client, lambda client, name: client.get_versions(name), subject)[1] == 40401
    # The client would remember.
    schema_registry_client.clear_caches()  # type: ignore[no-untyped-call]
    # What was written with it can still be read.
    assert schema_registry_client.get_schema(schema_id).schema_type == "AVRO"
    schema_registry_client.register_schema(subject, ONE)
    assert schema_registry_client.get_versions(subject) == [2]
