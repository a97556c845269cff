"""An Iceberg REST catalog of somebody else's: is it one, and may namespaces be made and dropped."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from lakebed.config.endpoints import CatalogEndpoint
from lakebed.errors import StackFailed
from lakebed.services.answers import request, send
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.probing import ANSWER_SECONDS, wrong
from lakebed.services.attached.questions import ask, shown
from lakebed.services.definition import Place
from lakebed.services.iceberg_rest import namespaces_path

if TYPE_CHECKING:
    import httpx

_NAME = "iceberg-rest"
_CONFIG = "/v1/config"
# Where well-known catalogs have theirs (documentation of Nessie, Lakekeeper and Apache Polaris).
_OTHER_PATHS = ("/iceberg", "/catalog", "/api/catalog")
_OTHER_APIS = {"/api/v2/config": "Nessie's own API v2", "/api/v1/config": "Nessie's own API v1"}


def _examine(place: Place) -> None:
    endpoint = place.endpoints.iceberg_rest
    response = ask(_NAME, endpoint, _CONFIG, params={"warehouse": endpoint.warehouse})
    if response.status_code == 200 and _is_config(response):
        return
    seen = f"GET {_CONFIG} answered HTTP {response.status_code}, {shown(response)}"
    for path in _OTHER_PATHS:
        if _is_config(_tried(endpoint, f"{path}{_CONFIG}")):
            remedy = f"write {endpoint.base}{path} in attach.{_NAME}"
            raise wrong(_NAME, endpoint, f"{seen}; under {path} there is a catalog", remedy)
    for path, name in _OTHER_APIS.items():
        answer = _tried(endpoint, path)
        if answer is not None and answer.status_code == 200:
            raise wrong(_NAME, endpoint, f"{seen}; {name} answers under {path}, not version 1 of Iceberg's")
    raise wrong(_NAME, endpoint, f"{seen}; version 1 of the API answers there with defaults and overrides")


def _tried(endpoint: CatalogEndpoint, path: str) -> httpx.Response | None:
    import httpx

    try:
        return send("GET", endpoint, path, timeout=ANSWER_SECONDS / 4)
    except httpx.HTTPError:
        return None


def _is_config(response: httpx.Response | None) -> bool:
    try:
        content = None if response is None else response.json()
    except ValueError:
        return False
    return isinstance(content, dict) and {"defaults", "overrides"} <= set(content)


def _missing(place: Place) -> list[Missing]:
    catalog = place.endpoints.iceberg_rest
    name = f"lakebed_preflight_{uuid.uuid4().hex}"
    try:
        if request("POST", catalog, namespaces_path(catalog), json={"namespace": [name]}) is None:
            raise StackFailed("create a namespace", "HTTP 404")
    except StackFailed as error:
        grant = "allow the catalog's user to create namespaces and tables in the warehouse"
        return [Missing(f"a namespace cannot be created: {error.seen}", grant)]
    try:
        request("DELETE", catalog, f"{namespaces_path(catalog)}/{name}")
    except StackFailed as error:
        what = f"a namespace cannot be dropped: {error.seen}; namespace {name} is left behind"
        return [Missing(what, "allow the catalog's user to drop namespaces and tables in the warehouse")]
    return []


ICEBERG_REST_ELSEWHERE = AttachedService(_examine, _missing)
