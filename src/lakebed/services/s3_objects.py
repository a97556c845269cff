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
