"""PyIceberg's catalog, made from the contract's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.config.iceberg import IcebergCatalogConfig

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


ANSWER_SECONDS = 30.0


def open_catalog(
    config: IcebergCatalogConfig,
    name: str = "lakebed",
    more: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
) -> Catalog:
    """Return PyIceberg's REST catalog.

    Args:
        config: the model.
        name: of the catalog, for PyIceberg.
        more: further properties of its client, over those of the model.
        ca_file: certificates, in PEM, that may have signed the catalog's.
    """
    from pyiceberg.catalog import load_catalog

    properties: dict[str, Any] = {**config.to_catalog_properties(), **(more or {})}
    if ca_file is not None:
        properties["ssl"] = {"cabundle": str(ca_file)}
    catalog = load_catalog(name, **properties)
    _give_up_in_time(catalog)
    return catalog


def _give_up_in_time(catalog: Catalog) -> None:
    """Have the catalog's client wait for an answer so long and no longer; PyIceberg has no setting for that.

    Without, a catalog that is paused or cut off keeps whoever asks it waiting for good (Requests
    documentation, "Timeouts").
    """
    session: Any = getattr(catalog, "_session", None)
    if session is None:
        return
    send = session.send

    def send_in_time(request: Any, **arguments: Any) -> Any:
        if arguments.get("timeout") is None:
            arguments["timeout"] = ANSWER_SECONDS
        return send(request, **arguments)

    session.send = send_in_time
