"""A schema registry of somebody else's: is it one, and may subjects be registered and deleted."""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote

from lakebed.errors import StackFailed
from lakebed.services.answers import request
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.probing import wrong
from lakebed.services.attached.questions import json_of
from lakebed.services.definition import Place

_NAME = "schema-registry"
_SCHEMA = json.dumps({"type": "record", "name": "preflight", "fields": []})


def _examine(place: Place) -> None:
    endpoint = place.endpoints.schema_registry
    content = json_of(_NAME, endpoint, "/subjects")
    if not isinstance(content, list):
        raise wrong(_NAME, endpoint, f"GET /subjects answered JSON that is no list: {str(content)[:80]}")


def _missing(place: Place) -> list[Missing]:
    registry = place.endpoints.schema_registry
    subject = f"lakebed-preflight-{uuid.uuid4().hex}"
    path = f"/subjects/{quote(subject, safe='')}"
    try:
        if request("POST", registry, f"{path}/versions", json={"schema": _SCHEMA}) is None:
            raise StackFailed("register a schema", "HTTP 404")
    except StackFailed as error:
        grant = (
            "allow the user to write subjects, and see that `GET /mode` says READWRITE"
            " (Confluent: PUT /mode; Apicurio: role sr-developer)"
        )
        return [Missing(f"a schema cannot be registered: {error.seen}", grant)]
    try:
        request("DELETE", registry, path)
        request("DELETE", registry, path, params={"permanent": "true"})
    except StackFailed as error:
        what = f"a subject cannot be deleted: {error.seen}; subject {subject} is left behind"
        grant = (
            "allow the user to delete subjects (Confluent: operation Delete of the subject's ACL;"
            " Apicurio: APICURIO_REST_DELETION_ARTIFACT_ENABLED=true)"
        )
        return [Missing(what, grant)]
    return []


SCHEMA_REGISTRY_ELSEWHERE = AttachedService(_examine, _missing)
