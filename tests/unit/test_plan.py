"""Which services are started for what was asked."""

from __future__ import annotations

import pytest

from lakebed.config.settings import load_settings
from lakebed.errors import IsAttached, UnknownService
from lakebed.services import (
    GROUPS,
    KNOWN_NAMES,
    KNOWN_SERVICES,
    ON_REQUEST,
    SERVICE_NAMES,
    Service,
    service_named,
)
from lakebed.stack.plan import asked_for, services_for, to_end_first


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
        (["kafka-cluster"], ["kafka", "kafka-2", "kafka-3"]),
        (["connect-cluster"], ["kafka", "connect", "connect-2", "connect-3"]),
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


KAFKA_3 = ["kafka", "kafka-2", "kafka-3"]
CONNECT_3 = ["connect", "connect-2", "connect-3"]


@pytest.mark.parametrize(
    ("asked", "given", "started"),
    [
        (["connect"], {}, ["kafka", "connect"]),
        (["postgres"], {"kafka_brokers": 3, "connect_workers": 3}, ["postgres"]),
        (["kafka"], {"kafka_brokers": 3}, KAFKA_3),
        (["connect"], {"kafka_brokers": 3}, [*KAFKA_3, "connect"]),
        (["debezium"], {"connect_workers": 2}, ["kafka", "connect", "connect-2"]),
        (["connect"], {"kafka_brokers": 3, "connect_workers": 3}, [*KAFKA_3, *CONNECT_3]),
        # One of a cluster that cannot be without the others brings them.
        (["kafka-2"], {}, ["kafka-2", "kafka", "kafka-3"]),
        (["connect-3"], {}, ["kafka", "connect-3", "connect"]),
        (["kafka-cluster", "connect-cluster"], {}, [*KAFKA_3, *CONNECT_3]),
        # What is attached is looked at, and not started.
        (["connect"], {"connect_workers": 3, "attach": {"kafka": "a:1"}}, ["kafka", *CONNECT_3]),
        (["connect"], {"kafka_brokers": 3, "attach": {"connect": "http://a:1"}}, ["connect"]),
    ],
)
def test_clusters_are_as_large_as_settings_and_names_say(
    asked: list[str], given: dict[str, object], started: list[str]
) -> None:
    assert asked_for(asked, load_settings(given)) == started


def test_no_name_means_every_service_with_clusters_of_their_size() -> None:
    assert asked_for([], load_settings()) == list(SERVICE_NAMES)
    more = asked_for([], load_settings({"kafka_brokers": 3, "connect_workers": 2}))
    assert set(more) - set(SERVICE_NAMES) == {"kafka-2", "kafka-3", "connect-2"}


@pytest.mark.parametrize(
    ("name", "attach"),
    [
        ("kafka-cluster", {"kafka": "broker:9092"}),
        ("kafka-3", {"kafka": "broker:9092"}),
        ("connect-cluster", {"connect": "http://worker:8083"}),
    ],
)
def test_no_server_is_started_beside_those_of_somebody_else(name: str, attach: dict[str, str]) -> None:
    (service, address), *_ = attach.items()
    with pytest.raises(IsAttached, match=f"{service} is attached at {address}"):
        asked_for([name], load_settings({"attach": attach}))


def ends_of(*names: str) -> list[list[str]]:
    """The services in the order in which they are ended, those at the same time together."""
    left = [service_named(name) for name in names]
    ends = []
    while left:
        first = to_end_first(left)
        assert first
        ends.append(first)
        left = [service for service in left if service.name not in first]
    return ends


def test_what_others_need_ends_after_them() -> None:
    assert ends_of("postgres", "kafka", "connect") == [["postgres", "connect"], ["kafka"]]
    assert ends_of(*GROUPS["spark-cluster"]) == [["spark-worker-1", "spark-worker-2"], ["spark-master"]]


def test_a_cluster_ends_as_one() -> None:
    assert ends_of(*KAFKA_3, *CONNECT_3) == [CONNECT_3, KAFKA_3]
    # The first broker was never started, or has ended.
    assert ends_of("kafka-2", "kafka-3", "connect-2") == [["connect-2"], ["kafka-2", "kafka-3"]]
    ends = ends_of(*(service.name for service in KNOWN_SERVICES))
    assert sum(map(len, ends)) == len(KNOWN_SERVICES)
