"""Kafka's consumer groups, removed also while a consumer that was killed still counts as a member."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from lakebed.errors import CleanUpIncomplete
from lakebed.services.topics import REQUEST_SECONDS
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_LEAVE_GROUP, _VERSION = 13, 3
_SESSION_SECONDS = 60.0
_NO_TEXT = struct.pack(">h", -1)


def groups(admin: AdminClient) -> list[str]:
    """Return the names of all consumer groups; Connect's workers are none."""
    listing = admin.list_consumer_groups(request_timeout=REQUEST_SECONDS).result(REQUEST_SECONDS)
    return [group.group_id for group in listing.valid]


def delete_group(admin: AdminClient, name: str, *, plain: bool = True) -> None:
    """Delete a consumer group with its offsets; one that does not exist is no error.

    A consumer that was killed stays a member until its session times out, 45 s later; it is made to leave.

    Args:
        admin: of the cluster.
        name: of the group.
        plain: whether the brokers take requests without TLS and SASL; otherwise its session is waited for.

    Raises:
        CleanUpIncomplete: Kafka refused, with its reason.
        DeadlinePassed: a consumer that runs joined again and again.
    """
    from confluent_kafka import KafkaException

    def deleted() -> bool:
        try:
            admin.delete_consumer_groups([name], request_timeout=REQUEST_SECONDS)[name].result()
        except KafkaException as error:
            reason = error.args[0].name()
            if reason == "NON_EMPTY_GROUP":
                if plain:
                    _make_members_leave(admin, name)
                return False
            if reason != "GROUP_ID_NOT_FOUND":
                raise CleanUpIncomplete(
                    f"delete consumer group {name!r}", str(error.args[0]), "see `lakebed logs kafka`"
                ) from error
        return True

    wait_until(
        deleted,
        f"consumer group {name!r} to be deleted",
        deadline_seconds=REQUEST_SECONDS if plain else _SESSION_SECONDS,
        remedy="end the consumers that are in it",
    )


def _make_members_leave(admin: AdminClient, name: str) -> None:
    """Send what an administrator sends to remove members, which confluent-kafka has no call for.

    Kafka protocol guide, LeaveGroup request, version 3 (KIP-345).
    """
    described = admin.describe_consumer_groups([name], request_timeout=REQUEST_SECONDS)[name].result()
    coordinator = described.coordinator
    members = b"".join(_text(member.member_id) + _NO_TEXT for member in described.members)
    header = struct.pack(">hhi", _LEAVE_GROUP, _VERSION, 0) + _text("lakebed")
    request = header + _text(name) + struct.pack(">i", len(described.members)) + members
    with socket.create_connection(
        (coordinator.host, coordinator.port), timeout=REQUEST_SECONDS
    ) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        # Its answer is not read further: whether the group is empty now is asked next.
        connection.recv(4)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
