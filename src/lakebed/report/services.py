"""What a stack's supervisor says of its services and of memory, as records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lakebed.report.records import MemorySample, ServiceRecord, SessionRecord, StateChange


def service_record(status: Mapping[str, Any]) -> ServiceRecord:
    """Return the record of one of the services in `StackConnection.status`."""
    port, address = status.get("port"), status.get("address")
    return ServiceRecord(
        status["service"],
        status["state"],
        str(address or (f"127.0.0.1:{port}" if port else "")),
        status["seconds_to_start"],
        tuple(
            StateChange(datetime.fromisoformat(move["at"]).timestamp(), move["to_state"], move["reason"])
            for move in status["history"]
        ),
    )


def session_record(
    worker: str,
    status: Mapping[str, Any],
    memory: Sequence[tuple[float, dict[str, int]]],
    waited: Mapping[str, float],
    notes: Sequence[str] = (),
) -> SessionRecord:
    """Return the record of a session on a stack.

    Args:
        worker: of pytest-xdist; empty without.
        status: of the stack; empty where it does not answer.
        memory: samples of `StackConnection.memory`.
        waited: by service, the seconds.
        notes: what is to be said of the session.
    """
    left = [f"{one['kind']} {one['name']}: {one['why']}" for one in status.get("left", [])]
    return SessionRecord(
        worker,
        tuple(service_record(one) for one in status.get("services", [])),
        dict(waited),
        tuple(left),
        tuple(MemorySample(at, megabytes) for at, megabytes in memory),
        tuple(notes),
    )
