"""Choosing ports, and telling who holds one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lakebed.errors import PortTaken, SettingsInvalid
from lakebed.services import SERVICES
from lakebed.services.definition import LOOPBACK
from lakebed.services.kafka import KAFKA
from lakebed.services.postgres import POSTGRES
from lakebed.stack.ports import choose_ports, holder_of, is_free


@pytest.fixture
def held_port() -> Iterator[int]:
    """A port this process listens on."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_the_well_known_ports_are_those_of_the_contract() -> None:
    assert {service.name: service.ports[service.main_port] for service in SERVICES} == {
        "postgres": 5432,
        "kafka": 29092,
        "connect": 8083,
        "schema-registry": 8081,
        "s3": 9000,
        "iceberg-rest": 8181,
    }


def test_free_ports_are_given_to_every_port_and_are_all_different() -> None:
    ports = choose_ports(SERVICES, well_known=False, chosen={})
    assert {name: set(numbers) for name, numbers in ports.items()} == {s.name: set(s.ports) for s in SERVICES}
    numbers = [number for of_service in ports.values() for number in of_service.values()]
    assert len(numbers) == len(set(numbers))
    assert all(is_free(number) for number in numbers)


def test_a_well_known_port_is_used_and_the_inner_ones_are_free_ones(free_port: int) -> None:
    service = replace(KAFKA, ports={"kafka": free_port, "controller": None})
    ports = choose_ports([service], well_known=True, chosen={})["kafka"]
    assert ports["kafka"] == free_port
    assert ports["controller"] not in (None, free_port)


@pytest.mark.parametrize("well_known", [True, False])
def test_a_chosen_port_wins(well_known: bool, free_port: int) -> None:
    ports = choose_ports([POSTGRES], well_known=well_known, chosen={"postgres": free_port})
    assert ports == {"postgres": {"postgres": free_port}}


def test_a_port_given_away_already_is_not_chosen(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    # The system offers the same port first; with it in `taken`, the next one must be asked for.
    offered = iter([free_port])

    class Offering(socket.socket):
        def bind(self, address: object) -> None:
            super().bind((LOOPBACK, next(offered, 0)))

    monkeypatch.setattr(socket, "socket", Offering)
    ports = choose_ports([POSTGRES], well_known=False, chosen={}, taken=[free_port])
    assert ports["postgres"]["postgres"] != free_port


def test_a_port_that_is_held_is_refused_with_service_process_and_pid(held_port: int) -> None:
    with pytest.raises(PortTaken) as caught:
        choose_ports([POSTGRES], well_known=False, chosen={"postgres": held_port})
    assert f"port {held_port} (postgres)" in caught.value.seen
    assert f"(pid {os.getpid()}," in caught.value.seen
    assert "nothing was started" in caught.value.remedy


def test_every_port_that_is_held_is_named_not_only_the_first(held_port: int) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        chosen = {"postgres": held_port, "kafka": other.getsockname()[1]}
        with pytest.raises(PortTaken) as caught:
            choose_ports([POSTGRES, KAFKA], well_known=False, chosen=chosen)
    for service, number in chosen.items():
        assert f"port {number} ({service})" in caught.value.seen


def test_one_port_for_two_services_is_refused_with_both(free_port: int) -> None:
    with pytest.raises(PortTaken, match=f"port {free_port} is asked for by both postgres and kafka"):
        choose_ports([POSTGRES, KAFKA], well_known=False, chosen={"postgres": free_port, "kafka": free_port})


def test_the_holder_is_named_and_a_free_port_has_none(held_port: int) -> None:
    assert f"pid {os.getpid()}" in holder_of(held_port)
    assert not is_free(held_port)


def test_a_port_whose_connections_have_just_closed_is_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)):
            accepted, _ = listener.accept()
            # The side that closes first is left in TIME_WAIT.
            accepted.close()
    assert is_free(port)


def test_a_port_for_a_service_there_is_not_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="mysql"):
        choose_ports([], well_known=False, chosen={"mysql": 3306})
