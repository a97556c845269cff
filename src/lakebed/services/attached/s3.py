"""An S3 store of somebody else's: is it one, and may objects be written and deleted in its bucket."""

from __future__ import annotations

import uuid

from lakebed.config.endpoints import HttpEndpoint, S3Endpoint
from lakebed.errors import CredentialsRefused, WrongAddress
from lakebed.services.attached.definition import AttachedService, Missing
from lakebed.services.attached.probing import wrong
from lakebed.services.attached.questions import ask as ask_http
from lakebed.services.attached.questions import refused, shown
from lakebed.services.definition import Place
from lakebed.services.s3_objects import file_system

_NAME = "s3"
_REFUSALS = ("SIGNATURE", "ACCESS_KEY", "TOKEN")


class _Probe(HttpEndpoint):
    """The store, asked without a signature."""

    title = S3Endpoint.title
    short_form = S3Endpoint.short_form


def _examine(place: Place) -> None:
    from pyarrow.fs import FileSelector

    store = place.endpoints.s3
    probe = _Probe(url=store.endpoint, ca_file=store.ca_file)
    try:
        response = ask_http(_NAME, probe, "/")
    except CredentialsRefused as error:
        # As a store answers whoever does not sign; in XML (Amazon S3 documentation, "Error responses").
        if "xml" not in error.seen:
            raise WrongAddress(error.attempted, f"expected {store.title}; seen: {error.seen}") from error
    else:
        is_store = "xml" in response.headers.get("content-type", "") or "x-amz-request-id" in response.headers
        if not is_store:
            seen = f"GET / answered HTTP {response.status_code}, {shown(response)}"
            raise wrong(_NAME, store, seen)
    try:
        # A listing, because the answer to it says what is wrong, and not only that something is.
        nowhere = FileSelector(f"{store.delta_bucket}/lakebed-preflight", allow_not_found=True)
        file_system(store, attempts=1).get_file_info(nowhere)
    except OSError as error:
        if any(word in str(error) for word in _REFUSALS):
            raise refused(_NAME, store, str(error)) from error
        # What else it says is a matter of the bucket: see `_missing`.


def _missing(place: Place) -> list[Missing]:
    from pyarrow.fs import FileType

    store = place.endpoints.s3
    files = file_system(store)
    bucket = store.delta_bucket
    path = f"{bucket}/lakebed-preflight-{uuid.uuid4().hex}"
    try:
        if files.get_file_info(bucket).type is FileType.NotFound:
            grant = "create it, or name another one with attach.s3.delta_bucket"
            return [Missing(f"there is no bucket {bucket!r}", grant)]
        with files.open_output_stream(path) as stream:
            stream.write(b"lakebed")
    except OSError as error:
        return [
            Missing(f"an object cannot be written: {error}", _grant(bucket, "s3:ListBucket, s3:PutObject"))
        ]
    try:
        files.delete_file(path)
    except OSError as error:
        what = f"an object cannot be deleted: {error}; {path} is left behind"
        return [Missing(what, _grant(bucket, "s3:DeleteObject"))]
    return []


def _grant(bucket: str, actions: str) -> str:
    return f"allow {actions} on arn:aws:s3:::{bucket} and arn:aws:s3:::{bucket}/* in the key's policy"


S3_ELSEWHERE = AttachedService(_examine, _missing)
