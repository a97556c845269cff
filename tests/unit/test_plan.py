"""Which services are started for what was asked."""

from __future__ import annotations

import pytest

from lakebed.errors import UnknownService
from lakebed.services import SERVICE_NAMES, SERVICES, Service, service_named
from lakebed.stack.plan import services_for


def names(*asked: str) -> list[str]:
    return [service.name for service in services_for(asked)]


def test_no_name_means_every_service() -> None:
    assert sorted(names()) == sorted(SERVICE_NAMES)


@pytest.mark.parametrize(
    ("asked", "started"),
    [
        (["postgres"], ["postgres"]),
        (["connect"], ["kafka", "connect"]),
        (["iceberg-rest"], ["s3", "iceberg-rest"]),
        (["schema-registry"], ["schema-registry"]),
        (["connect", "kafka", "connect"], ["kafka", "connect"]),
        (["minio", "debezium", "postgresql"], ["s3", "kafka", "connect", "postgres"]),
    ],
)
def test_what_a_service_needs_comes_before_it_and_once(asked: list[str], started: list[str]) -> None:
    assert names(*asked) == started


@pytest.mark.parametrize("service", SERVICES, ids=SERVICE_NAMES)
def test_a_service_waits_only_for_what_it_needs(service: Service) -> None:
    assert set(service.waits_for) <= set(service.needs)


def test_every_name_and_other_name_means_one_service() -> None:
    known = [name for service in SERVICES for name in (service.name, *service.other_names)]
    assert len(known) == len(set(known))
    assert {service_named(name).name for name in known} == set(SERVICE_NAMES)


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownService) as caught:
        names("postgres", "mysql")
    assert "'mysql'" in caught.value.attempted
    for name in SERVICE_NAMES:
        assert name in caught.value.remedy
