"""The S3 store as a file system, through PyArrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebed.services import s3

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


def object_store(endpoint: str) -> S3FileSystem:
    """Return a file system on the stack's S3 store; paths are `bucket/key`."""
    from pyarrow.fs import S3FileSystem

    return S3FileSystem(
        endpoint_override=endpoint, access_key=s3.ACCESS_KEY, secret_key=s3.SECRET_KEY, region=s3.REGION
    )


def delete_prefix(store: S3FileSystem, path: str) -> None:
    """Delete everything under `bucket/prefix`; nothing there is no error."""
    from pyarrow.fs import FileType

    if store.get_file_info(path).type is not FileType.NotFound:
        store.delete_dir(path)
