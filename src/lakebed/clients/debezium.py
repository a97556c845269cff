"""A client of Kafka Connect for Debezium connectors.

Source for every path and answer: Kafka documentation, "Kafka Connect", section "REST API".
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.clients import connector_waiting
from lakebed.clients.connect_requests import REQUEST_TIMEOUT_SECONDS, ConnectRequests, connector_path
from lakebed.clients.connector_payload import check_plugin, connector_payload
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import DebeziumConnectorConfig
from lakebed.config.endpoints import ConnectEndpoint
from lakebed.lifecycle import ConnectorLifecycle, ConnectorState, state_of
from lakebed.waiting import with_patience

if TYPE_CHECKING:
    import psycopg

_PATIENCE_SECONDS = 30.0


def _timeout(within_seconds: float | None) -> dict[str, float]:
    return {} if within_seconds is None else {"timeout": with_patience(within_seconds)}


class DebeziumClient:
    """Creates, reads, controls and deletes connectors on one Connect cluster.

    Args:
        url: address of a worker's REST interface, or its endpoint where credentials belong to it.
        timeout_seconds: how long one request may take.
        log: the worker's log file, if it is known; its end stands in diagnoses.
        logs: by id of a worker ("127.0.0.1:8083"), that of each, where there are several.

    Every state it sees goes through the `ConnectorLifecycle` that `lifecycle(name)` returns. Every method
    raises `ConnectRefused`, with Connect's own words, where Connect answers with an error or not at all.
    """

    def __init__(
        self,
        url: str | ConnectEndpoint,
        *,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        log: Path | None = None,
        logs: Mapping[str, Path] | None = None,
    ) -> None:
        worker = ConnectEndpoint(url=url) if isinstance(url, str) else url
        self.url = worker.base
        self.log = log
        self.logs = dict(logs or {})
        self._requests = ConnectRequests(worker, timeout_seconds)
        self._lifecycles: dict[str, ConnectorLifecycle] = {}
        self._translated: set[tuple[str, str]] = set()
        self._acknowledged: dict[str, list[tuple[float, str]]] = {}

    def __enter__(self) -> DebeziumClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the worker."""
        self._requests.close()

    def lifecycle(self, name: str) -> ConnectorLifecycle:
        """Return the life cycle of the connector as this client has seen it."""
        return self._lifecycles.setdefault(name, ConnectorLifecycle(name))

    def note_acknowledged(self, name: str, position: str) -> None:
        """Note that a barrier of the connector was passed: Kafka has everything up to a log position."""
        self._acknowledged.setdefault(name, []).append((time.time(), position))

    def acknowledged(self, name: str) -> list[tuple[float, str]]:
        """Return the barriers of the connector that were passed: when, in seconds since 1970, and where."""
        return list(self._acknowledged.get(name, ()))

    # -- the worker ---------------------------------------------------------------------------------

    def version(self) -> dict[str, str]:
        """Return the worker's `version`, `commit` and `kafka_cluster_id`."""
        answer: dict[str, str] = self._requests.send("GET", "/", "read the version of Connect")
        return answer

    def health(self, *, within_seconds: float | None = None) -> dict[str, str]:
        """Return the worker's `status` and `message` (Kafka 3.9, KIP-1017).

        Args:
            within_seconds: how long to wait for the answer, times `lakebed.waiting.patience`; None for as
                long as for any other one.
        """
        more = _timeout(within_seconds)
        answer: dict[str, str] = self._requests.send("GET", "/health", "read the health of Connect", **more)
        return answer

    def plugins(self, *, connectors_only: bool = True) -> list[dict[str, str]]:
        """Return the installed plugins: `class`, `type`, `version`.

        Args:
            connectors_only: False for converters, transformations and predicates too (KIP-769).
        """
        answer: list[dict[str, str]] = self._requests.send(
            "GET",
            "/connector-plugins",
            "list the connector plugins",
            params={"connectorsOnly": str(connectors_only).lower()},
        )
        return answer

    def names(self) -> list[str]:
        """Return the names of all connectors."""
        answer: list[str] = self._requests.send("GET", "/connectors", "list the connectors")
        return answer

    # -- a connector's configuration -----------------------------------------------------------------

    def create(
        self,
        config: DebeziumConnectorConfig,
        *,
        settings: Mapping[str, str] | None = None,
        postgres: psycopg.Connection[Any] | None = None,
    ) -> None:
        """Create a connector.

        Args:
            config: the connector.
            settings: configuration of the runtime, used where `config` sets nothing itself.
            postgres: a connection to the database it captures; with it the server itself is asked for an
                output plugin that few have.

        Raises:
            ConnectRefused: Connect does not accept the configuration, the name is taken, or the output
                plugin cannot work.
        """
        check_plugin(config, postgres)
        self._create(config.name, connector_payload(config, settings or {}, self._translated))

    def create_other(self, name: str, settings: Mapping[str, str]) -> None:
        """Create a connector for which the contract has no model, such as that of another database.

        Args:
            name: of the connector.
            settings: its configuration, as Connect takes it.

        Raises:
            ConnectRefused: Connect does not accept the configuration, or the name is taken.
        """
        # pytest's --showlocals would show the settings, passwords with them.
        __tracebackhide__ = True
        self._create(name, {"name": name, "config": dict(settings)})

    def _create(self, name: str, payload: Mapping[str, Any]) -> None:
        __tracebackhide__ = True  # as in `create_other`
        lifecycle = self.lifecycle(name)
        self._requests.send("POST", "/connectors", f"create connector {name!r}", json=payload)
        lifecycle.move_to(ConnectorState.CREATING, "POST /connectors")

    def update(
        self,
        config: DebeziumConnectorConfig,
        *,
        settings: Mapping[str, str] | None = None,
        postgres: psycopg.Connection[Any] | None = None,
    ) -> None:
        """Give a connector a new configuration; creates it if it does not exist. Arguments as for `create`.

        Returns before the task has been restarted with it: the old one may take the next changes.
        `Connector.update` waits for the new one.
        """
        check_plugin(config, postgres)
        payload = connector_payload(config, settings or {}, self._translated)
        path = connector_path(config.name, "config")
        self._requests.send("PUT", path, f"update connector {config.name!r}", json=payload["config"])

    def validate(self, config: DebeziumConnectorConfig) -> dict[str, list[str]]:
        """Return, by configuration key, what Connect has against the configuration; empty if nothing."""
        check_plugin(config)
        payload = connector_payload(config, {}, self._translated)
        connector_class = payload["config"]["connector.class"].rsplit(".", 1)[-1]
        answer = self._requests.send(
            "PUT",
            f"/connector-plugins/{connector_class}/config/validate",
            f"validate connector {config.name!r}",
            json={"name": config.name, **payload["config"]},
        )
        values = [entry["value"] for entry in answer["configs"]]
        return {value["name"]: value["errors"] for value in values if value["errors"]}

    def config(self, name: str) -> dict[str, str]:
        """Return the configuration Connect holds, the password included."""
        path = connector_path(name, "config")
        answer: dict[str, str] = self._requests.send("GET", path, f"read connector {name!r}")
        return answer

    # -- what it is doing ------------------------------------------------------------------------------

    def status(self, name: str, *, within_seconds: float | None = None) -> ConnectorStatus:
        """Return the status and take note of the state.

        Args:
            name: of the connector.
            within_seconds: how long to wait for the answer, times `lakebed.waiting.patience`; None for as
                long as for any other one.
        """
        path, more = connector_path(name, "status"), _timeout(within_seconds)
        answer = self._requests.send("GET", path, f"read the status of connector {name!r}", **more)
        status = ConnectorStatus.from_json(answer)
        state = state_of(status.connector.state, [task.state for task in status.tasks])
        lifecycle = self.lifecycle(name)
        if lifecycle.state is ConnectorState.NONE:
            lifecycle.move_to(ConnectorState.CREATING, "it exists; created by somebody else")
        lifecycle.observe(state, "GET /status")
        return status

    def state(self, name: str) -> ConnectorState:
        """Return the state of the connector, its tasks included; NONE or DELETED when it does not exist."""
        lifecycle = self.lifecycle(name)
        if name not in self.names():
            if lifecycle.state not in (ConnectorState.NONE, ConnectorState.DELETED):
                lifecycle.observe(ConnectorState.DELETED, "GET /connectors no longer lists it")
            return lifecycle.state
        self.status(name)
        return lifecycle.state

    def topics(self, name: str) -> list[str]:
        """Return the topics the connector has written to since it was created, or reset (KIP-558)."""
        path = connector_path(name, "topics")
        answer = self._requests.send("GET", path, f"list the topics of connector {name!r}")
        return sorted(answer[name]["topics"])

    def reset_topics(self, name: str) -> None:
        """Forget which topics the connector has written to; the topics themselves stay (KIP-558)."""
        path = connector_path(name, "topics", "reset")
        self._requests.send("PUT", path, f"reset the topics of connector {name!r}")

    # -- control ----------------------------------------------------------------------------------------

    def pause(self, name: str) -> None:
        """Pause the connector and return when it is PAUSED. Its task stays, and holds the slot."""
        self._requests.send("PUT", connector_path(name, "pause"), f"pause connector {name!r}")
        self.wait_for_state(name, ConnectorState.PAUSED)

    def resume(self, name: str, *, wait: bool = True) -> None:
        """Resume a paused or stopped connector and return when it is RUNNING; without `wait` at once."""
        self._requests.send("PUT", connector_path(name, "resume"), f"resume connector {name!r}")
        if wait:
            self.wait_for_state(name, ConnectorState.RUNNING)

    def stop(self, name: str) -> None:
        """Stop the connector and return when it is STOPPED: it has no tasks then, no failed ones either."""
        before = self.status(name)
        self._requests.send("PUT", connector_path(name, "stop"), f"stop connector {name!r}")
        connector_waiting.wait_for_state(self, name, ConnectorState.STOPPED, _PATIENCE_SECONDS, before)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Stop the connector for what is done within, such as to change its offsets; then resume it."""
        self.stop(name)
        try:
            yield
        finally:
            self.resume(name)

    def restart(self, name: str, *, only_failed: bool = False) -> None:
        """Restart the connector and its tasks, and return when it is RUNNING (KIP-745).

        Connect goes on reporting what was before the restart for a moment; a FAILED that is still the same
        by then is no news.
        """
        before = self.status(name)
        parameters = {"includeTasks": "true", "onlyFailed": str(only_failed).lower()}
        path = connector_path(name, "restart")
        self._requests.send("POST", path, f"restart connector {name!r}", params=parameters)
        connector_waiting.wait_for_state(self, name, ConnectorState.RUNNING, _PATIENCE_SECONDS, before)

    def restart_task(self, name: str, task_id: int = 0) -> None:
        """Restart one task, and return when all are RUNNING. Debezium for PostgreSQL has only task 0."""
        before = self.status(name)
        path = connector_path(name, "tasks", str(task_id), "restart")
        self._requests.send("POST", path, f"restart task {task_id} of connector {name!r}")
        connector_waiting.wait_for_state(self, name, ConnectorState.RUNNING, _PATIENCE_SECONDS, before)

    def delete(self, name: str) -> None:
        """Delete the connector. Its slot, publication, topics and offsets stay; see `drop_slot`."""
        self._requests.send("DELETE", connector_path(name), f"delete connector {name!r}")
        lifecycle = self.lifecycle(name)
        if lifecycle.state is not ConnectorState.NONE:
            lifecycle.observe(ConnectorState.DELETED, "DELETE /connectors/{name}")

    # -- offsets (KIP-875) ------------------------------------------------------------------------------

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """Return the committed source offsets: `partition` and `offset` of each."""
        path = connector_path(name, "offsets")
        answer = self._requests.send("GET", path, f"read the offsets of connector {name!r}")
        offsets: list[dict[str, Any]] = answer["offsets"]
        # One that was reset is listed for a moment, with nothing in it.
        return [one for one in offsets if one["offset"] is not None]

    def alter_offsets(self, name: str, offsets: Sequence[Mapping[str, Any]]) -> None:
        """Set source offsets: of each `partition` the `offset`, or None to forget it; others stay.

        Raises:
            ConnectRefused: among others, the connector is not STOPPED; see `stopped`.
        """
        path = connector_path(name, "offsets")
        body = {"offsets": [dict(offset) for offset in offsets]}
        self._requests.send("PATCH", path, f"alter the offsets of connector {name!r}", json=body)

    def reset_offsets(self, name: str) -> None:
        """Forget all offsets, so that the connector begins anew, in most modes with a snapshot.

        Raises:
            ConnectRefused: among others, the connector is not STOPPED; see `stopped`.
        """
        path = connector_path(name, "offsets")
        self._requests.send("DELETE", path, f"reset the offsets of connector {name!r}")

    # -- waiting ----------------------------------------------------------------------------------------

    def wait_for_state(
        self, name: str, state: ConnectorState, *, deadline_seconds: float = _PATIENCE_SECONDS
    ) -> ConnectorStatus:
        """Wait until the connector, its tasks included, is in `state`.

        Raises:
            ConnectorFailed: it is FAILED (and that is not what was waited for), with the task's trace.
            DeadlinePassed: with a diagnosis.
        """
        return connector_waiting.wait_for_state(self, name, state, deadline_seconds)

    def wait_until_streaming(
        self,
        name: str,
        slot_name: str,
        postgres: psycopg.Connection[Any],
        *,
        deadline_seconds: float = 60.0,
        old_sender: int | None = None,
    ) -> None:
        """Wait until the connector streams: RUNNING, and its replication slot sends changes.

        RUNNING alone says that the task was started; while it takes the initial snapshot or opens its
        connection the slot is not active (PostgreSQL documentation, `pg_stat_replication`).

        Args:
            name: of the connector.
            slot_name: of its slot.
            postgres: a connection to any database of the server.
            deadline_seconds: how long to wait.
            old_sender: a WAL sender (a process id) that does not count: that of the task before.

        Raises:
            ConnectorFailed: with the task's trace, or with why PostgreSQL has given up the slot.
            NeverStreams: its snapshot mode is `initial_only`.
            DeadlinePassed: with a diagnosis of connector and slot.
        """
        connector_waiting.wait_until_streaming(self, name, slot_name, postgres, deadline_seconds, old_sender)
