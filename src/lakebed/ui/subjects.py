"""What the screen of subjects shows: the schema registry's subjects, their versions, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakebed.clients.registry import compatibility, schema_registry_client
from lakebed.errors import StackFailed, TableUnknown
from lakebed.ui.differences import Line, field_differences, line_differences, pretty
from lakebed.ui.looking import Look

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

# Each costs a request.
MOST_COUNTED = 200


@dataclass(frozen=True)
class Subject:
    """A subject; `versions` is None where it was not counted."""

    name: str
    versions: int | None


@dataclass(frozen=True)
class Version:
    """A version of a subject, its schema as indented JSON."""

    number: int
    schema_id: int
    kind: str
    schema: str


@dataclass(frozen=True)
class Difference:
    """What differs between two versions: in sentences (Avro), and in lines."""

    left: int
    right: int
    sentences: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class SubjectDetail:
    """One subject: its mode, all versions oldest first, the one that is shown, and a difference if asked."""

    name: str
    compatibility: str
    versions: tuple[int, ...]
    shown: Version
    difference: Difference | None


def subjects(look: Look) -> tuple[Subject, ...]:
    """Return every subject, sorted by name.

    Raises:
        StackFailed: the registry refuses, or does not answer.
    """
    with _registry(look, "list the subjects") as registry:
        names = sorted(registry.get_subjects())
        return tuple(
            Subject(name, len(registry.get_versions(name)) if index < MOST_COUNTED else None)
            for index, name in enumerate(names)
        )


def subject(
    look: Look, name: str, version: int | None = None, compared_with: int | None = None
) -> SubjectDetail:
    """Return one subject.

    Args:
        look: at the stack.
        name: of the subject.
        version: the one to show; None for the newest.
        compared_with: the one to compare it with; None for the one before, where there is one.

    Raises:
        TableUnknown: there is no such subject, or no such version.
        StackFailed: the registry refuses, or does not answer.
    """
    with _registry(look, f"show the subject {name!r}") as registry:
        numbers = tuple(sorted(registry.get_versions(name)))
        shown = _version(registry, name, numbers, version if version is not None else numbers[-1])
        place = numbers.index(shown.number)
        other = compared_with if compared_with is not None else (numbers[place - 1] if place else None)
        difference = None
        if other is not None and other != shown.number:
            left = _version(registry, name, numbers, other)
            difference = Difference(
                left.number,
                shown.number,
                field_differences(left.schema, shown.schema),
                line_differences(left.schema, shown.schema),
            )
        mode = compatibility(registry, name).value
    return SubjectDetail(name, mode, numbers, shown, difference)


def _version(registry: SchemaRegistryClient, name: str, numbers: tuple[int, ...], number: int) -> Version:
    if number not in numbers:
        known = ", ".join(map(str, numbers))
        raise TableUnknown(f"show version {number} of the subject {name!r}", f"it has the versions {known}")
    found = registry.get_version(name, number)
    schema = found.schema
    assert schema is not None
    return Version(
        number, found.schema_id or 0, schema.schema_type or "AVRO", pretty(schema.schema_str or "")
    )


@contextmanager
def _registry(look: Look, attempted: str) -> Iterator[SchemaRegistryClient]:
    import httpx
    from confluent_kafka.schema_registry.error import SchemaRegistryError

    try:
        config = look.addresses.schema_registry_config()
        with schema_registry_client(config, look.addresses.schema_registry) as registry:
            yield registry
    except SchemaRegistryError as error:
        if error.http_status_code == 404:
            raise TableUnknown(attempted, str(error), "see the list of subjects") from error
        raise StackFailed(attempted, str(error), "see `lakebed logs schema-registry`") from error
    except httpx.HTTPError as error:
        seen = f"{type(error).__name__}: {error}"
        raise StackFailed(attempted, seen, "see whether it still runs: `lakebed status`") from error
