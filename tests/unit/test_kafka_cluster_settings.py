"""What several brokers and several Connect workers are told of each other, and how they are asked."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from lakebed.compose.definitions import refuse_clusters
from lakebed.config.endpoints import ConnectEndpoint
from lakebed.config.settings import load_settings
from lakebed.errors import SettingsInvalid
from lakebed.services import KNOWN_SERVICES, Place, further_servers, service_named
from lakebed.services.answers import first_answer
from lakebed.services.connect import worker_properties
from lakebed.services.connect_resources import is_rebalancing
from lakebed.services.endpoints import BROKERS, WORKERS, Endpoints
from lakebed.services.kafka import server_properties
from lakebed.services.schema_registry import contract_environment
from lakebed.stack.addresses import Addresses

_BROKER_PORTS = {
    name: {name: 9000 + number, "controller": 9100 + number} for number, name in enumerate(BROKERS, 1)
}
_WORKER_PORTS = {name: {name: 9200 + number} for number, name in enumerate(WORKERS, 1)}


def place_of(name: str, brokers: int = 1, workers: int = 1, folder: Path = Path("/stack/own")) -> Place:
    ports = {
        **{one: _BROKER_PORTS[one] for one in BROKERS[:brokers]},
        **{one: _WORKER_PORTS[one] for one in WORKERS[:workers]},
        "schema-registry": {"schema-registry": 9300},
    }
    return Place(folder=folder, cache=folder, ports=ports[name], stack_ports=ports)


def test_one_broker_is_a_quorum_of_its_own_with_one_replica() -> None:
    properties = server_properties(place_of("kafka"), Path("/log"))
    assert (properties["node.id"], properties["controller.quorum.voters"]) == (1, "1@127.0.0.1:9101")
    replicas = {value for name, value in properties.items() if name.endswith("replication.factor")}
    in_sync = {value for name, value in properties.items() if name.endswith(("min.isr", "insync.replicas"))}
    assert (replicas, in_sync) == ({1}, {1})
    assert "controlled.shutdown.enable" not in properties


def test_a_broker_rests_between_its_looks_for_files_to_delete() -> None:
    properties = server_properties(place_of("kafka"), Path("/log"))
    assert properties["log.segment.delete.delay.ms"] not in (0, "0")


@pytest.mark.parametrize(("name", "node"), [("kafka", 1), ("kafka-2", 2), ("kafka-3", 3)])
def test_three_brokers_know_each_other_and_have_a_replica_each(name: str, node: int) -> None:
    properties = server_properties(place_of(name, brokers=3), Path("/log"), name)
    assert properties["node.id"] == node
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103"
    assert properties["advertised.listeners"] == f"PLAINTEXT://127.0.0.1:900{node}"
    replicas = {value for name, value in properties.items() if name.endswith("replication.factor")}
    in_sync = {value for name, value in properties.items() if name.endswith(("min.isr", "insync.replicas"))}
    assert (replicas, in_sync) == ({3}, {2})


def test_a_single_worker_has_a_group_of_its_own_at_every_start() -> None:
    first, second = (worker_properties(place_of("connect")) for _ in range(2))
    assert first["group.id"] != second["group.id"]
    assert "session.timeout.ms" not in first


def test_several_workers_are_one_group_that_misses_a_dead_one_soon() -> None:
    properties = [worker_properties(place_of(name, workers=3), name) for name in WORKERS]
    assert len({one["group.id"] for one in properties}) == 1
    assert [one["listeners"] for one in properties] == [f"http://127.0.0.1:920{n}" for n in (1, 2, 3)]
    assert {one["session.timeout.ms"] for one in properties} == {6000}


def test_connects_topics_have_as_many_replicas_as_the_cluster_says() -> None:
    for brokers in (1, 3):
        properties = worker_properties(place_of("connect", brokers))
        factors = {v for name, v in properties.items() if name.endswith("replication.factor")}
        assert factors == {-1}


def test_workers_on_a_kafka_of_somebody_else_share_topics_that_are_nobody_elses(tmp_path: Path) -> None:
    attach = load_settings({"attach": {"kafka": "broker:9092"}}).attach
    topics = set()
    for name in WORKERS:
        folder = tmp_path / name
        folder.mkdir()
        ports = _WORKER_PORTS
        place = Place(folder, folder, ports[name], ports, attached=attach)
        topics.add(worker_properties(place, name)["config.storage.topic"])
        assert service_named(name).things_elsewhere(place) == service_named("connect").things_elsewhere(place)
    (topic,) = topics
    assert str(topic).startswith("lakebed-connect-")
    assert topic != "lakebed-connect-configs"


def test_every_broker_and_worker_is_named_in_the_addresses() -> None:
    addresses = Addresses.of({**_BROKER_PORTS, **_WORKER_PORTS}, load_settings())
    servers = "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003"
    assert addresses.kafka_bootstrap_servers == servers
    assert addresses.environment()["KAFKA_BOOTSTRAP_SERVERS"] == servers
    assert addresses.debezium_url == addresses.environment()["DEBEZIUM_URL"] == "http://127.0.0.1:9201"
    assert addresses.connect.bases == tuple(f"http://127.0.0.1:920{n}" for n in (1, 2, 3))
    one = Endpoints({"kafka": _BROKER_PORTS["kafka"], "connect": _WORKER_PORTS["connect"]})
    assert one.kafka.bootstrap_servers == "127.0.0.1:9001"
    assert one.connect.bases == ("http://127.0.0.1:9201",)


@pytest.mark.parametrize("brokers", [1, 3])
def test_the_registrys_model_is_told_of_the_replicas(brokers: int) -> None:
    model = contract_environment(place_of("schema-registry", brokers))
    assert model.schema_registry_kafkastore_topic_replication_factor == brokers


def test_each_server_of_a_cluster_can_do_the_work_of_the_first() -> None:
    assert further_servers("kafka") == BROKERS[1:]
    assert further_servers("connect") == WORKERS[1:]
    assert further_servers("postgres") == ()


def test_the_same_program_has_the_same_jars() -> None:
    for service in KNOWN_SERVICES:
        if service.same_program_as is not None:
            assert service.jars == service_named(service.same_program_as).jars


# -- asking several workers ------------------------------------------------------------------------------

_FORWARDED = "IO Error trying to forward REST request"
_THREE = ConnectEndpoint(url="http://a:1/", further_urls=("http://b:2", "http://c:3/"))


def asking(**errors: Exception) -> tuple[list[str], object]:
    asked: list[str] = []

    def ask(base: str) -> httpx.Response:
        asked.append(base)
        error = errors.get(base.removeprefix("http://")[0])
        if error is not None:
            raise error
        return httpx.Response(200)

    return asked, ask


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_who_cannot_be_reached_is_passed_over(method: str) -> None:
    asked, ask = asking(a=httpx.ConnectError("refused"), b=httpx.ConnectTimeout("silent"))
    assert first_answer(method, _THREE, ask).status_code == 200  # type: ignore[arg-type]
    assert asked == ["http://a:1", "http://b:2", "http://c:3"]


def test_who_answers_first_is_the_only_one_asked() -> None:
    asked, ask = asking()
    first_answer("GET", _THREE, ask)  # type: ignore[arg-type]
    assert asked == ["http://a:1"]


def test_what_may_have_been_done_is_not_asked_for_again() -> None:
    asked, ask = asking(a=httpx.ReadError("gone"))
    with pytest.raises(httpx.ReadError):
        first_answer("POST", _THREE, ask)  # type: ignore[arg-type]
    assert asked == ["http://a:1"]
    assert first_answer("GET", _THREE, ask).status_code == 200  # type: ignore[arg-type]


def test_when_none_can_be_reached_the_error_is_that_of_the_last() -> None:
    _, ask = asking(a=httpx.ConnectError("1"), b=httpx.ConnectError("2"), c=httpx.ConnectError("3"))
    with pytest.raises(httpx.ConnectError, match="3"):
        first_answer("GET", _THREE, ask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "match"),
    [("ftp://b:2", "scheme 'ftp'"), ("http://u:p@b:2", "no user"), ("http://", "no such URL")],
)
def test_a_further_address_must_be_one(url: str, match: str) -> None:
    with pytest.raises(SettingsInvalid, match=match) as caught:
        load_settings({"attach": {"connect": {"url": "http://a:1", "further_urls": [url]}}})
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    ("refusal", "means"),
    [
        (
            "HTTP 409: Cannot complete request because of a conflicting operation (e.g. worker rebalance)",
            True,
        ),
        ("HTTP 500: stale configuration", True),
        (f"HTTP 500: {_FORWARDED}: java.net.ConnectException: Connection refused", True),
        # It may have been done.
        (f"HTTP 500: {_FORWARDED}: java.io.EOFException", False),
        ("HTTP 409: Connector orders already exists", False),
        ("HTTP 400: rebalance.timeout is wrong", False),
        ("HTTP 500: Failed to find any class", False),
    ],
)
def test_what_is_worth_asking_again(refusal: str, means: bool) -> None:
    assert is_rebalancing(refusal) is means


# -- containers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "service"), [("kafka_brokers", "kafka"), ("connect_workers", "connect")])
def test_containers_are_one_of_each(setting: str, service: str) -> None:
    refuse_clusters([service], load_settings())
    refuse_clusters(["s3"], load_settings({setting: 3}))
    with pytest.raises(SettingsInvalid, match=f"setting {setting} is 3, .* there is one {service}"):
        refuse_clusters([service], load_settings({setting: 3}))
