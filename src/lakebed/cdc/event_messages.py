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

_SCHEMA, _PAYLOAD = '{"schema":', ',"payload":'
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
        # By what a message begins with, up to its payload, so that no schema is parsed twice.
        self._json: dict[str, FieldType] = {}

    def read(self, content: bytes) -> Content:
        """Read a key or a value.

        Raises:
            ValueError: it is none of the three forms; the text says why.
        """
        if content[:1] == _MAGIC and len(content) > _PREFIX_BYTES:
            return self._read_avro(content)
        try:
            text = content.decode()
            return self._read_known(text) or self._read_json(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"neither Avro (it does not begin with a zero byte) nor JSON ({error})"
            ) from None

    def _read_known(self, text: str) -> Content | None:
        for beginning, kind in self._json.items():
            if text.startswith(beginning):
                try:
                    return Content(json.loads(text[len(beginning) : -1]), kind)
                except ValueError:
                    return None
        return None

    def _read_json(self, text: str) -> Content:
        parsed = json.loads(text)
        if not isinstance(parsed, dict) or parsed.keys() != {"schema", "payload"}:
            return Content(parsed, None)
        schema = parsed["schema"]
        return Content(parsed["payload"], None if schema is None else self._connect_type(text, schema))

    def _connect_type(self, text: str, schema: Any) -> FieldType:
        try:
            kind = connect_type(schema)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"with a broken schema: {error!r}") from None
        beginning = json.dumps(schema)
        if text.startswith(_SCHEMA + "{"):
            # Connect writes the schema first, and no spaces.
            _, end = json.JSONDecoder().raw_decode(text, len(_SCHEMA))
            if text.startswith(_PAYLOAD, end):
                beginning = text[:end] + _PAYLOAD
        return self._json.setdefault(beginning, kind)

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
            try:
                schema = json.loads(text or "null")
                parsed = fastavro.parse_schema(without_logical_types(schema))
                self._avro[schema_id] = (parsed, avro_type(schema))
            # Whatever a schema that is none makes of its reader.
            except Exception as error:
                seen = f"{type(error).__name__}: {error!s:.200}"
                raise ValueError(f"Avro of schema {schema_id}, which cannot be read: {seen}") from error
        return self._avro[schema_id]
