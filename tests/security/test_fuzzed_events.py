"""Messages of change topics, which anybody may have written: an event, or a PoisonMessage."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import Message
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from hypothesis import example, given, strategies
from tests.security.strategies import DEEP, JSON, SCALARS, as_bytes, broken_text, damaged

from lakebed.cdc.decoding import EventDecoder
from lakebed.cdc.event_values import _DECODERS, FieldType, decoder
from lakebed.cdc.events import ChangeEvent
from lakebed.errors import PoisonMessage

_SOURCE = {
    "version": "3.6.3.Final",
    "connector": "postgresql",
    "name": "shop",
    "ts_ms": 1700000000000,
    "ts_us": 1700000000000000,
    "snapshot": "false",
    "db": "shop",
    "sequence": '["1", "2"]',
    "schema": "public",
    "table": "orders",
    "txId": 5,
    "lsn": 7,
    "xmin": None,
}
_ROW = {"id": 1, "price": "AQ==", "at": 1700000000000000, "tags": ["a", None], "where": {"x": 1.5, "y": 2}}
_ENVELOPE: dict[str, Any] = {
    "before": None,
    "after": _ROW,
    "source": _SOURCE,
    "op": "u",
    "ts_ms": 1700000000000,
    "transaction": {"id": "5", "total_order": 1, "data_collection_order": 1},
    "message": {"prefix": "audit", "content": "YQ=="},
}
_FIELDS = [
    {"field": "id", "type": "int32", "optional": False},
    {
        "field": "price",
        "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": "2"},
    },
    {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
    {"field": "tags", "type": "array", "items": {"type": "string"}},
    {
        "field": "where",
        "type": "struct",
        "name": "io.debezium.data.geometry.Point",
        "fields": [{"field": "x", "type": "double"}, {"field": "y", "type": "double"}],
    },
    {"field": "bits", "type": "bytes", "name": "io.debezium.data.Bits", "parameters": {"length": "5"}},
]
_SCHEMA = {
    "type": "struct",
    "fields": [
        {"field": "before", "type": "struct", "fields": _FIELDS},
        {"field": "after", "type": "struct", "fields": _FIELDS},
    ],
}
_VALUES = (_ENVELOPE, {"schema": _SCHEMA, "payload": _ENVELOPE}, {"schema": None, "payload": _ENVELOPE})
_KEYS = ({"id": 1}, {"schema": {"type": "struct", "fields": _FIELDS[:1]}, "payload": {"id": 1}})

_AVRO: tuple[Any, ...] = (
    {
        "type": "record",
        "name": "Envelope",
        "fields": [
            {
                "name": "after",
                "type": [
                    "null",
                    {
                        "type": "record",
                        "name": "Value",
                        "fields": [
                            {"name": "id", "type": "int"},
                            {"name": "name", "type": ["null", "string"]},
                            {"name": "tags", "type": {"type": "array", "items": "string"}},
                            {"name": "more", "type": {"type": "map", "values": "long"}},
                        ],
                    },
                ],
            },
            {"name": "op", "type": "string"},
            {"name": "source", "type": {"type": "map", "values": "string"}},
        ],
    },
    "string",
    {"type": "enum", "name": "E", "symbols": ["a"]},
    {"type": "fixed", "name": "F", "size": 4},
)
_CONTENTS = strategies.one_of(
    strategies.none(),
    damaged(*_VALUES).map(as_bytes),
    damaged(*_KEYS).map(as_bytes),
    broken_text(*_VALUES),
    strategies.binary(),
    # Avro's wire format: a zero byte and the id of a schema.
    strategies.tuples(strategies.integers(0, 4), strategies.binary()).map(
        lambda pair: b"\x00" + pair[0].to_bytes(4, "big") + pair[1]
    ),
    JSON.map(as_bytes),
    DEEP,
)


class Registry(SchemaRegistryClient):
    """A registry's client that finds its schemas without a server."""

    def __init__(self, schemas: tuple[Any, ...]) -> None:
        self.schemas = schemas

    def get_schema(self, schema_id: int, *args: Any, **kwargs: Any) -> Schema:
        """Return a schema, or refuse an unknown one as a registry does."""
        if schema_id >= len(self.schemas):
            raise SchemaRegistryError(404, 40403, "Schema not found")
        return Schema(json.dumps(self.schemas[schema_id]))


def _decoded(decoder: EventDecoder, message: Message) -> None:
    said: object
    try:
        said = decoder.decode(message)
    except PoisonMessage as error:
        # Not the whole message: it may be as long as Kafka lets it.
        said = error if len(str(error)) < 20_000 else None
    assert isinstance(said, (ChangeEvent, PoisonMessage))
    assert repr(said)


@given(
    value=_CONTENTS,
    key=_CONTENTS,
    old_key=_CONTENTS,
    milliseconds=strategies.sampled_from([-1, 0, 1700000000000, 2**63 - 1]),
    topic=strategies.sampled_from(["shop.public.orders", "", "."]),
)
def test_a_message_is_an_event_or_poison(
    value: bytes | None, key: bytes | None, old_key: bytes | None, milliseconds: int, topic: str
) -> None:
    decoder = EventDecoder(registry=Registry(_AVRO))
    message = Message(
        topic=topic,
        partition=0,
        offset=1,
        key=key,
        value=value,
        headers=[("__debezium.oldkey", old_key), ("other", None)],
        timestamp=(1, milliseconds),
    )
    _decoded(decoder, message)
    # What it has learnt from a message must not make it fail at the next one.
    _decoded(decoder, message)
    _decoded(decoder, Message(topic=topic, partition=0, offset=2, key=None, value=as_bytes(_ENVELOPE)))


@given(schema=damaged(*_AVRO), content=strategies.binary())
def test_a_schema_of_the_registry_may_be_anything(schema: Any, content: bytes) -> None:
    decoder = EventDecoder(registry=Registry((schema,)))
    _decoded(decoder, Message(topic="t", partition=0, offset=0, value=b"\x00\x00\x00\x00\x00" + content))


@example(name="float", scale=0, length=None, column=9.250515423905728e-179)
@given(
    name=strategies.sampled_from(sorted(_DECODERS)),
    scale=strategies.integers(-(2**40), 2**40),
    length=strategies.none() | strategies.integers(-5, 2**31 - 1),
    column=SCALARS | JSON,
)
def test_a_value_of_a_type_is_read_or_poison(name: str, scale: int, length: int | None, column: Any) -> None:
    kind = FieldType(
        name,
        scale=scale,
        length=length,
        items=FieldType("io.debezium.time.Date"),
        fields={"x": FieldType("bytes")},
    )
    # As a row's decoder promises its callers.
    try:
        decoder(kind)(column)
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError):
        return
