"""What the tests of the table of faults share: lines to servers, and what flows through them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from tests.faults.fault_table import FULL, HALF_OPEN, LARGE, NEEDS, REFUSED, Fault, Pair, pairs
from tests.faults.flows import Catalogued, Flow, Objects, Schemas, Stream
from tests.faults.inflicting import advertised
from tests.faults.line import Line
from tests.faults.own_world import lacks, possible

from lakebed.clients.connector import Connector
from lakebed.clients.debezium import DebeziumClient
from lakebed.pytest_plugin.session import SessionStack

WORLD = "test_faults_of_disk_memory_and_clock"
_ON_THE_LINE = (REFUSED, HALF_OPEN)


def parametrized(*faults: Fault) -> pytest.MarkDecorator:
    """Parametrize a test with the pairs of these faults, which may be none; their services start early."""
    return pytest.mark.parametrize(
        "pair",
        [pytest.param(pair, id=str(pair), marks=_marks(pair)) for pair in (pairs(*faults) if faults else ())],
    )


def _marks(pair: Pair) -> list[pytest.MarkDecorator]:
    needs = pytest.mark.lakebed(*NEEDS[pair.service])
    return [needs, pytest.mark.large] if pair.fault in LARGE else [needs]


@pytest.fixture
def line(pair: Pair, lakebed_stack: SessionStack) -> Iterator[Line]:
    """A line to the service of the pair."""
    ports = lakebed_stack.need(pair.service).ports
    with closing(Line(ports[pair.service][pair.service])) as line:
        yield line


@pytest.fixture
def flow(
    request: pytest.FixtureRequest, pair: Pair, lakebed_stack: SessionStack, line: Line
) -> Iterator[Flow]:
    """What flows through the service of the pair; over the line, if it is the line that is broken."""
    over_line = pair.fault in _ON_THE_LINE
    if pair.service == "s3":
        addresses = lakebed_stack.need("s3")
        endpoint = f"http://127.0.0.1:{line.port}" if over_line else addresses.s3_endpoint
        options = {**addresses.delta_storage_options(), "AWS_ENDPOINT_URL": endpoint}
        yield Objects(options, request.getfixturevalue("delta_table_path"), endpoint)
    elif pair.service == "iceberg-rest":
        addresses = lakebed_stack.need("iceberg-rest", "s3")
        uri = f"http://127.0.0.1:{line.port}" if over_line else addresses.iceberg_catalog_uri
        yield Catalogued(addresses, request.getfixturevalue("iceberg_namespace"), uri)
    elif pair.service == "schema-registry":
        yield from _schemas(request, lakebed_stack, line if over_line else None)
    else:
        yield from _stream(request, pair.service, lakebed_stack, line if over_line else None)


def _stream(
    request: pytest.FixtureRequest, service: str, stack: SessionStack, line: Line | None
) -> Iterator[Flow]:
    server = stack.need("postgres", "kafka", "connect").postgres
    client: DebeziumClient = request.getfixturevalue("debezium_client")
    fields: dict[str, Any] = {}
    with ExitStack() as exits:
        if line is not None and service == "postgres":
            fields["database_port"] = line.port
        elif line is not None and service == "kafka":
            crash = request.getfixturevalue("lakebed_crash")
            exits.enter_context(advertised(crash, stack.folder, line.port))
        connector = request.getfixturevalue("debezium_connectors")(**fields)
        if line is not None and service == "connect":
            log = stack.folder / "connect.log"
            client = exits.enter_context(DebeziumClient(f"http://127.0.0.1:{line.port}", log=log))
            connector = Connector(connector.config, client)
        read = request.getfixturevalue("topic_events")
        yield exits.enter_context(closing(Stream(server, connector, client, read)))


def _schemas(request: pytest.FixtureRequest, stack: SessionStack, line: Line | None) -> Iterator[Flow]:
    addresses = stack.need("postgres", "kafka", "connect", "schema-registry")
    client: DebeziumClient = request.getfixturevalue("debezium_client")
    converter = addresses.avro_converter()
    if line is not None:
        own = f":{addresses.ports['schema-registry']['schema-registry']}"
        converter = {name: value.replace(own, f":{line.port}") for name, value in converter.items()}
    connector = request.getfixturevalue("debezium_connectors")(avro=True, extra_config=converter)
    with closing(Schemas(addresses.postgres, connector, client, addresses)) as flow:
        yield flow


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, in plain sight, what this machine cannot do."""
    left_out = [item for item in items if item.name == WORLD and not possible()]
    if left_out:
        warnings.warn(f"{WORLD} is left out; this machine lacks {lacks(FULL)}", stacklevel=1)
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
