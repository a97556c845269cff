"""Which services are started for what was asked."""

from __future__ import annotations

import pytest

from lakebed.errors import UnknownService
from lakebed.services import (
    GROUPS,
    KNOWN_NAMES,
    KNOWN_SERVICES,
    ON_REQUEST,
    SERVICE_NAMES,
    Service,
    service_named,
)
from lakebed.stack.plan import services_for


def names(*asked: str) -> list[str]:
    return [service.name for service in services_for(asked)]


def test_no_name_means_every_service_but_those_on_request() -> None:
    assert sorted(names()) == sorted(SERVICE_NAMES)
    assert not set(SERVICE_NAMES) & {service.name for service in ON_REQUEST}


@pytest.mark.parametrize(
    ("asked", "started"),
    [
        (["postgres"], ["postgres"]),
        (["connect"], ["kafka", "connect"]),
        (["iceberg-rest"], ["s3", "iceberg-rest"]),
        (["schema-registry"], ["schema-registry"]),
        (["connect", "kafka", "connect"], ["kafka", "connect"]),
        (["spark-worker-2"], ["spark-master", "spark-worker-2"]),
        (["spark-cluster"], ["spark-master", "spark-worker-1", "spark-worker-2"]),
        (["spark-cluster", "s3", "spark-master"], ["spark-master", "spark-worker-1", "spark-worker-2", "s3"]),
        (["minio", "debezium", "postgresql"], ["s3", "kafka", "connect", "postgres"]),
    ],
)
def test_what_a_service_needs_comes_before_it_and_once(asked: list[str], started: list[str]) -> None:
    assert names(*asked) == started


@pytest.mark.parametrize("service", KNOWN_SERVICES, ids=KNOWN_NAMES)
def test_a_service_waits_only_for_what_it_needs(service: Service) -> None:
    assert set(service.waits_for) <= set(service.needs)


def test_every_name_and_other_name_means_one_service() -> None:
    known = [name for service in KNOWN_SERVICES for name in (service.name, *service.other_names)]
    assert len(known) == len(set(known))
    assert {service_named(name).name for name in known} == set(KNOWN_NAMES)
    assert not set(known) & set(GROUPS)


def test_a_group_is_no_service_and_says_which_it_stands_for() -> None:
    with pytest.raises(UnknownService, match="spark-master, spark-worker-1, spark-worker-2"):
        service_named("spark-cluster")


def test_an_unknown_service_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownService) as caught:
        names("postgres", "mysql")
    assert "'mysql'" in caught.value.attempted
    for name in (*KNOWN_NAMES, *GROUPS):
        assert name in caught.value.remedy
