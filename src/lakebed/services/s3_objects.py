"""Objects of an S3 store, through its own API: for stores that somebody else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakebed.config.endpoints import S3Endpoint

if TYPE_CHECKING:
    from pyarrow.fs import S3FileSystem


def file_system(store: S3Endpoint, *, attempts: int = 3) -> S3FileSystem:
    """Return PyArrow's file system on a store; paths are `bucket/key`."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    more = {} if store.ca_file is None else {"tls_ca_file_path": str(store.ca_file)}
    return S3FileSystem(
        endpoint_override=store.endpoint,
        access_key=store.access_key.get_secret_value(),
        secret_key=store.secret_key.get_secret_value(),
        session_token=None if store.session_token is None else store.session_token.get_secret_value(),
        region=store.region,
        force_virtual_addressing=not store.path_style,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=attempts),
        **more,
    )


def exists(store: S3Endpoint, path: str) -> bool:
    """Whether there is an object or a bucket at `bucket/key`, or any object in a folder of that name."""
    from pyarrow.fs import FileType

    return file_system(store).get_file_info(path).type is not FileType.NotFound


def delete(store: S3Endpoint, path: str) -> None:
    """Delete an object, or a folder with all objects in it; a bucket as well. Nothing there is no error."""
    from pyarrow.fs import FileSelector, FileType

    files: S3FileSystem = file_system(store)
    found = files.get_file_info(path)
    if found.type is FileType.File:
        files.delete_file(path)
    elif found.type is FileType.Directory and "/" in path:
        # One by one: to delete many at once needs a checksum that not every store knows.
        for one in files.get_file_info(FileSelector(path, recursive=True)):
            if one.type is FileType.File:
                files.delete_file(one.path)
        files.delete_dir(path)
    elif found.type is FileType.Directory:
        files.delete_dir(path)
