"""Which servers of a stack do not answer although their processes are there: asked at one look."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lakebed.clients.overview import answered
from lakebed.config.attach import Attach
from lakebed.errors import DeadlinePassed, LakebedError
from lakebed.lifecycle import ServiceState
from lakebed.services import Place, service_named
from lakebed.stack.process import paused

_UP = (ServiceState.HEALTHY.value, ServiceState.RUNNING.value)


def unanswering(
    status: Mapping[str, Any], attached: Attach, registry_credentials: tuple[str, str] | None = None
) -> dict[str, str]:
    """Return, by name, what is seen of each server that is up and does not answer its health question.

    One that is HEALTHY or RUNNING was so when it started; that it is paused, out of memory or cut off since
    then only a question tells. All are asked at the same time, and none is waited for longer than
    `lakebed.clients.overview.ANSWER_SECONDS`.

    Args:
        status: of the stack, as its supervisor tells it.
        attached: those services of it that somebody else runs; they are not asked.
        registry_credentials: that lakebed's own schema registry asks for, if it does.
    """
    up = [entry for entry in status["services"] if entry["state"] in _UP]
    if not up:
        return {}

    def place_of(name: str) -> Place:
        folder, ports = Path(status["folder"]), status["ports"]
        return Place(
            folder / name, folder, ports[name], ports, credentials=registry_credentials, attached=attached
        )

    with ThreadPoolExecutor(max_workers=len(up)) as pool:
        seen = pool.map(lambda entry: _seen(entry, place_of(entry["service"])), up)
        return {entry["service"]: why for entry, why in zip(up, seen, strict=True) if why is not None}


def _seen(entry: Mapping[str, Any], place: Place) -> str | None:
    if entry.get("paused"):
        return paused(entry["pid"])
    service = service_named(entry["service"])
    try:
        answered(lambda: service.check(place), service.name)
    except DeadlinePassed as error:
        return error.seen
    except Exception as error:  # every refusal means that it is not well
        return error.seen if isinstance(error, LakebedError) else f"{type(error).__name__}: {error}".strip()
    return None
