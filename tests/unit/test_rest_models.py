"""The REST answers: unknown fields accepted, missing and wrong ones refused with their path."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from lakebed.clients.models import (
    CatalogConfig,
    ConnectorInfo,
    ConnectorStatus,
    SubjectVersion,
    TaskStatus,
)

STATUS: dict[str, Any] = {
    "name": "orders",
    "connector": {"state": "RUNNING", "worker_id": "127.0.0.1:8083"},
    "tasks": [
        {"id": 0, "state": "RUNNING", "worker_id": "127.0.0.1:8083"},
        {"id": 1, "state": "FAILED", "worker_id": "127.0.0.1:8083", "trace": "ConnectException: x\n\tat y"},
    ],
    "type": "source",
}
SUBJECT: dict[str, Any] = {
    "subject": "orders-value",
    "version": 1,
    "id": 123,
    "schema": '{"type": "record", "name": "orders", "fields": []}',
}
CATALOG: dict[str, Any] = {"defaults": {"warehouse": "s3://warehouse/"}, "overrides": {}}
ANSWERS: dict[type[ConnectorStatus] | type[SubjectVersion] | type[CatalogConfig], dict[str, Any]] = {
    ConnectorStatus: STATUS,
    SubjectVersion: SUBJECT,
    CatalogConfig: CATALOG,
}
MODELS = list(ANSWERS)
STATES = "RUNNING, FAILED, PAUSED, UNASSIGNED, RESTARTING, STOPPED"
GONE = object()


def changed(answer: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy of the answer with another value at the path, or none when the value is GONE."""
    copied = copy.deepcopy(answer)
    parent: Any = copied
    for step in path[:-1]:
        parent = parent[step]
    if value is GONE:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return copied


def written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def test_connector_status_is_read() -> None:
    assert ConnectorStatus.from_json(STATUS) == ConnectorStatus(
        name="orders",
        connector=ConnectorInfo("RUNNING", "127.0.0.1:8083"),
        tasks=[
            TaskStatus(0, "RUNNING", "127.0.0.1:8083"),
            TaskStatus(1, "FAILED", "127.0.0.1:8083", "ConnectException: x\n\tat y"),
        ],
        type="source",
    )


def test_trace_of_a_failed_connector_is_read() -> None:
    answer = changed(STATUS, ("connector",), {"state": "FAILED", "worker_id": "w", "trace": "why"})
    assert ConnectorStatus.from_json(answer).connector == ConnectorInfo("FAILED", "w", "why")


@pytest.mark.parametrize("state", STATES.split(", "))
def test_every_state_of_connect_is_read(state: str) -> None:
    answer = changed(changed(STATUS, ("connector", "state"), state), ("tasks", 0, "state"), state)
    status = ConnectorStatus.from_json(answer)
    assert (status.connector.state, status.tasks[0].state) == (state, state)


def test_connector_without_tasks_yet() -> None:
    assert ConnectorStatus.from_json(changed(STATUS, ("tasks",), [])).tasks == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_round_trip_gives_the_contracts_shape(
    model: type[ConnectorStatus] | type[SubjectVersion] | type[CatalogConfig],
) -> None:
    answer = ANSWERS[model]
    for given in (
        answer,
        json.dumps(answer),
        json.dumps(answer).encode(),
        bytearray(json.dumps(answer), "utf-8"),
    ):
        again = model.from_json(given).to_json()
        assert json.dumps(again) == json.dumps(answer)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (ConnectorStatus, changed(STATUS, ("version",), "3.6.3")),
        (ConnectorStatus, changed(STATUS, ("connector", "version"), "3.6.3")),
        (ConnectorStatus, changed(STATUS, ("tasks", 0, "version"), "3.6.3")),
        (ConnectorStatus, changed(STATUS, ("tasks", 0, "trace"), None)),
        (SubjectVersion, changed(SUBJECT, ("references",), [])),
        (SubjectVersion, changed(SUBJECT, ("schemaType",), "AVRO")),
        (CatalogConfig, changed(CATALOG, ("endpoints",), ["GET /v1/config"])),
    ],
)
def test_unknown_fields_are_accepted_and_dropped(
    model: type[ConnectorStatus] | type[SubjectVersion] | type[CatalogConfig], answer: dict[str, Any]
) -> None:
    assert json.dumps(model.from_json(answer).to_json()) == json.dumps(ANSWERS[model])


FIELDS: list[tuple[Any, tuple[str | int, ...], list[object], list[object], str]] = [
    (ConnectorStatus, ("name",), [None, 1, []], ["", " "], "text"),
    (ConnectorStatus, ("connector",), [None, "RUNNING", []], [], "a JSON object"),
    (ConnectorStatus, ("connector", "state"), [None, 1], ["", "running", "BROKEN"], STATES),
    (ConnectorStatus, ("connector", "worker_id"), [None, 8083], [], "text"),
    (ConnectorStatus, ("tasks",), [None, {}, "x"], [], "a JSON array"),
    (ConnectorStatus, ("tasks", 0, "id"), [None, "0", True, 0.0], [-1], "an integer of at least 0"),
    (ConnectorStatus, ("tasks", 1, "id"), [None, "1"], [-5], "an integer of at least 0"),
    (ConnectorStatus, ("tasks", 0, "state"), [None, 1], ["", "DESTROYED"], STATES),
    (ConnectorStatus, ("tasks", 1, "state"), [["FAILED"]], ["failed"], STATES),
    (ConnectorStatus, ("tasks", 0, "worker_id"), [None, 1], [], "text"),
    (ConnectorStatus, ("type",), [None, 1], ["", "Source", "table"], "source, sink"),
    (SubjectVersion, ("subject",), [None, 1], [""], "text"),
    (SubjectVersion, ("version",), [None, "1", True, 1.0], [0, -1], "an integer of at least 1"),
    (SubjectVersion, ("id",), [None, "123", False], [-1], "an integer of at least 0"),
    (SubjectVersion, ("schema",), [None, {"type": "string"}], ["", "{not json", "record"], "JSON"),
    (CatalogConfig, ("defaults",), [None, [], "x"], [], "a JSON object"),
    (CatalogConfig, ("overrides",), [None, [], "x"], [], "a JSON object"),
]


