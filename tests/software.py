"""What a server runs from that tests start themselves, outside of every stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakebed.provision.provide import provide
from lakebed.services import Service
from lakebed.stack.unprivileged import readable_software


def software_of(service: Service, cache: Path, own: Path, owner: tuple[int, int] | None) -> dict[str, Any]:
    """Return the fields of its `Place` that name its jars, or its unpacked archive."""
    if service.jars is None:
        return {}
    provisions = provide([service.jars], cache=cache)
    if service.jars not in provisions.folders:
        return {"class_path": tuple(provisions.class_path(service.jars))}
    software = provisions.folder(service.jars)
    return {"software": software if owner is None else readable_software(software, own)}
