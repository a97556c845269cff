"""What is sent to Connect for a configuration of the contract: spelled as the running Debezium knows it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakebed.config.debezium import DebeziumConnectorConfig, PluginName
from lakebed.errors import ConnectRefused

if TYPE_CHECKING:
    import psycopg

logger = logging.getLogger("lakebed.debezium")

# Values of the contract that the Debezium which is running spells differently, by configuration key
# (Debezium release notes 2.6 and 3.0: `never` became `no_data`).
TRANSLATIONS: Mapping[str, Mapping[str, str]] = {"snapshot.mode": {"never": "no_data"}}

_PGOUTPUT = "use PluginName.PGOUTPUT, which is part of PostgreSQL since version 10"
_PLUGIN_REFUSALS = {
    PluginName.WAL2JSON.value: "Debezium dropped wal2json with version 2.0",
    PluginName.DECODERBUFS.value: "the PostgreSQL that lakebed starts has no output plugin decoderbufs",
}


def connector_payload(
    config: DebeziumConnectorConfig, settings: Mapping[str, str], already_said: set[tuple[str, str]]
) -> dict[str, Any]:
    """Return the body of `POST /connectors`: `{"name": str, "config": {...}}`.

    Args:
        config: the connector.
        settings: configuration of the runtime, used where `config` sets nothing itself.
        already_said: the translations the log has been told of; gets those of this one.

    """
    payload = config.to_connector_payload()
    content = {**settings, **payload["config"]}
    for key, values in TRANSLATIONS.items():
        value = content.get(key, "")
        if value in values:
            content[key] = values[value]
            if (key, value) not in already_said:
                already_said.add((key, value))
                logger.warning(
                    "%s=%s is sent as %s, as the Debezium running here calls it", key, value, values[value]
                )
    return {"name": payload["name"], "config": content}


def check_plugin(config: DebeziumConnectorConfig, postgres: psycopg.Connection[Any] | None = None) -> None:
    """Refuse an output plugin that cannot work.

    Args:
        config: the connector.
        postgres: a connection to the server it captures, which is asked whether it has the plugin;
            without one it is taken for the PostgreSQL that lakebed starts.

    Raises:
        ConnectRefused: saying what is missing where.
    """
    plugin = config.to_connector_payload()["config"]["plugin.name"]
    if plugin not in _PLUGIN_REFUSALS:
        return
    missing = None if postgres is None else _why_missing(postgres, plugin)
    if plugin == PluginName.WAL2JSON.value:
        seen = _PLUGIN_REFUSALS[plugin] + (f"; and PostgreSQL answers: {missing}" if missing else "")
    elif postgres is None:
        seen = _PLUGIN_REFUSALS[plugin]
    elif missing is None:
        return
    else:
        seen = f"PostgreSQL answers: {missing}"
    raise ConnectRefused(f"create connector {config.name!r} with plugin.name={plugin}", seen, _PGOUTPUT)


def _why_missing(postgres: psycopg.Connection[Any], plugin: str) -> str | None:
    """Return why the server cannot decode with an output plugin, None if it can.

    To make a slot with it is the only way to know: a plugin is a library, and listed nowhere (PostgreSQL
    documentation, "Logical Decoding Output Plugins"). The slot is temporary and goes with its connection.
    """
    import psycopg

    info = postgres.info
    with psycopg.connect(
        host=info.host,
        port=info.port,
        user=info.user,
        password=info.password,
        dbname=info.dbname,
        autocommit=True,
        # The plugin is loaded first; then a new slot waits for every open transaction.
        options="-c statement_timeout=2s",
    ) as connection:
        name = f"lakebed_asks_{connection.info.backend_pid}"
        try:
            connection.execute("SELECT pg_create_logical_replication_slot(%s, %s, true)", [name, plugin])
        except psycopg.errors.QueryCanceled:
            return None
        except psycopg.Error as error:
            return str(error).splitlines()[0]
    return None
