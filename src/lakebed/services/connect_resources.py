"""What tests make in Kafka Connect, and how it is found and removed: connectors and their offsets."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote

from lakebed.config.endpoints import ConnectEndpoint
from lakebed.errors import StackFailed
from lakebed.services.answers import found, request
from lakebed.services.compacted_topics import delete_key, last_values
from lakebed.services.connect_storage import OFFSETS, storage_of
from lakebed.services.definition import Place, ResourceKind
from lakebed.waiting import wait_until

_PATIENCE_SECONDS = 30.0


def _connectors(place: Place) -> dict[str, str]:
    return dict.fromkeys(found(place.endpoints.connect, "/connectors"), "")


def is_rebalancing(refusal: str) -> bool:
    """Whether Connect refuses because its workers share out the connectors anew, as when one comes or goes.

    Args:
        refusal: what it says, such as "HTTP 409: ...".

    409 by the documentation ("REST API"), 500 where a configuration is read (Kafka,
    `RebalanceNeededException`); or because a worker does not know the newest configurations yet, as while
    others are written; or because it hands the request on to a leader that is dead, and was not missed yet.
    In all of these nothing has been done.
    """
    if not refusal.startswith(("HTTP 409", "HTTP 500")):
        return False
    if "forward REST request" in refusal:
        return "Connection refused" in refusal
    return "rebalance" in refusal or "stale configuration" in refusal


def _remove_connector(place: Place, name: str) -> None:
    """Delete a connector and return when its tasks have ended: until then they write topics and offsets.

    The leader deletes the status last, when the tasks have been stopped (Kafka, `DistributedHerder`,
    `updateDeletedConnectorStatus`).
    """
    path = f"/connectors/{quote(name, safe='')}"
    where = place.endpoints.connect
    if place.is_attached:
        _forget_offsets(where, path, name)

    def accepted() -> bool:
        try:
            request("DELETE", where, path)
        except StackFailed as error:
            if not is_rebalancing(error.seen):
                raise
            return False
        return True

    wait_until(
        accepted,
        f"Connect to delete connector {name!r}",
        deadline_seconds=_PATIENCE_SECONDS,
        remedy="`lakebed logs connect` shows what the worker says",
    )
    wait_until(
        lambda: request("GET", where, f"{path}/status") is None,
        f"the tasks of connector {name!r} to end",
        deadline_seconds=_PATIENCE_SECONDS,
        longest_pause_seconds=0.02,
        remedy="`lakebed logs connect` shows what the worker says",
    )


def _has_connector(place: Place, name: str) -> bool:
    return request("GET", place.endpoints.connect, f"/connectors/{quote(name, safe='')}") is not None


def _forget_offsets(where: ConnectEndpoint, path: str, name: str) -> None:
    """Delete the offsets of a connector through Connect: nobody else's topics are written to (KIP-875).

    A worker before Kafka 3.6 cannot, and keeps them.
    """

    def is_stopped() -> bool:
        status = found(where, f"{path}/status")
        return bool(status["connector"]["state"] == "STOPPED" and not status["tasks"])

    with suppress(StackFailed):
        if request("PUT", where, f"{path}/stop") is not None:
            wait_until(is_stopped, f"connector {name!r} to be stopped", deadline_seconds=_PATIENCE_SECONDS)
            request("DELETE", where, f"{path}/offsets")


def _offsets(place: Place) -> dict[str, str]:
    """Return the keys of the source offsets, JSON such as `["orders",{"server":"shop"}]`."""
    live = last_values(place.endpoints.kafka, f"{storage_of(place)}{OFFSETS}")
    return {key.decode(): "" for key in live}


def _remove_offset(place: Place, key: str) -> None:
    """Delete a source offset: a connector of that name would go on there, instead of with a snapshot."""
    delete_key(place.endpoints.kafka, f"{storage_of(place)}{OFFSETS}", key.encode())


RESOURCES = (
    ResourceKind("connector", _remove_connector, _connectors, exists=_has_connector),
    ResourceKind("connector-offset", _remove_offset, _offsets),
)
"""In the order in which they are to be removed."""
