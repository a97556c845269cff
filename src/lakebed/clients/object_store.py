"""The S3 store as a file system, through PyArrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebed.services import s3_objects
from lakebed.services.endpoints import Store, s3_at

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


def object_store(endpoint: Store) -> S3FileSystem:
    """Return a file system on an S3 store; paths are `bucket/key`. A URL is one of lakebed's own."""
    return s3_objects.file_system(s3_at(endpoint))


def delete_prefix(store: S3FileSystem, path: str) -> None:
    """Delete everything under `bucket/prefix`; nothing there is no error."""
    from pyarrow.fs import FileType

    if store.get_file_info(path).type is not FileType.NotFound:
        store.delete_dir(path)
