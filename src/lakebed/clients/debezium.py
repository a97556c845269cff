"""A client of Kafka Connect for Debezium connectors.

Source for every path and answer: Kafka documentation, "Kafka Connect", section "REST API".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from lakebed.clients.diagnosis import diagnose
from lakebed.clients.models import ConnectorStatus
from lakebed.config.debezium import DebeziumConnectorConfig, PluginName
from lakebed.errors import ConnectorFailed, ConnectRefused, DeadlinePassed
from lakebed.lifecycle import ConnectorLifecycle, ConnectorState, state_of
from lakebed.waiting import wait_until

logger = logging.getLogger("lakebed.debezium")

REQUEST_TIMEOUT_SECONDS = 60.0
# A worker waits up to 5 s for an old task to end (`task.shutdown.graceful.timeout.ms`) before the new one.
STALE_SECONDS = 15.0
REBALANCE_SECONDS = 20.0

# Values of the contract that the Debezium which is running spells differently, by configuration key
# (Debezium release notes 2.6 and 3.0: `never` became `no_data`).
TRANSLATIONS: Mapping[str, Mapping[str, str]] = {"snapshot.mode": {"never": "no_data"}}

_PLUGIN_ANSWERS = {
    PluginName.WAL2JSON.value: "Debezium dropped wal2json with version 2.0; use PluginName.PGOUTPUT",
    PluginName.DECODERBUFS.value: "the PostgreSQL that lakebed starts has no decoderbufs extension;"
    " use PluginName.PGOUTPUT, or attach a server that has it",
}


class DebeziumClient:
    """Creates, reads, controls and deletes connectors on one Connect cluster.

    Args:
        url: address of a worker's REST interface.
        timeout_seconds: how long one request may take.
        log: the worker's log file, if it is known; its end stands in diagnoses.

    Every state it sees goes through the `ConnectorLifecycle` that `lifecycle(name)` returns.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float = REQUEST_TIMEOUT_SECONDS, log: Path | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.log = log
        self._http = httpx.Client(base_url=self.url, timeout=timeout_seconds, trust_env=False)
        self._lifecycles: dict[str, ConnectorLifecycle] = {}
        self._translated: set[tuple[str, str]] = set()

    def __enter__(self) -> DebeziumClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the worker."""
        self._http.close()

    def lifecycle(self, name: str) -> ConnectorLifecycle:
        """Return the life cycle of the connector as this client has seen it."""
        return self._lifecycles.setdefault(name, ConnectorLifecycle(name))

    # -- requests ----------------------------------------------------------------------------------

    def _request(self, method: str, path: str, doing: str, **arguments: Any) -> Any:
        def answer() -> httpx.Response | None:
            response = self._http.request(method, path, **arguments)
            return None if _is_rebalancing(response) else response

        try:
            # Refused before anything was done, so that it may be asked again.
            response = wait_until(
                answer, "Connect's workers to be rebalanced", deadline_seconds=REBALANCE_SECONDS
            )
            assert response is not None
        except DeadlinePassed as error:
            raise ConnectRefused(f"{doing} ({method} {path})", str(error), _remedy(409)) from error
        except httpx.HTTPError as error:
            raise ConnectRefused(
                f"{doing} ({method} {self.url}{path})",
                f"{type(error).__name__}: {error}",
                "see whether Connect still runs: `lakebed status`, `lakebed logs connect`",
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        raise ConnectRefused(
            f"{doing} ({method} {path})",
            f"HTTP {response.status_code}: {_message(response)}",
            _remedy(response.status_code),
        )

    @staticmethod
    def _path(name: str, *more: str) -> str:
        return "/".join(["/connectors", quote(name, safe=""), *more])

    # -- the worker ---------------------------------------------------------------------------------

    def version(self) -> dict[str, str]:
        """Return the worker's `version`, `commit` and `kafka_cluster_id`."""
        answer: dict[str, str] = self._request("GET", "/", "read the version of Connect")
        return answer

    def health(self) -> dict[str, str]:
        """Return the worker's `status` and `message` (Kafka 3.9, KIP-1017)."""
        answer: dict[str, str] = self._request("GET", "/health", "read the health of Connect")
        return answer

    def plugins(self) -> list[dict[str, str]]:
        """Return the installed connector plugins: `class`, `type`, `version`."""
        answer: list[dict[str, str]] = self._request(
            "GET", "/connector-plugins", "list the connector plugins"
        )
        return answer

    def names(self) -> list[str]:
        """Return the names of all connectors."""
        answer: list[str] = self._request("GET", "/connectors", "list the connectors")
        return answer

    # -- one connector -------------------------------------------------------------------------------

    def create(self, config: DebeziumConnectorConfig, *, settings: Mapping[str, str] | None = None) -> None:
        """Create a connector.

        Args:
            config: the connector.
            settings: configuration of the runtime, used where `config` sets nothing itself.

        Raises:
            ConnectRefused: Connect does not accept the configuration, or the name is taken.
        """
        payload = self._payload(config, settings or {})
        lifecycle = self.lifecycle(config.name)
        self._request("POST", "/connectors", f"create connector {config.name!r}", json=payload)
        lifecycle.move_to(ConnectorState.CREATING, "POST /connectors")

    def update(self, config: DebeziumConnectorConfig, *, settings: Mapping[str, str] | None = None) -> None:
        """Give a connector a new configuration; creates it if it does not exist.

        Returns before the task has been restarted with it: the old one may take the next changes.
        """
        payload = self._payload(config, settings or {})
        path = self._path(config.name, "config")
        self._request("PUT", path, f"update connector {config.name!r}", json=payload["config"])

    def validate(self, config: DebeziumConnectorConfig) -> dict[str, list[str]]:
        """Return, by configuration key, what Connect has against the configuration; empty if nothing."""
        payload = self._payload(config, {})
        connector_class = payload["config"]["connector.class"].rsplit(".", 1)[-1]
        answer = self._request(
            "PUT",
            f"/connector-plugins/{connector_class}/config/validate",
            f"validate connector {config.name!r}",
            json={"name": config.name, **payload["config"]},
        )
        values = [entry["value"] for entry in answer["configs"]]
        return {value["name"]: value["errors"] for value in values if value["errors"]}

    def _payload(self, config: DebeziumConnectorConfig, settings: Mapping[str, str]) -> dict[str, Any]:
        payload = config.to_connector_payload()
        content = {**settings, **payload["config"]}
        plugin = content.get("plugin.name", "")
        if plugin in _PLUGIN_ANSWERS:
            raise ConnectRefused(
                f"create connector {config.name!r} with plugin.name={plugin}", _PLUGIN_ANSWERS[plugin]
            )
        for key, values in TRANSLATIONS.items():
            value = content.get(key, "")
            if value in values:
                content[key] = values[value]
                self._say_once(key, value, values[value])
        return {"name": payload["name"], "config": content}

    def _say_once(self, key: str, value: str, sent: str) -> None:
        if (key, value) not in self._translated:
            self._translated.add((key, value))
            logger.warning("%s=%s is sent as %s, as the Debezium running here calls it", key, value, sent)

    def config(self, name: str) -> dict[str, str]:
        """Return the configuration Connect holds."""
        answer: dict[str, str] = self._request("GET", self._path(name, "config"), f"read connector {name!r}")
        return answer

    def status(self, name: str) -> ConnectorStatus:
        """Return the status and take note of the state.

        Raises:
            ConnectRefused: there is no such connector.
        """
        answer = self._request("GET", self._path(name, "status"), f"read the status of connector {name!r}")
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
        """Return the topics the connector has written to since it was created (KIP-558)."""
        answer = self._request("GET", self._path(name, "topics"), f"list the topics of connector {name!r}")
        return sorted(answer[name]["topics"])

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """Return the committed source offsets: `partition` and `offset` of each (KIP-875)."""
        answer = self._request("GET", self._path(name, "offsets"), f"read the offsets of connector {name!r}")
        offsets: list[dict[str, Any]] = answer["offsets"]
        return offsets

    def pause(self, name: str) -> None:
        """Pause the connector and return when it is PAUSED."""
        self._request("PUT", self._path(name, "pause"), f"pause connector {name!r}")
        self.wait_for_state(name, ConnectorState.PAUSED)

    def resume(self, name: str) -> None:
        """Resume a paused or stopped connector and return when it is RUNNING."""
        self._request("PUT", self._path(name, "resume"), f"resume connector {name!r}")
        self.wait_for_state(name, ConnectorState.RUNNING)

    def stop(self, name: str) -> None:
        """Stop the connector, its tasks included, and return when it is STOPPED (KIP-875)."""
        self._request("PUT", self._path(name, "stop"), f"stop connector {name!r}")
        self.wait_for_state(name, ConnectorState.STOPPED)

    def restart(self, name: str, *, only_failed: bool = False) -> None:
        """Restart the connector and its tasks, and return when it is RUNNING (KIP-745).

        Connect goes on reporting what was before the restart for a moment; a FAILED that is still the same
        by then is no news.
        """
        before = self.status(name)
        parameters = {"includeTasks": "true", "onlyFailed": str(only_failed).lower()}
        path = self._path(name, "restart")
        self._request("POST", path, f"restart connector {name!r}", params=parameters)
        self._wait(name, ConnectorState.RUNNING, 30.0, stale=before)

    def delete(self, name: str) -> None:
        """Delete the connector. Its slot, publication and topics stay; see `wait_until_slot_is_free`."""
        self._request("DELETE", self._path(name), f"delete connector {name!r}")
        lifecycle = self.lifecycle(name)
        if lifecycle.state is not ConnectorState.NONE:
            lifecycle.observe(ConnectorState.DELETED, "DELETE /connectors/{name}")

    # -- waiting --------------------------------------------------------------------------------------

    def wait_for_state(
        self, name: str, state: ConnectorState, *, deadline_seconds: float = 30.0
    ) -> ConnectorStatus:
        """Wait until the connector, its tasks included, is in `state`.

        Raises:
            ConnectorFailed: it is FAILED (and that is not what was waited for), with the task's trace.
            DeadlinePassed: with the last status.
        """
        return self._wait(name, state, deadline_seconds)

    def _wait(
        self, name: str, state: ConnectorState, deadline_seconds: float, stale: ConnectorStatus | None = None
    ) -> ConnectorStatus:
        stale_until = time.monotonic() + STALE_SECONDS

        def reached() -> ConnectorStatus | None:
            status = self.status(name)
            seen = self.lifecycle(name).state
            if seen is ConnectorState.FAILED and state is not ConnectorState.FAILED:
                is_old = stale is not None and status.tasks == stale.tasks
                if is_old and time.monotonic() < stale_until:
                    return None
                raise connector_failed(status)
            if seen is ConnectorState.STOPPED and status.tasks:
                return None
            return status if seen is state else None

        status: ConnectorStatus | None = wait_until(
            reached,
            f"connector {name!r} to be {state.name}",
            deadline_seconds=deadline_seconds,
            # A connector that was just created is not known to its own worker for a moment.
            ignore=(ConnectRefused,),
            explain=lambda: diagnose(self, name),
            remedy="`lakebed logs connect` shows what the worker says",
        )
        assert status is not None
        return status

    def wait_until_streaming(
        self, name: str, slot_name: str, postgres: psycopg.Connection[Any], *, deadline_seconds: float = 60.0
    ) -> None:
        """Wait until the connector streams: RUNNING, and its replication slot sends changes.

        RUNNING alone says that the task was started; while it takes the initial snapshot or opens its
        connection the slot is not active (PostgreSQL documentation, `pg_stat_replication`).

        Raises:
            ConnectorFailed: with the task's trace.
            DeadlinePassed: with the state of connector and slot.
        """

        def streaming() -> bool:
            status = self.status(name)
            if self.lifecycle(name).state is ConnectorState.FAILED:
                raise connector_failed(status)
            return self.lifecycle(name).state is ConnectorState.RUNNING and _slot_streams(postgres, slot_name)

        wait_until(
            streaming,
            f"connector {name!r} to stream from slot {slot_name!r}",
            deadline_seconds=deadline_seconds,
            longest_pause_seconds=0.05,
            ignore=(ConnectRefused,),
            explain=lambda: diagnose(self, name, postgres, slot_name),
            remedy="`lakebed logs connect` shows what the task says",
        )