@pytest.mark.parametrize(("model", "path", "wrong_types", "wrong_values", "allowed"), FIELDS)
def test_wrong_field_is_refused_with_its_path(
    model: type[ConnectorStatus] | type[SubjectVersion] | type[CatalogConfig],
    path: tuple[str | int, ...],
    wrong_types: list[object],
    wrong_values: list[object],
    allowed: str,
) -> None:
    where = model.__name__ + written(path)
    cases = [(value, TypeError) for value in wrong_types] + [(value, ValueError) for value in wrong_values]
    for value, error in cases:
        with pytest.raises(error) as caught:
            model.from_json(changed(ANSWERS[model], path, value))
        assert type(caught.value) is error
        assert str(caught.value).startswith(f"{where} is {value!r}")
        assert allowed in str(caught.value).split("; allowed: ")[1]

    with pytest.raises(ValueError, match="is missing") as missing:
        model.from_json(changed(ANSWERS[model], path, GONE))
    assert str(missing.value).startswith(f"{where} is missing (fields seen: ")
    assert allowed in str(missing.value).split("; allowed: ")[1]


@pytest.mark.parametrize(
    ("model", "path", "value"),
    [
        (ConnectorStatus, ("tasks", 1, "trace"), ["line"]),
        (ConnectorStatus, ("connector", "trace"), 1),
        (ConnectorStatus, ("tasks", 1), "FAILED"),
        (CatalogConfig, ("defaults", "warehouse"), 1),
        (CatalogConfig, ("overrides", "clients"), None),
    ],
)
def test_wrong_type_further_down(
    model: type[ConnectorStatus] | type[CatalogConfig], path: tuple[str | int, ...], value: object
) -> None:
    with pytest.raises(TypeError) as caught:
        model.from_json(changed(ANSWERS[model], path, value))
    assert str(caught.value).startswith(f"{model.__name__}{written(path)} is {value!r}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_answer_that_is_no_object_is_refused(
    model: type[ConnectorStatus] | type[SubjectVersion] | type[CatalogConfig],
) -> None:
    not_objects: list[object] = [None, [], 1, "[]", b"null", '"text"']
    for value in not_objects:
        with pytest.raises(TypeError, match=f"^{model.__name__} is .*allowed: a JSON object$"):
            model.from_json(value)
    for broken in ("", "<html>Bad gateway</html>", b"\xff\xfe\xfa", '{"name": ', "[" * 200_000):
        with pytest.raises(ValueError, match=f"^{model.__name__} is ") as caught:
            model.from_json(broken)
        assert str(caught.value).endswith("; allowed: JSON")
        assert len(str(caught.value)) < 1000


def test_error_answer_of_connect_says_which_fields_came() -> None:
    with pytest.raises(ValueError, match=r"fields seen: error_code, message"):
        ConnectorStatus.from_json({"error_code": 404, "message": "No status found for connector orders"})


@pytest.mark.parametrize(
    ("schema", "parsed"),
    [
        ('"string"', "string"),
        ('["null", "long"]', ["null", "long"]),
        (SUBJECT["schema"], {"type": "record", "name": "orders", "fields": []}),
    ],
)
def test_parsed_schema(schema: str, parsed: object) -> None:
    assert SubjectVersion.from_json(changed(SUBJECT, ("schema",), schema)).parsed_schema() == parsed


def test_protobuf_schema_is_kept_and_is_not_json() -> None:
    answer = SUBJECT | {"schemaType": "PROTOBUF", "schema": 'syntax = "proto3";'}
    subject = SubjectVersion.from_json(answer)
    assert subject.schema == 'syntax = "proto3";'
    with pytest.raises(ValueError, match=r"^SubjectVersion\.schema is .*; allowed: JSON$"):
        subject.parsed_schema()


def test_secrets_of_a_catalog_are_not_shown() -> None:
    secret = "hunter2-not-to-be-seen"
    config = CatalogConfig.from_json(
        {"defaults": {"s3.secret-access-key": secret}, "overrides": {"token": secret, "prefix": "lake"}}
    )
    assert repr(config) == (
        "CatalogConfig(defaults={'s3.secret-access-key': '***'}, "
        "overrides={'token': '***', 'prefix': 'lake'})"
    )
    assert config.to_json()["defaults"] == {"s3.secret-access-key": secret}
    for answer in (
        {"defaults": {"s3.secret-access-key": [secret]}, "overrides": {}},
        {"defaults": [{"token": secret}], "overrides": {}},
        '{"defaults": {"token": "' + secret + '"',
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            CatalogConfig.from_json(answer)
        assert secret not in str(caught.value)
