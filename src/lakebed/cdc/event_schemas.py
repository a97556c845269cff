"""The types of an event's fields, from the schema that a message carries or names. Pure.

Sources: Kafka documentation, `JsonConverter` (a message is `{"schema": ..., "payload": ...}`); Apache Avro
specification, "Schema Declaration"; Apicurio's and Confluent's Avro converters keep what is Connect's own in
`connect.name` and `connect.parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakebed.cdc.event_values import FieldType

# What PostgreSQL's `bit varying` without a length has in Debezium.
_UNLIMITED = 2147483647

_PLAIN_AVRO = {"int": "int32", "long": "int64"}


def _typed(name: str, parameters: Mapping[str, Any], **more: Any) -> FieldType:
    length = int(parameters["length"]) if "length" in parameters else None
    return FieldType(
        name,
        scale=int(parameters.get("scale", 0)),
        length=None if length == _UNLIMITED else length,
        **more,
    )


def connect_type(schema: Mapping[str, Any]) -> FieldType:
    """Return the type that a schema of Connect describes, in the form of its `JsonConverter`."""
    kind = str(schema["type"])
    name = str(schema.get("name") or kind)
    parameters = schema.get("parameters") or {}
    if kind == "struct":
        fields = {str(field["field"]): connect_type(field) for field in schema["fields"]}
        return _typed(name, parameters, fields=fields)
    if kind == "array":
        return FieldType("array", items=connect_type(schema["items"]))
    if kind == "map":
        return FieldType("map", items=connect_type(schema["values"]))
    return _typed(name, parameters)


def avro_type(schema: Any) -> FieldType:
    """Return the type that an Avro schema describes; a union with null is looked through."""
    return _avro(schema, "", {})


def _avro(schema: Any, namespace: str, known: dict[str, FieldType]) -> FieldType:
    if isinstance(schema, str):
        return known.get(schema) or known.get(f"{namespace}.{schema}") or FieldType(_plain(schema))
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        return _avro(branches[0], namespace, known) if len(branches) == 1 else FieldType("union")
    kind = schema["type"]
    name = str(schema.get("connect.name") or _plain(str(kind)))
    if kind == "record":
        inner = str(schema.get("namespace") or namespace)
        # A record's own name, where it stands again, is enough.
        full_name = schema["name"] if "." in schema["name"] else f"{inner}.{schema['name']}"
        fields = {str(field["name"]): _avro(field["type"], inner, known) for field in schema["fields"]}
        known[full_name] = FieldType(name, fields=fields)
        return known[full_name]
    if kind == "array":
        return FieldType("array", items=_avro(schema["items"], namespace, known))
    if kind == "map":
        return FieldType("map", items=_avro(schema["values"], namespace, known))
    if isinstance(kind, (dict, list)):
        return _avro(kind, namespace, known)
    return _typed(name, schema.get("connect.parameters") or {})


def _plain(name: str) -> str:
    return _PLAIN_AVRO.get(name, name)


def without_logical_types(schema: Any) -> Any:
    """Return an Avro schema without its logical types: dates beyond Python's could not be read otherwise."""
    if isinstance(schema, dict):
        return {name: without_logical_types(value) for name, value in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    return schema
