"""Answers of Connect, the registry and the catalog: whatever comes, the contract's errors and no others."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies
from tests.security.strategies import DEEP, JSON, as_bytes, broken_text, damaged

from lakebed.clients.models import CatalogConfig, ConnectorStatus, SubjectVersion
from lakebed.errors import LakebedError
from lakebed.stack.messages import error_from_json

MODELS = (ConnectorStatus, SubjectVersion, CatalogConfig)
ANSWERS: tuple[dict[str, Any], ...] = (
    {
        "name": "orders",
        "connector": {"state": "RUNNING", "worker_id": "127.0.0.1:8083"},
        "tasks": [
            {"id": 0, "state": "FAILED", "worker_id": "127.0.0.1:8083", "trace": "java.lang.Exception"},
            {"id": 1, "state": "PAUSED", "worker_id": ""},
        ],
        "type": "source",
    },
    {"subject": "orders-value", "version": 1, "id": 7, "schema": '{"type": "string"}'},
    {"subject": "orders-value", "version": 1, "id": 7, "schema": "syntax", "schemaType": "PROTOBUF"},
    {"defaults": {"warehouse": "s3://warehouse/"}, "overrides": {"s3.secret-access-key": "key"}},
)


@given(
    model=strategies.sampled_from(MODELS),
    answer=strategies.one_of(damaged(*ANSWERS), JSON, broken_text(*ANSWERS), strategies.binary(), DEEP),
)
def test_an_answer_is_read_or_refused(model: Any, answer: Any) -> None:
    try:
        read = model.from_json(answer)
    except (ValueError, TypeError):
        return
    if isinstance(read, SubjectVersion):
        try:
            read.parsed_schema()
        except ValueError:  # of a kind that the contract's shape does not tell
            return
    assert model.from_json(read.to_json()) == read
    assert model.from_json(as_bytes(read.to_json())) == read


@given(content=strategies.one_of(damaged({"type": "ServiceFailed", "attempted": "start"}), JSON))
def test_an_error_from_the_socket_is_one_of_lakebeds(content: Any) -> None:
    error = error_from_json(content)
    assert isinstance(error, LakebedError)
    assert isinstance(str(error), str)
