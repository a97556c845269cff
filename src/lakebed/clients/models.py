"""The answers of Connect, the schema registry and the Iceberg REST catalog (contract, section 4).

``from_json`` takes parsed JSON, or JSON as str or bytes. Fields the contract does not know are accepted and
dropped. A missing field or a wrong value raises ValueError, a value of the wrong type TypeError; the
message names the field's path, such as ``ConnectorStatus.tasks[0].state``, the value that was seen and what
is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebed.config.checks import (
    check_choice,
    check_integer,
    check_text,
    check_text_or_empty,
    listed,
    refuse_type,
)
from lakebed.config.secrets import is_secret_name, masked_repr, shown

CONNECTOR_STATES = ("RUNNING", "FAILED", "PAUSED", "UNASSIGNED", "RESTARTING", "STOPPED")
"""Those of the contract, RESTARTING (Connect 3.0) and STOPPED (Connect 3.5)."""

CONNECTOR_TYPES = ("source", "sink")


@dataclass(frozen=True)
class ConnectorInfo:
    """The connector itself; ``trace`` is its stack trace when it failed, which not every Connect sends."""

    state: str
    worker_id: str
    trace: str | None = None


@dataclass(frozen=True)
class TaskStatus:
    """One task of a connector; ``trace`` is its stack trace when it failed."""

    id: int
    state: str
    worker_id: str
    trace: str | None = None


@dataclass(frozen=True)
class ConnectorStatus:
    """``GET /connectors/{name}/status`` of Kafka Connect."""

    name: str
    connector: ConnectorInfo
    tasks: list[TaskStatus]
    type: str

    @classmethod
    def from_json(cls, value: object) -> ConnectorStatus:
        """Read the answer; see the module for what is refused."""
        here = "ConnectorStatus"
        answer = _object(here, _parsed(here, value))
        connector = _object(f"{here}.connector", _member(here, answer, "connector", "a JSON object"))
        tasks = _member(here, answer, "tasks", "a JSON array")
        if not isinstance(tasks, list):
            refuse_type(f"{here}.tasks", tasks, "a JSON array")
        return cls(
            name=check_text(f"{here}.name", _member(here, answer, "name", "a text")),
            connector=ConnectorInfo(
                state=_state(f"{here}.connector", connector),
                worker_id=_worker_id(f"{here}.connector", connector),
                trace=_trace(f"{here}.connector", connector),
            ),
            tasks=[_task(f"{here}.tasks[{index}]", task) for index, task in enumerate(tasks)],
            type=check_choice(
                f"{here}.type", _member(here, answer, "type", listed(CONNECTOR_TYPES)), CONNECTOR_TYPES
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """The contract's shape: a task has ``trace`` only if there is one, the connector never."""
        return {
            "name": self.name,
            "connector": {"state": self.connector.state, "worker_id": self.connector.worker_id},
            "tasks": [
                {
                    "id": task.id,
                    "state": task.state,
                    "worker_id": task.worker_id,
                    **({} if task.trace is None else {"trace": task.trace}),
                }
                for task in self.tasks
            ],
            "type": self.type,
        }


@dataclass(frozen=True)
class SubjectVersion:
    """``GET /subjects/{subject}/versions/{version}`` of the schema registry."""

    subject: str
    version: int
    id: int
    schema: str

    @classmethod
    def from_json(cls, value: object) -> SubjectVersion:
        """Read the answer; see the module for what is refused.

        ``schema`` must hold JSON, except when the answer says ``"schemaType": "PROTOBUF"``.
        """
        here = "SubjectVersion"
        answer = _object(here, _parsed(here, value))
        schema = _member(here, answer, "schema", "a text that holds JSON")
        if not isinstance(schema, str):
            refuse_type(f"{here}.schema", schema, "a text that holds JSON")
        if answer.get("schemaType") != "PROTOBUF":
            _parsed(f"{here}.schema", schema)
        return cls(
            subject=check_text(f"{here}.subject", _member(here, answer, "subject", "a text")),
            version=check_integer(
                f"{here}.version",
                _member(here, answer, "version", "an integer of at least 1"),
                between=(1, None),
            ),
            id=check_integer(
                f"{here}.id", _member(here, answer, "id", "an integer of at least 0"), between=(0, None)
            ),
            schema=schema,
        )

    def parsed_schema(self) -> Any:
        """The schema as parsed JSON: a dict, a list (union) or a str (name of a type).

        Raises ValueError when it is not JSON.
        """
        return _parsed("SubjectVersion.schema", self.schema)

    def to_json(self) -> dict[str, Any]:
        """The contract's shape."""
        return {"subject": self.subject, "version": self.version, "id": self.id, "schema": self.schema}


@dataclass(frozen=True)
class CatalogConfig:
    """``GET /v1/config`` of an Iceberg REST catalog: properties before and after those of the client."""

    defaults: dict[str, str]
    overrides: dict[str, str]

    def __repr__(self) -> str:
        return masked_repr(self)

    @classmethod
    def from_json(cls, value: object) -> CatalogConfig:
        """Read the answer; see the module for what is refused."""
        here = "CatalogConfig"
        answer = _object(here, _parsed(here, value))
        return cls(
            defaults=_properties(f"{here}.defaults", _member(here, answer, "defaults", "a JSON object")),
            overrides=_properties(f"{here}.overrides", _member(here, answer, "overrides", "a JSON object")),
        )

    def to_json(self) -> dict[str, Any]:
        """The contract's shape."""
        return {"defaults": dict(self.defaults), "overrides": dict(self.overrides)}


def _parsed(where: str, value: object) -> object:
    if not isinstance(value, (str, bytes, bytearray)):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        # A broken answer of the catalog may hold its keys, and without parsing nobody knows where.
        beginning = shown(value[:200], secret=is_secret_name(repr(value)))
        raise ValueError(f"{where} is {beginning} ({error}); allowed: JSON") from None


def _object(where: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        refuse_type(where, value, "a JSON object", secret=is_secret_name(repr(value)))
    return value


def _member(where: str, parent: Mapping[str, object], key: str, allowed: str) -> object:
    if key not in parent:
        seen = ", ".join(str(name) for name in parent) or "none"
        raise ValueError(f"{where}.{key} is missing (fields seen: {seen}); allowed: {allowed}")
    return parent[key]


def _state(where: str, parent: Mapping[str, object]) -> str:
    state = _member(where, parent, "state", listed(CONNECTOR_STATES))
    return check_choice(f"{where}.state", state, CONNECTOR_STATES)


def _worker_id(where: str, parent: Mapping[str, object]) -> str:
    return check_text_or_empty(f"{where}.worker_id", _member(where, parent, "worker_id", "a text"))


def _trace(where: str, parent: Mapping[str, object]) -> str | None:
    trace = parent.get("trace")
    if trace is not None and not isinstance(trace, str):
        refuse_type(f"{where}.trace", trace, "a text")
    return trace


def _task(where: str, value: object) -> TaskStatus:
    task = _object(where, value)
    number = _member(where, task, "id", "an integer of at least 0")
    return TaskStatus(
        id=check_integer(f"{where}.id", number, between=(0, None)),
        state=_state(where, task),
        worker_id=_worker_id(where, task),
        trace=_trace(where, task),
    )


def _properties(where: str, value: object) -> dict[str, str]:
    properties = dict(_object(where, value))
    texts: dict[str, str] = {}
    for key, item in properties.items():
        if not isinstance(item, str):
            refuse_type(f"{where}.{key}", item, "a text")
        texts[key] = item
    return texts
