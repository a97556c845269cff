"""PyIceberg's catalog, made from the contract's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakebed.config.iceberg import IcebergCatalogConfig

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


def open_catalog(
    config: IcebergCatalogConfig, name: str = "lakebed", more: Mapping[str, str] | None = None
) -> Catalog:
    """Return PyIceberg's REST catalog for `config`, with further properties of its client."""
    from pyiceberg.catalog import load_catalog

    return load_catalog(name, **config.to_catalog_properties(), **(more or {}))