def _is_rebalancing(response: httpx.Response) -> bool:
    """Whether Connect refuses because its workers share out the connectors anew, as after a new one.

    409 by the documentation, 500 where a configuration is read (Kafka, `RebalanceNeededException`).
    """
    return response.status_code in (409, 500) and "rebalance" in response.text


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:500]


def _remedy(status_code: int) -> str:
    remedies = {
        400: "correct the configuration; `debezium_client.validate(config)` lists the errors by key",
        404: "create the connector first; `debezium_client.names()` lists those that exist",
        409: "the name is taken, or the workers are rebalancing: delete the connector, or try again",
    }
    return remedies.get(status_code, "`lakebed logs connect` shows what the worker says")


def connector_failed(status: ConnectorStatus) -> ConnectorFailed:
    """Return the error for a FAILED status, with the trace of every failed task."""
    traces = [f"task {task.id}:\n{task.trace}" for task in status.tasks if task.state == "FAILED"]
    if status.connector.trace:
        traces.insert(0, status.connector.trace)
    return ConnectorFailed(
        f"run connector {status.name!r}",
        "\n".join(traces) or f"the connector is {status.connector.state}",
        "the last `Caused by` names the cause; correct it and call `debezium_client.restart(name)`",
    )


def _slot_streams(postgres: psycopg.Connection[Any], slot_name: str) -> bool:
    row = postgres.execute(
        "SELECT 1 FROM pg_replication_slots slots"
        " JOIN pg_stat_replication senders ON senders.pid = slots.active_pid"
        " WHERE slots.slot_name = %s AND senders.state = 'streaming'",
        [slot_name],
    ).fetchone()
    return row is not None
