"""The seven compatibility modes: each change of a schema, in each mode, let in or refused by the registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from lakebed.clients.registry import compatibility, set_compatibility
from lakebed.config.registry import CompatibilityMode

BACKWARD, FORWARD, FULL = CompatibilityMode.BACKWARD, CompatibilityMode.FORWARD, CompatibilityMode.FULL
NONE = CompatibilityMode.NONE
BACKWARD_ALL, FORWARD_ALL = CompatibilityMode.BACKWARD_TRANSITIVE, CompatibilityMode.FORWARD_TRANSITIVE
FULL_ALL = CompatibilityMode.FULL_TRANSITIVE

Field = dict[str, Any]


def record(*fields: Field) -> Schema:
    return Schema(json.dumps({"type": "record", "name": "orders", "fields": list(fields)}), "AVRO")


ID: Field = {"name": "id", "type": "int"}
ID_LONG: Field = {"name": "id", "type": "long"}
NOTE: Field = {"name": "note", "type": "string"}
NOTE_DEFAULT: Field = {**NOTE, "default": "none"}
REMARK: Field = {"name": "remark", "type": "string"}
REMARK_WAS_NOTE: Field = {**REMARK, "aliases": ["note"]}

ALL_BACKWARD = {BACKWARD, BACKWARD_ALL}
ALL_FORWARD = {FORWARD, FORWARD_ALL}
ALL = set(CompatibilityMode)

# What changes, the versions that are there, the next one, and the modes that let it in (Avro specification,
# "Schema Resolution"; Confluent documentation, "Schema Evolution and Compatibility").
CASES: dict[str, tuple[list[Schema], Schema, set[CompatibilityMode]]] = {
    "nothing": ([record(ID)], record(ID), ALL),
    "add with default": ([record(ID)], record(ID, NOTE_DEFAULT), ALL),
    "add without default": ([record(ID)], record(ID, NOTE), ALL_FORWARD | {NONE}),
    "remove with default": ([record(ID, NOTE_DEFAULT)], record(ID), ALL),
    "remove without default": ([record(ID, NOTE)], record(ID), ALL_BACKWARD | {NONE}),
    "rename with alias": ([record(ID, NOTE)], record(ID, REMARK_WAS_NOTE), ALL_BACKWARD | {NONE}),
    "rename without alias": ([record(ID, NOTE)], record(ID, REMARK), {NONE}),
    "widen int to long": ([record(ID)], record(ID_LONG), ALL_BACKWARD | {NONE}),
    "narrow long to int": ([record(ID_LONG)], record(ID), ALL_FORWARD | {NONE}),
    # The second version fits to each neighbour, but the third does not fit to the first.
    "chain that loses its default": (
        [record(ID), record(ID, NOTE_DEFAULT)],
        record(ID, NOTE),
        ALL - {BACKWARD_ALL, FULL_ALL},
    ),
    "chain that gets a default and goes": (
        [record(ID, NOTE), record(ID, NOTE_DEFAULT)],
        record(ID),
        ALL - {FORWARD_ALL, FULL_ALL},
    ),
}


@pytest.fixture
def subject(lakebed_test_name: str, lakebed_record: Callable[[str, str], None]) -> str:
    """The name of a subject that only this test has, and of its compatibility."""
    lakebed_record("compatibility", lakebed_test_name)
    lakebed_record("subject", lakebed_test_name)
    return lakebed_test_name


@pytest.mark.parametrize("change", CASES)
@pytest.mark.parametrize("mode", CompatibilityMode, ids=lambda mode: mode.value)
def test_a_change_is_let_in_or_refused(
    schema_registry_client: SchemaRegistryClient, subject: str, mode: CompatibilityMode, change: str
) -> None:
    versions, new, allowed = CASES[change]
    set_compatibility(schema_registry_client, NONE, subject)
    for version in versions:
        schema_registry_client.register_schema(subject, version)
    set_compatibility(schema_registry_client, mode, subject)
    assert compatibility(schema_registry_client, subject) is mode
    is_new = new.schema_str not in {version.schema_str for version in versions}
    # The question can be asked without registering anything: against the newest version, or against all.
    asked = (
        schema_registry_client.test_compatibility_all_versions
        if mode.value.endswith("TRANSITIVE")
        else schema_registry_client.test_compatibility
    )
    assert asked(subject, new) == (mode in allowed)
    if mode in allowed:
        schema_registry_client.register_schema(subject, new)
        assert len(schema_registry_client.get_versions(subject)) == len(versions) + is_new
    else:
        with pytest.raises(SchemaRegistryError) as caught:
            schema_registry_client.register_schema(subject, new)
        assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)
        assert len(schema_registry_client.get_versions(subject)) == len(versions)


def test_every_mode_has_a_change_it_lets_in_and_but_for_none_one_it_refuses() -> None:
    for mode in CompatibilityMode:
        verdicts = {mode in allowed for _, _, allowed in CASES.values()}
        assert verdicts == ({True} if mode is NONE else {True, False})


def test_a_transitive_mode_refuses_what_the_plain_one_lets_in() -> None:
    for plain, transitive in ((BACKWARD, BACKWARD_ALL), (FORWARD, FORWARD_ALL), (FULL, FULL_ALL)):
        assert [
            name for name, (_, _, allowed) in CASES.items() if plain in allowed and transitive not in allowed
        ]


def test_a_subject_without_a_mode_has_that_of_all(
    schema_registry_client: SchemaRegistryClient, subject: str
) -> None:
    assert compatibility(schema_registry_client) is BACKWARD
    assert compatibility(schema_registry_client, subject) is BACKWARD
    set_compatibility(schema_registry_client, FULL_ALL, subject)
    assert compatibility(schema_registry_client, subject) is FULL_ALL
    assert compatibility(schema_registry_client) is BACKWARD


# On a registry of its own: the mode of all is that of every other test too.
GLOBAL = """
    import pytest
    from confluent_kafka.schema_registry import Schema
    from confluent_kafka.schema_registry.error import SchemaRegistryError
    from lakebed.clients.registry import compatibility, set_compatibility
    from lakebed.config.registry import CompatibilityMode

    ID = '{"type": "record", "name": "r", "fields": [{"name": "id", "type": "int"}]}'
    MORE = '{"type": "record", "name": "r", "fields": [{"name": "id", "type": "int"},' \\
           ' {"name": "note", "type": "string"}]}'
    # Whether a field without default can be added, and can be removed.
    VERDICTS = {"NONE": (True, True), "BACKWARD": (False, True), "BACKWARD_TRANSITIVE": (False, True),
                "FORWARD": (True, False), "FORWARD_TRANSITIVE": (True, False),
                "FULL": (False, False), "FULL_TRANSITIVE": (False, False)}

    def lets_in(client, subject, schemas):
        client.register_schema(subject, Schema(schemas[0], "AVRO"))
        try:
            client.register_schema(subject, Schema(schemas[1], "AVRO"))
        except SchemaRegistryError as error:
            assert error.error_code == 409
            return False
        return True

    @pytest.mark.parametrize("mode", CompatibilityMode, ids=lambda mode: mode.value)
    def test_mode_of_all(schema_registry_client, lakebed_record, lakebed_test_name, mode):
        lakebed_record("compatibility", "")
        set_compatibility(schema_registry_client, mode)
        assert compatibility(schema_registry_client) is mode
        added = lets_in(schema_registry_client, lakebed_test_name + "-added", (ID, MORE))
        removed = lets_in(schema_registry_client, lakebed_test_name + "-removed", (MORE, ID))
        assert (added, removed) == VERDICTS[mode.value]

    def test_it_is_the_contracts_again(schema_registry_client):
        assert compatibility(schema_registry_client) is CompatibilityMode.BACKWARD
"""


def test_the_mode_of_all_subjects(run_tests: Any) -> None:
    run_tests("--tb=short", test_inner=GLOBAL).assert_outcomes(passed=8)
