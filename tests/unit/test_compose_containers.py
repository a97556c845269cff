"""What `docker compose ps` says, read, and told to the life cycle of a service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakebed.compose.addresses import HostAddress
from lakebed.compose.containers import (
    SeenContainer,
    containers_from_json,
    life_of,
    observe,
    published_addresses,
)
from lakebed.errors import StackFailed
from lakebed.lifecycle import ServiceLifecycle, ServiceState

# As Compose 2.26 wrote it (docker/compose, issue 11784), with the fields that are read.
ENTRY = {
    "ID": "d2763e024a10",
    "Name": "cdc-minio",
    "Image": "chrislusf/seaweedfs:4.48",
    "Service": "minio",
    "State": "running",
    "Health": "healthy",
    "ExitCode": 0,
    "Publishers": [
        {"URL": "127.0.0.1", "TargetPort": 9000, "PublishedPort": 19000, "Protocol": "tcp"},
        {"URL": "", "TargetPort": 8333, "PublishedPort": 0, "Protocol": "tcp"},
    ],
}


def container(**fields: Any) -> SeenContainer:
    return containers_from_json(json.dumps({**ENTRY, **fields}))[0]


def test_a_line_for_each_container_or_one_array() -> None:
    other = {**ENTRY, "Service": "kafka", "ID": "1"}
    lines = f"{json.dumps(ENTRY)}\n{json.dumps(other)}\n"
    found = containers_from_json(lines)
    assert found == containers_from_json(json.dumps([ENTRY, other]))
    assert [one.service for one in found] == ["s3", "kafka"]
    assert containers_from_json("") == []
    assert containers_from_json("[]") == []


def test_a_container_that_somebody_added_to_the_project_is_left_out() -> None:
    assert containers_from_json(json.dumps({**ENTRY, "Service": "kafka-ui"})) == []


@pytest.mark.parametrize("text", ["Error: no", '{"Service": "minio"}', "[1]", '{"Name": "x"}'])
def test_anything_else_is_said(text: str) -> None:
    with pytest.raises(StackFailed, match="docker compose ps"):
        containers_from_json(text)


def test_addresses_are_those_of_published_ports() -> None:
    unpublished = container(Service="kafka", Publishers=None)
    assert published_addresses([container(), unpublished]) == {"s3": HostAddress("127.0.0.1", 19000)}


@pytest.mark.parametrize(
    ("state", "health", "code", "expected"),
    [
        ("created", "", 0, ServiceState.STARTING),
        ("running", "starting", 0, ServiceState.STARTING),
        ("running", "healthy", 0, ServiceState.HEALTHY),
        ("running", "", 0, ServiceState.HEALTHY),
        ("running", "unhealthy", 0, ServiceState.STOPPED),
        ("restarting", "", 0, ServiceState.STARTING),
        ("paused", "", 0, ServiceState.STARTING),
        ("removing", "", 0, ServiceState.STOPPING),
        ("exited", "", 0, ServiceState.STOPPED),
        ("exited", "", 137, ServiceState.STOPPED),
        ("dead", "", 1, ServiceState.STOPPED),
    ],
)
def test_the_state_of_a_service_by_one_look(
    state: str, health: str, code: int, expected: ServiceState
) -> None:
    life = life_of(container(State=state, Health=health, ExitCode=code))
    assert life.state is expected
    if code:
        assert str(code) in (life.last_failure or "")


def test_failed_checks_are_counted_once_and_the_fifth_ends_it() -> None:
    life = ServiceLifecycle("s3")
    life.start()
    starting = container(Health="starting")
    observe(life, starting, 2, "no answer")
    observe(life, starting, 2, "no answer")
    assert (life.failed_checks, life.state) == (2, ServiceState.STARTING)
    observe(life, container(Health="unhealthy"), 5, "no answer")
    assert (life.failed_checks, life.state) == (5, ServiceState.STOPPED)
    assert "no answer" in life.history[-1].reason
    # What is over stays over.
    observe(life, container(), 0, "")
    assert life.state is ServiceState.STOPPED


def test_a_healthy_service_that_exits_while_others_start_is_stopped() -> None:
    life = ServiceLifecycle("s3")
    life.start()
    observe(life, container(), 0, "")
    observe(life, container(State="exited", ExitCode=3), 0, "")
    assert life.state is ServiceState.STOPPED
    assert "exited with code 3" in (life.last_failure or "")
