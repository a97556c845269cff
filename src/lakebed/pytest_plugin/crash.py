"""The fixture `lakebed_crash`: kill a server, or a pipeline, at a chosen moment, and bring it back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lakebed.errors import ConnectorFailed
from lakebed.pytest_plugin.hooks import CONNECTORS
from lakebed.pytest_plugin.observing import OBSERVED
from lakebed.pytest_plugin.pipelines import Places, targets_for
from lakebed.services import postgres, service_named
from lakebed.services.endpoints import BROKERS, WORKERS
from lakebed.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

    from lakebed.clients.connector import Connector
    from lakebed.lifecycle import CleanUp
    from lakebed.pytest_plugin.killable_pipeline import KillablePipeline
    from lakebed.pytest_plugin.observing import Observations
    from lakebed.pytest_plugin.session import SessionStack

# What a connector needs to stream.
_OF_CONNECTORS = (*WORKERS, "postgres", *BROKERS)
# Debezium sees by itself that PostgreSQL or Kafka has gone, and tries again.
_STREAMING_SECONDS = 60.0


class PlannedKill:
    """A server that is killed as soon as a fact is true.

    Attributes:
        service: which server.
    """

    def __init__(self, service: str, wait: Callable[[], None], kill: Callable[[], None]) -> None:
        self.service = service
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(wait, kill), daemon=True)
        self._thread.start()

    def _run(self, wait: Callable[[], None], kill: Callable[[], None]) -> None:
        try:
            wait()
            kill()
        except BaseException as error:  # raised where it is waited for
            self._error = error

    def wait(self) -> None:
        """Return when the server is dead.

        Raises:
            DeadlinePassed: the fact did not come true; whatever it raised is raised too.
        """
        self._thread.join()
        if self._error is not None:
            error, self._error = self._error, None
            raise error


class Crash:
    """Kills servers of the stack; what is dead at the end of the test is brought back then.

    Args:
        stack: of the session. While a test has this, no other one uses the stack.
        connectors: of the test.
        clean_up: of the test.
        observed: what is seen of it.
    """

    def __init__(
        self, stack: SessionStack, connectors: list[Connector], clean_up: CleanUp, observed: Observations
    ) -> None:
        self._stack = stack
        self._observed = observed
        self._connectors = connectors
        self._clean_up = clean_up
        self._planned: list[PlannedKill] = []

    def kill(self, service: str) -> None:
        """Kill a server with SIGKILL, and its children; return when it is STOPPED.

        Raises:
            UnknownService: listing the known ones.
        """
        self._stack.kill(service_named(service).name)

    def bring_back(self, service: str) -> None:
        """Start a server again, on its ports and with its data; return when all is as before.

        It is healthy then, and the test's connectors stream.

        Raises:
            ServiceFailed, ConnectorFailed, DeadlinePassed: with the cause.
        """
        name = service_named(service).name
        self._stack.bring_back(name)
        if name in _OF_CONNECTORS and not set(_OF_CONNECTORS) & set(self._stack.killed()):
            for connector in self._connectors:
                self._wait_until_streaming(connector)

    def _wait_until_streaming(self, connector: Connector) -> None:
        config, client = connector.config, connector.client
        if config.name not in client.names():
            # The test has deleted it.
            return
        server = self._stack.need("postgres").postgres
        with postgres.connect(server, config.database_dbname) as connection:
            try:
                client.wait_until_streaming(
                    config.name, config.slot_name, connection, deadline_seconds=_STREAMING_SECONDS
                )
            except ConnectorFailed:
                # It has given up while the server was dead.
                client.restart(config.name)
                client.wait_until_streaming(
                    config.name, config.slot_name, connection, deadline_seconds=_STREAMING_SECONDS
                )

    @contextmanager
    def __call__(self, service: str) -> Iterator[None]:
        """Have a server dead inside the block, and back after it."""
        self.kill(service)
        try:
            yield
        finally:
            self.bring_back(service)

    def when(
        self,
        fact: Callable[[], object],
        service: str,
        *,
        description: str = "the moment to kill",
        deadline_seconds: float = 60.0,
    ) -> PlannedKill:
        """Kill a server as soon as a fact is true; returns at once.

        Args:
            fact: asked again and again, in a thread of its own, every 10 ms at most.
            service: which server.
            description: of the fact, for the error if it does not come true.
            deadline_seconds: how long to ask.
        """

        def wait() -> None:
            wait_until(
                fact,
                f"{description} ({service})",
                deadline_seconds=deadline_seconds,
                longest_pause_seconds=0.01,
            )

        planned = PlannedKill(service, wait, lambda: self.kill(service))
        self._planned.append(planned)
        return planned

    def pipeline(
        self, connector: Connector, *tables: str, delta: Places = None, iceberg: Places = None
    ) -> KillablePipeline:
        """Return a pipeline that runs in a process of its own; the arguments are those of `cdc_pipeline`."""
        from lakebed.pytest_plugin.killable_pipeline import KillablePipeline

        services = ["kafka", "schema-registry", "s3", *(["iceberg-rest"] if iceberg is not None else [])]
        ports = self._stack.need(*services).ports
        targets = targets_for(connector, tables, delta, iceberg)
        self._observed.brings(targets)
        pipeline = KillablePipeline(self._stack, ports, targets)
        self._clean_up.add("the pipeline's process", pipeline.kill)
        pipeline.start()
        return pipeline

    def end(self) -> None:
        """Wait for what was planned, and bring back what is dead."""
        try:
            for planned in self._planned:
                planned.wait()
        finally:
            for service in sorted(self._stack.killed(), key=_order):
                self._stack.bring_back(service)


def _order(name: str) -> int:
    """Those that others need come first."""
    return len(service_named(name).needs)


@pytest.fixture
def lakebed_crash(
    request: pytest.FixtureRequest, lakebed_stack: SessionStack, lakebed_clean_up: CleanUp
) -> Iterator[Crash]:
    """Kills servers: `kill("connect")`, `bring_back("connect")`, `with lakebed_crash("kafka"): ...`.

    A test with this fixture has the stack alone: tests of other workers and runs wait for its end.
    """
    stash = request.node.stash
    crash = Crash(lakebed_stack, stash[CONNECTORS], lakebed_clean_up, stash[OBSERVED])
    yield crash
    crash.end()


@pytest.fixture
def postgres_connections(
    lakebed_stack: SessionStack,
    postgres_connection: psycopg.Connection[Any],
) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Opens more connections to the test's own database, in autocommit mode; closed when the test is over.

    For threads that write at the same time, and for when PostgreSQL was killed and is back.
    """
    server, name = lakebed_stack.need("postgres").postgres, postgres_connection.info.dbname
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        connection = postgres.connect(server, name)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()
