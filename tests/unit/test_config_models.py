"""The contract's data models: outputs to the letter, bad values refused, secrets never shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from lakebed.config import (
    CDF_SCHEMA,
    DELTA_SPARK_CONFIG,
    ChangeType,
    CompatibilityMode,
    DebeziumConnectorConfig,
    DeltaSparkConfig,
    IcebergCatalogConfig,
    PluginName,
    SchemaRegistryConfig,
    SnapshotMode,
)
from lakebed.config.secrets import is_secret_name, mask_text

CATALOG_PROPERTIES = {
    "type": "rest",
    "uri": "http://localhost:8181",
    "warehouse": "s3://warehouse/",
    "s3.endpoint": "http://localhost:9000",
    "s3.access-key-id": "minioadmin",
    "s3.secret-access-key": "minioadmin",
    "s3.region": "us-east-1",
    "s3.path-style-access": "true",
}
SPARK_CONFIG = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.jars.packages": "io.delta:delta-spark_2.12:3.3.2",
    "spark.databricks.delta.properties.defaults.enableChangeDataFeed": "true",
    "spark.hadoop.fs.s3a.endpoint": "http://localhost:9000",
    "spark.hadoop.fs.s3a.access.key": "minioadmin",
    "spark.hadoop.fs.s3a.secret.key": "minioadmin",
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
}
CONNECTOR_CONFIG = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "tasks.max": "1",
    "database.hostname": "postgres",
    "database.port": "5432",
    "database.user": "cdcuser",
    "database.password": "cdcpass",
    "database.dbname": "cdcdb",
    "topic.prefix": "postgres.cdc",
    "plugin.name": "pgoutput",
    "slot.name": "debezium_slot",
    "publication.name": "debezium_publication",
    "snapshot.mode": "initial",
    "heartbeat.interval.ms": "10000",
    "decimal.handling.mode": "precise",
    "time.precision.mode": "adaptive_time_microseconds",
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "key.converter.schemas.enable": "false",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "false",
}

CONVERSIONS: dict[type, Callable[[Any], object]] = {
    IcebergCatalogConfig: IcebergCatalogConfig.to_catalog_properties,
    DeltaSparkConfig: DeltaSparkConfig.to_spark_config,
    SchemaRegistryConfig: SchemaRegistryConfig.to_client_config,
    DebeziumConnectorConfig: DebeziumConnectorConfig.to_connector_payload,
}


def made(model: type, **values: object) -> Any:
    return model(**({"name": "orders"} if model is DebeziumConnectorConfig else {}) | values)


def pairs(mapping: dict[str, str]) -> list[tuple[str, str]]:
    """Items in order: a dictionary alone would compare equal in any order."""
    return list(mapping.items())


# Outputs


def test_catalog_properties_are_the_contracts() -> None:
    assert pairs(IcebergCatalogConfig().to_catalog_properties()) == pairs(CATALOG_PROPERTIES)


def test_catalog_is_made_from_positions() -> None:
    config = IcebergCatalogConfig(
        "https://catalog:8443", "s3a://lake/x", "http://s3:9000", "id", "key", "eu-west-1", False, 5, 0
    )
    assert pairs(config.to_catalog_properties()) == [
        ("type", "rest"),
        ("uri", "https://catalog:8443"),
        ("warehouse", "s3a://lake/x"),
        ("s3.endpoint", "http://s3:9000"),
        ("s3.access-key-id", "id"),
        ("s3.secret-access-key", "key"),
        ("s3.region", "eu-west-1"),
        ("s3.path-style-access", "false"),
    ]
    assert (config.timeout_ms, config.retry_attempts) == (5, 0)


def test_spark_config_is_the_contracts() -> None:
    assert pairs(DeltaSparkConfig().to_spark_config()) == pairs(SPARK_CONFIG)


def test_spark_config_is_made_from_positions() -> None:
    config = DeltaSparkConfig(
        "app", "local[2]", "4.0.0", "2.13", False, "http://s3:1", "id", "key", False, "2g", "512m", {"a": "b"}
    )
    assert (config.app_name, config.master) == ("app", "local[2]")
    assert list(config.to_spark_config().values()) == [
        "io.delta.sql.DeltaSparkSessionExtension",
        "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "io.delta:delta-spark_2.13:4.0.0",
        "false",
        "http://s3:1",
        "id",
        "key",
        "false",
        "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "2g",
        "512m",
        "b",
    ]


def test_extra_config_overrides_in_place_and_adds_at_the_end() -> None:
    extra = {"spark.driver.memory": "3g", "spark.ui.enabled": "false"}
    expected = SPARK_CONFIG | extra
    assert pairs(DeltaSparkConfig(extra_config=extra).to_spark_config()) == pairs(expected)

    extra = {"snapshot.mode": "no_data", "poll.interval.ms": "20"}
    payload = DebeziumConnectorConfig("orders", extra_config=extra).to_connector_payload()
    assert pairs(payload["config"]) == pairs(CONNECTOR_CONFIG | {"schema.include.list": "public"} | extra)


def test_delta_spark_config_constant_is_the_contracts() -> None:
    assert pairs(DELTA_SPARK_CONFIG) == [
        ("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension"),
        ("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"),
        ("spark.jars.packages", "io.delta:delta-spark_2.12:3.3.2"),
        ("spark.databricks.delta.properties.defaults.enableChangeDataFeed", "true"),
        ("spark.sql.warehouse.dir", "/tmp/spark-warehouse"),
        ("spark.hadoop.fs.s3a.endpoint", "http://minio:9000"),
        ("spark.hadoop.fs.s3a.access.key", "minioadmin"),
        ("spark.hadoop.fs.s3a.secret.key", "minioadmin"),
        ("spark.hadoop.fs.s3a.path.style.access", "true"),
        ("spark.hadoop.fs.s3a.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem"),
        ("spark.driver.memory", "1g"),
        ("spark.executor.memory", "1g"),
    ]


@pytest.mark.parametrize(
    ("username", "password", "authentication"),
    [
        (None, None, []),
        ("reader", None, []),
        (None, "hunter2", []),
        ("", "hunter2", []),
        ("reader", "", []),
        (
            "reader",
            "hun:ter2",
            [
                ("basic.auth.credentials.source", "USER_INFO"),
                ("basic.auth.user.info", "reader:hun:ter2"),
            ],
        ),
    ],
)
def test_registry_client_config(
    username: str | None, password: str | None, authentication: list[tuple[str, str]]
) -> None:
    config = SchemaRegistryConfig("http://registry:8081", CompatibilityMode.FULL, 1, 0, username, password)
    assert pairs(config.to_client_config()) == [("url", "http://registry:8081"), *authentication]


def test_registry_defaults() -> None:
    assert dataclasses.asdict(SchemaRegistryConfig()) == {
        "url": "http://localhost:8081",
        "compatibility_mode": CompatibilityMode.BACKWARD,
        "timeout_seconds": 30,
        "max_retries": 3,
        "username": None,
        "password": None,
    }


def test_connector_payload_is_the_contracts() -> None:
    payload = DebeziumConnectorConfig("orders").to_connector_payload()
    assert list(payload) == ["name", "config"]
    assert payload["name"] == "orders"
    assert pairs(payload["config"]) == pairs(CONNECTOR_CONFIG | {"schema.include.list": "public"})


def test_connector_payload_without_filters_and_with_both() -> None:
    without = DebeziumConnectorConfig("orders", schema_include_list=[]).to_connector_payload()
    assert pairs(without["config"]) == pairs(CONNECTOR_CONFIG)

    both = DebeziumConnectorConfig(
        "orders", table_include_list=["public.a", "sales.b"], schema_include_list=["public", "sales"]
    ).to_connector_payload()
    assert pairs(both["config"]) == [
        *pairs(CONNECTOR_CONFIG),
        ("table.include.list", "public.a,sales.b"),
        ("schema.include.list", "public,sales"),
    ]


def test_connector_is_made_from_positions() -> None:
    config = DebeziumConnectorConfig(
        "c", "db", 5433, "u", "p", "d", "t", PluginName.WAL2JSON, "s", "pub", ["a.b"], ["a"],
        SnapshotMode.NEVER, 0, "string", "connect", "k.K", "v.V", True, True, 2, {"z": "1"},
    )  # fmt: skip
    assert list(config.to_connector_payload()["config"].values()) == [
        "io.debezium.connector.postgresql.PostgresConnector",
        "2", "db", "5433", "u", "p", "d", "t", "wal2json", "s", "pub", "never", "0", "string", "connect",
        "k.K", "true", "v.V", "true", "a.b", "a", "1",
    ]  # fmt: skip


def test_connector_needs_a_name_only() -> None:
    required = [
        field.name
        for field in dataclasses.fields(DebeziumConnectorConfig)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    assert required == ["name"]


def test_two_models_share_no_default() -> None:
    first, second = DebeziumConnectorConfig("a"), DebeziumConnectorConfig("b")
    first.schema_include_list.append("sales")
    first.table_include_list.append("public.t")
    first.extra_config["x"] = "y"
    assert (second.schema_include_list, second.table_include_list, second.extra_config) == (
        ["public"],
        [],
        {},
    )


def test_output_can_be_changed_without_changing_the_model() -> None:
    config = DeltaSparkConfig(extra_config={"a": "b"})
    config.to_spark_config()["a"] = "changed"
    assert config.to_spark_config()["a"] == "b"


def test_change_feed() -> None:
    assert pairs(CDF_SCHEMA) == [
        ("id", "BIGINT"),
        ("name", "STRING"),
        ("created_at", "TIMESTAMP"),
        ("_change_type", "STRING"),
        ("_commit_version", "BIGINT"),
        ("_commit_timestamp", "TIMESTAMP"),
    ]
    assert [kind.value for kind in ChangeType] == ["insert", "update_preimage", "update_postimage", "delete"]


@pytest.mark.parametrize("choice", [CompatibilityMode, SnapshotMode, PluginName, ChangeType])
def test_unknown_member_lists_the_allowed_ones(
    choice: type[CompatibilityMode] | type[SnapshotMode] | type[PluginName] | type[ChangeType],
) -> None:
    with pytest.raises(ValueError, match=f"'nonsense' is not a {choice.__name__}; allowed: ") as caught:
        choice("nonsense")
    assert str(caught.value).split("allowed: ")[1].split(", ") == [member.value for member in choice]


# Good values at the edge of what is allowed


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (IcebergCatalogConfig, "uri", "http://[::1]:8181"),
        (IcebergCatalogConfig, "uri", "https://catalog.example/path?x=1"),
        (IcebergCatalogConfig, "warehouse", "file:///tmp/lake"),
        (IcebergCatalogConfig, "warehouse", "abfss://box@account.example/lake"),
        (IcebergCatalogConfig, "timeout_ms", 1),
        (IcebergCatalogConfig, "retry_attempts", 0),
        (DeltaSparkConfig, "master", "local"),
        (DeltaSparkConfig, "master", "local[*]"),
        (DeltaSparkConfig, "master", "local[*,3]"),
        (DeltaSparkConfig, "master", "local-cluster[2,1,1024]"),
        (DeltaSparkConfig, "master", "yarn"),
        (DeltaSparkConfig, "master", "spark://a:7077,b:7077"),
        (DeltaSparkConfig, "master", "k8s://https://host:443"),
        (DeltaSparkConfig, "delta_version", "4.0.0rc1"),
        (DeltaSparkConfig, "delta_version", "3.3.2-SNAPSHOT"),
        (DeltaSparkConfig, "driver_memory", "512M"),
        (DeltaSparkConfig, "executor_memory", "1t"),
        (DeltaSparkConfig, "extra_config", {"spark.empty": ""}),
        (SchemaRegistryConfig, "timeout_seconds", 1),
        (SchemaRegistryConfig, "max_retries", 0),
        (SchemaRegistryConfig, "password", " blanks around "),
        (DebeziumConnectorConfig, "name", "a/b c"),
        (DebeziumConnectorConfig, "database_hostname", "::1"),
        (DebeziumConnectorConfig, "database_port", 1),
        (DebeziumConnectorConfig, "database_port", 65535),
        (DebeziumConnectorConfig, "database_password", ""),
        (DebeziumConnectorConfig, "slot_name", "0_" + "a" * 61),
        (DebeziumConnectorConfig, "publication_name", "Ä" * 31 + "x"),
        (DebeziumConnectorConfig, "topic_prefix", "A.b_c-9"),
        (DebeziumConnectorConfig, "heartbeat_interval_ms", 0),
        (DebeziumConnectorConfig, "time_precision_mode", "isostring"),
        (DebeziumConnectorConfig, "time_precision_mode", "microseconds"),
        (DebeziumConnectorConfig, "time_precision_mode", "nanoseconds"),
        (DebeziumConnectorConfig, "key_converter", "JsonConverter"),
        (DebeziumConnectorConfig, "table_include_list", [r"public\.orders_\d{1,2}"]),
    ],
)
def test_value_that_works_is_kept(model: type, field: str, value: object) -> None:
    config = made(model, **{field: value})
    assert getattr(config, field) == value
    assert CONVERSIONS[model](config)


# Bad values: the model, the field, the value, the error, and what its message says is allowed

NOT_TEXT = (None, 1, True, b"text", ["text"])
NOT_INTEGER = (None, "1", 1.0, True, False)
NOT_FLAG = (None, 1, 0, "true", "False")

TEXT_FIELDS = {
    IcebergCatalogConfig: [
        "uri",
        "warehouse",
        "s3_endpoint",
        "s3_access_key_id",
        "s3_secret_access_key",
        "s3_region",
    ],
    DeltaSparkConfig: [
        "app_name",
        "master",
        "delta_version",
        "scala_version",
        "s3_endpoint",
        "s3_access_key",
        "s3_secret_key",
        "driver_memory",
        "executor_memory",
    ],
    SchemaRegistryConfig: ["url"],
    DebeziumConnectorConfig: [
        "name",
        "database_hostname",
        "database_user",
        "database_dbname",
        "topic_prefix",
        "slot_name",
        "publication_name",
        "decimal_handling_mode",
        "time_precision_mode",
        "key_converter",
        "value_converter",
    ],
}
INTEGER_FIELDS = {
    IcebergCatalogConfig: {"timeout_ms": 1, "retry_attempts": 0},
    SchemaRegistryConfig: {"timeout_seconds": 1, "max_retries": 0},
    DebeziumConnectorConfig: {"database_port": 1, "heartbeat_interval_ms": 0, "tasks_max": 1},
}
FLAG_FIELDS = {
    IcebergCatalogConfig: ["s3_path_style_access"],
    DeltaSparkConfig: ["enable_cdf", "s3_path_style_access"],
    DebeziumConnectorConfig: ["key_converter_schemas_enable", "value_converter_schemas_enable"],
}


def cases() -> list[tuple[type, str, object, type[Exception], str]]:
    found: list[tuple[type, str, object, type[Exception], str]] = []
    for model, names in TEXT_FIELDS.items():
        for name in names:
            found += [(model, name, value, TypeError, "") for value in NOT_TEXT]
            found += [
                (model, name, value, ValueError, "") for value in ("", " ", " x", "x ", "x\n", "a\x00b")
            ]
            found.append((model, name, "lone \ud800 surrogate", ValueError, ""))
    for model, bounds in INTEGER_FIELDS.items():
        for name, lowest in bounds.items():
            found += [(model, name, value, TypeError, "an integer") for value in NOT_INTEGER]
            found += [(model, name, value, ValueError, f"{lowest}") for value in (lowest - 1, -1, -(2**40))]
    for model, names in FLAG_FIELDS.items():
        for name in names:
            found += [(model, name, value, TypeError, "True or False") for value in NOT_FLAG]

    url = "http or https, a host, a port from 1 to 65535"
    for model, name in (
        (IcebergCatalogConfig, "uri"),
        (IcebergCatalogConfig, "s3_endpoint"),
        (DeltaSparkConfig, "s3_endpoint"),
        (SchemaRegistryConfig, "url"),
    ):
        for value in (
            "localhost:8081",
            "localhost",
            "ftp://host",
            "http://",
            "http://:80",
            "http://host:0",
            "http://host:70000",
            "http://host:port",
            "http://ho st",
            "http://[::1",
        ):
            found.append((model, name, value, ValueError, url))

    for value in ("warehouse", "/tmp/warehouse", "s3://", "s3:///path", "s3://a b"):
        found.append((IcebergCatalogConfig, "warehouse", value, ValueError, "s3://warehouse/"))

    delta: list[tuple[str, object, str]] = [
        ("master", "remote", "local[2]"),
        ("master", "local[x]", "local[2]"),
        ("master", "spark://", "spark://localhost:7077"),
        ("delta_version", "latest", "3.3.2"),
        ("delta_version", "3", "3.3.2"),
        ("scala_version", "2", "2.12"),
        ("scala_version", "2.12.18", "2.12"),
        *[("driver_memory", value, '"512m"') for value in ("1", "1gb", "g", "-1g", "0g", "1.5g", "1 g")],
        ("executor_memory", "lots", '"1g"'),
        ("extra_config", {"": "x"}, "not empty"),
    ]
    found += [(DeltaSparkConfig, name, value, ValueError, allowed) for name, value, allowed in delta]

    connector: list[tuple[str, object, str]] = [
        ("database_port", 65536, "from 1 to 65535"),
        ("database_port", 70000, "from 1 to 65535"),
        ("tasks_max", 2**31, "2147483647"),
        ("heartbeat_interval_ms", 2**31, "2147483647"),
        *[("database_hostname", value, "localhost") for value in ("a b", "http://postgres", "db/x", "u@db")],
        *[
            ("slot_name", value, "1 to 63 lower-case letters, digits and underscores")
            for value in ("Slot", "my-slot", "my.slot", "slöt", "a" * 64, "a b")
        ],
        ("publication_name", "a" * 64, "1 to 63 bytes"),
        ("publication_name", "Ä" * 32, "1 to 63 bytes"),
        *[("topic_prefix", value, "A-Z a-z 0-9 . _ -") for value in ("a b", "a/b", "a:b", "ä", "a" * 250)],
        ("decimal_handling_mode", "exact", "precise, double, string"),
        ("decimal_handling_mode", "PRECISE", "precise, double, string"),
        (
            "time_precision_mode",
            "seconds",
            "adaptive, adaptive_time_microseconds, connect, isostring, microseconds, nanoseconds",
        ),
        ("key_converter", "not a class", "Java class"),
        ("value_converter", "a..B", "Java class"),
        ("extra_config", {" ": "x"}, "not empty"),
    ]
    found += [
        (DebeziumConnectorConfig, name, value, ValueError, allowed) for name, value, allowed in connector
    ]
    for name in ("table_include_list", "schema_include_list"):
        found += [
            (DebeziumConnectorConfig, name, value, TypeError, "a list of texts")
            for value in (None, "public", ("public",), {"public": "x"})
        ]
    for model in (DeltaSparkConfig, DebeziumConnectorConfig):
        found += [
            (model, "extra_config", value, TypeError, "a dictionary of texts")
            for value in (None, "a=b", [("a", "b")])
        ]
    found += [
        (SchemaRegistryConfig, "username", 1, TypeError, "text"),
        (SchemaRegistryConfig, "username", "a:b", ValueError, "without a colon"),
        (SchemaRegistryConfig, "username", "a\nb", ValueError, "without control characters"),
        (SchemaRegistryConfig, "password", 1, TypeError, "text"),
        (SchemaRegistryConfig, "password", "a\nb", ValueError, "without control characters"),
        (DebeziumConnectorConfig, "database_password", None, TypeError, "text"),
        (DebeziumConnectorConfig, "database_password", "a\x00b", ValueError, "without control characters"),
    ]
    return found


@pytest.mark.parametrize(("model", "field", "value", "error", "allowed"), cases())
def test_bad_value_is_refused(
    model: type, field: str, value: object, error: type[Exception], allowed: str
) -> None:
    with pytest.raises(error) as when_made:
        made(model, **{field: value})
    config = made(model)
    setattr(config, field, value)
    with pytest.raises(error) as when_converted:
        CONVERSIONS[model](config)

    message = str(when_made.value)
    assert type(when_made.value) is error
    assert str(when_converted.value) == message
    assert f"{model.__name__}.{field}" in message
    seen, allowed_part = message.split("; allowed: ")
    assert allowed in allowed_part
    assert allowed_part
    if is_secret_name(field) and value not in (None, ""):
        assert "is '***'" in seen
    elif isinstance(value, dict) and error is ValueError:
        assert f"is {next(iter(value))!r}" in seen
    else:
        assert repr(value) in seen


@pytest.mark.parametrize(
    ("field", "value", "path", "error"),
    [
        ("table_include_list", ["public.a", ""], "table_include_list[1]", ValueError),
        ("table_include_list", ["public.a", 7], "table_include_list[1]", TypeError),
        ("schema_include_list", [None], "schema_include_list[0]", TypeError),
        ("extra_config", {"tasks.max": 2}, "extra_config['tasks.max']", TypeError),
        ("extra_config", {"tasks.max": None}, "extra_config['tasks.max']", TypeError),
        ("extra_config", {7: "x"}, "a key of DebeziumConnectorConfig.extra_config", TypeError),
    ],
)
def test_bad_item_is_named(field: str, value: object, path: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        made(DebeziumConnectorConfig, **{field: value})
    assert path in str(caught.value)


def test_bad_item_added_later_is_found_when_converted() -> None:
    config = DebeziumConnectorConfig("orders")
    config.table_include_list.append("")
    with pytest.raises(ValueError, match=r"table_include_list\[0\]"):
        config.to_connector_payload()


@pytest.mark.parametrize(
    ("model", "field", "choice"),
    [
        (DebeziumConnectorConfig, "snapshot_mode", SnapshotMode),
        (DebeziumConnectorConfig, "plugin_name", PluginName),
        (SchemaRegistryConfig, "compatibility_mode", CompatibilityMode),
    ],
)
def test_enum_field_takes_members_only(
    model: type, field: str, choice: type[SnapshotMode] | type[PluginName] | type[CompatibilityMode]
) -> None:
    members: list[SnapshotMode | PluginName | CompatibilityMode] = list(choice)
    for member in members:
        assert getattr(made(model, **{field: member}), field) is member
        for text in (member.value, member.name, member.value.swapcase()):
            with pytest.raises(TypeError) as caught:
                made(model, **{field: text})
            assert f"{model.__name__}.{field} is {text!r}" in str(caught.value)
            assert str(caught.value).endswith(f"; write {member}")

    with pytest.raises(ValueError, match=f"{model.__name__}.{field} is 'nonsense'") as unknown:
        made(model, **{field: "nonsense"})
    for member in members:
        assert f"{member} ({member.value!r})" in str(unknown.value)

    for value in (None, 1, ChangeType.INSERT):
        with pytest.raises(TypeError, match=f"{model.__name__}.{field}"):
            made(model, **{field: value})


# Secrets

SECRET = "hunter2-not-to-be-seen"


@pytest.mark.parametrize(
    "config",
    [
        IcebergCatalogConfig(s3_access_key_id=SECRET, s3_secret_access_key=SECRET),
        IcebergCatalogConfig(uri=f"http://reader:{SECRET}@catalog:8181"),
        DeltaSparkConfig(s3_access_key=SECRET, s3_secret_key=SECRET),
        DeltaSparkConfig(extra_config={"spark.hadoop.fs.s3a.secret.key": SECRET}),
        DeltaSparkConfig(extra_config={"spark.hadoop.fs.s3a.session.TOKEN": SECRET}),
        DeltaSparkConfig(
            extra_config={"spark.driver.extraJavaOptions": f"-DtrustStorePassword={SECRET} -Da=b"}
        ),
        SchemaRegistryConfig(username="reader", password=SECRET),
        SchemaRegistryConfig(url=f"http://reader:{SECRET}@registry:8081"),
        DebeziumConnectorConfig("orders", database_password=SECRET),
        DebeziumConnectorConfig(
            "orders",
            extra_config={
                "database.ssl.password": SECRET,
                "value.converter.basic.auth.user.info": f"u:{SECRET}",
                "aws_secret": SECRET,
                "x.credential": SECRET,
                "producer.sasl.jaas.config": f'module required username="u" password="{SECRET}";',
                "connection.url": f"jdbc:postgresql://db/x?user=u&password={SECRET}&ssl=true",
            },
        ),
    ],
    ids=lambda config: type(config).__name__,
)
def test_secret_is_not_in_repr(config: object) -> None:
    assert SECRET not in repr(config)
    assert SECRET not in str([config])
    assert "***" in repr(config)


def test_repr_shows_everything_else() -> None:
    config = SchemaRegistryConfig(username="reader", password=SECRET)
    assert repr(config) == (
        "SchemaRegistryConfig(url='http://localhost:8081', compatibility_mode="
        "<CompatibilityMode.BACKWARD: 'BACKWARD'>, timeout_seconds=30, max_retries=3, username='reader', "
        "password='***')"
    )
    assert repr(SchemaRegistryConfig()).endswith("username=None, password=None)")
    extra = DebeziumConnectorConfig("orders", extra_config={"a.password": SECRET, "tasks.max": "2"})
    assert "extra_config={'a.password': '***', 'tasks.max': '2'}" in repr(extra)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (IcebergCatalogConfig, "s3_secret_access_key", f"{SECRET}\n"),
        (IcebergCatalogConfig, "uri", f"ftp://reader:{SECRET}@catalog"),
        (IcebergCatalogConfig, "uri", f"http://reader:a b{SECRET}@catalog"),
        (DeltaSparkConfig, "s3_secret_key", [SECRET]),
        (SchemaRegistryConfig, "password", SECRET.encode()),
        (DebeziumConnectorConfig, "database_password", [SECRET]),
        (DebeziumConnectorConfig, "extra_config", {"x.password": [SECRET]}),
        (DebeziumConnectorConfig, "extra_config", [("x.password", SECRET)]),
        (DebeziumConnectorConfig, "extra_config", f'{{"x.password": "{SECRET}"}}'),
        (DebeziumConnectorConfig, "table_include_list", {"password": SECRET}),
        (DebeziumConnectorConfig, "extra_config", {"x": [{"password": SECRET}]}),
    ],
)
def test_secret_is_not_in_errors(model: type, field: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        made(model, **{field: value})
    assert SECRET not in str(caught.value)
    assert "***" in str(caught.value)
    assert f"{model.__name__}.{field}" in str(caught.value)


def test_secret_stays_in_the_output() -> None:
    payload = DebeziumConnectorConfig("orders", database_password=SECRET).to_connector_payload()
    assert payload["config"]["database.password"] == SECRET


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("plain text", "plain text"),
        ("http://localhost:8081/path", "http://localhost:8081/path"),
        ("http://u:p@host/path", "http://***@host/path"),
        ("-Dx.password=p -Dy=z", "-Dx.password=*** -Dy=z"),
        ("user=u;Password = p;x=y", "user=u;Password = ***;x=y"),
        ('password="p" other="o"', 'password="***" other="o"'),
    ],
)
def test_mask_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "name",
    ["s3_path_style_access", "key_converter", "snapshot.mode", "user", "database_user", "auth.user.info.x"],
)
def test_ordinary_name_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)
