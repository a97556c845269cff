"""What the bytes of a message say: JSON without a schema, JSON with one, or Avro; each is told by what it is.

Sources: Kafka documentation, `JsonConverter`; Confluent documentation, "Wire Format" (a zero byte, the id of
the schema in four bytes, Avro), which Apicurio's converter writes too.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakebed.cdc.event_schemas import avro_type, connect_type, without_logical_types
from lakebed.cdc.event_values import FieldType

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

_MAGIC, _PREFIX_BYTES = b"\x00", 5


@dataclass(frozen=True)
class Content:
    """A message's key or value.

    Attributes:
        payload: parsed, its fields still as they were transported.
        type: what the message or the registry says of them; None where there is no schema.
    """

    payload: Any
    type: FieldType | None


class ContentReader:
    """Reads keys and values of messages; each schema is read once.

    Args:
        registry: for Avro.
    """

    def __init__(self, registry: SchemaRegistryClient | None) -> None:
        self._registry = registry
        self._avro: dict[int, tuple[Any, FieldType]] = {}
        self._json: dict[str, FieldType] = {}

    def read(self, content: bytes) -> Content:
        """Read a key or a value.

        Raises:
            ValueError: it is none of the three forms; the text says why.
        """
        if content[:1] == _MAGIC and len(content) > _PREFIX_BYTES:
            return self._read_avro(content)
        try:
            parsed = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"neither Avro (it does not begin with a zero byte) nor JSON ({error})"
            ) from None
        if isinstance(parsed, dict) and parsed.keys() == {"schema", "payload"}:
            schema = parsed["schema"]
            return Content(parsed["payload"], None if schema is None else self._connect_type(schema))
        return Content(parsed, None)

    def _connect_type(self, schema: Any) -> FieldType:
        text = json.dumps(schema)
        if text not in self._json:
            try:
                self._json[text] = connect_type(schema)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"JSON with a broken schema: {error!r}") from None
        return self._json[text]

    def _read_avro(self, content: bytes) -> Content:
        import fastavro

        schema_id = int.from_bytes(content[1:_PREFIX_BYTES], "big")
        schema, kind = self._schema(schema_id)
        body = io.BytesIO(content[_PREFIX_BYTES:])
        try:
            payload = fastavro.schemaless_reader(body, schema, None)
        # Whatever bytes that are no Avro make of its reader.
        except Exception as error:
            raise ValueError(f"not Avro of schema {schema_id}: {type(error).__name__}: {error}") from error
        if body.read(1):
            raise ValueError(f"Avro of schema {schema_id} with bytes left over")
        return Content(payload, kind)

    def _schema(self, schema_id: int) -> tuple[Any, FieldType]:
        import fastavro
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if schema_id not in self._avro:
            if self._registry is None:
                raise ValueError(
                    f"Avro of schema {schema_id}, and no schema registry was given to look it up"
                )
            try:
                text = self._registry.get_schema(schema_id).schema_str
            except SchemaRegistryError as error:
                raise ValueError(
                    f"Avro of schema {schema_id}, which the registry refuses: {error}"
                ) from error
            schema = json.loads(text or "null")
            parsed = fastavro.parse_schema(without_logical_types(schema))
            self._avro[schema_id] = (parsed, avro_type(schema))
        return self._avro[schema_id]
