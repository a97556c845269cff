"""The topics in which the workers of Kafka Connect keep what they share."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress

from lakebed.services.definition import Place

GROUP = "lakebed-connect"
CONFIGS, OFFSETS, STATUS = _SUFFIXES = ("-configs", "-offsets", "-status")
STORAGE_TOPICS = tuple(f"{GROUP}{suffix}" for suffix in _SUFFIXES)


def storage_of(place: Place) -> str:
    """Return how the names of the workers' topics begin: as no others where others use the same Kafka."""
    if "kafka" not in place.attached:
        return GROUP
    # In the stack's own folder: its workers share it.
    file = place.folder.parent / "connect.storage"
    if not file.exists():
        draft = place.folder / "storage"
        draft.write_text(f"{GROUP}-{uuid.uuid4().hex[:12]}")
        # The first of the workers that are being started decides.
        with suppress(FileExistsError):
            os.link(draft, file)
    return file.read_text()


def storage_topics(place: Place) -> list[tuple[str, str]]:
    """Return the topics, each with the kind that a topic has in the ledger."""
    return [("topic", f"{storage_of(place)}{suffix}") for suffix in _SUFFIXES]
