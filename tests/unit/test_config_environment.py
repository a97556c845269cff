"""The service models: exact variables, required ones enforced, defaults and types as in the tables."""

from __future__ import annotations

import pytest

from lakebed.config import (
    DELTA_SPARK_CONFIG,
    CompatibilityMode,
    IcebergRestEnvironment,
    SchemaRegistryEnvironment,
    SparkServiceConfig,
)

ICEBERG = {
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-key",
    "AWS_REGION": "eu-west-1",
    "CATALOG_WAREHOUSE": "s3://warehouse/",
    "CATALOG_IO__IMPL": "org.apache.iceberg.aws.s3.S3FileIO",
    "CATALOG_S3_ENDPOINT": "http://minio:9000",
    "CATALOG_S3_PATH__STYLE__ACCESS": "true",
}
REGISTRY = {
    "SCHEMA_REGISTRY_HOST_NAME": "schema-registry",
    "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS": "PLAINTEXT://kafka:9092,other:9093",
    "SCHEMA_REGISTRY_LISTENERS": "http://0.0.0.0:8081",
    "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL": "FULL_TRANSITIVE",
    "SCHEMA_REGISTRY_DEBUG": "true",
    "SCHEMA_REGISTRY_KAFKASTORE_TOPIC": "schemas",
    "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR": "3",
}
CHANGE_FEED = "spark.databricks.delta.properties.defaults.enableChangeDataFeed"
SPARK = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.jars.packages": "io.delta:delta-spark_2.12:3.3.2",
    CHANGE_FEED: "true",
    "spark.hadoop.fs.s3a.endpoint": "http://minio:9000",
    "spark.hadoop.fs.s3a.access.key": "an-id",
    "spark.hadoop.fs.s3a.secret.key": "a-key",
    "spark.hadoop.fs.s3a.path.style.access": "false",
}
OPTIONAL = {
    "AWS_REGION": "us-east-1",
    "SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL": "BACKWARD",
    "SCHEMA_REGISTRY_DEBUG": "false",
    "SCHEMA_REGISTRY_KAFKASTORE_TOPIC": "_schemas",
    "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR": "1",
    CHANGE_FEED: "false",
}
COMPLETE = {"iceberg": ICEBERG, "registry": REGISTRY, "spark": SPARK}
SERVICES = list(COMPLETE)
CLASSES = {
    "iceberg": "IcebergRestEnvironment",
    "registry": "SchemaRegistryEnvironment",
    "spark": "SparkServiceConfig",
}


def written(service: str, texts: dict[str, str]) -> dict[str, str]:
    """What comes out when the variables are read into the service's model and written again."""
    if service == "iceberg":
        return IcebergRestEnvironment.from_environment(texts).to_environment()
    if service == "registry":
        return SchemaRegistryEnvironment.from_environment(texts).to_environment()
    return SparkServiceConfig.from_spark_config(texts).to_spark_config()


@pytest.mark.parametrize("service", SERVICES)
def test_complete_environment_comes_out_as_it_went_in(service: str) -> None:
    complete = COMPLETE[service]
    shuffled = dict(reversed(complete.items()))
    assert list(written(service, shuffled).items()) == list(complete.items())


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("unset", [None, ""], ids=["absent", "empty"])
def test_defaults(service: str, unset: str | None) -> None:
    expected = {name: OPTIONAL.get(name, text) for name, text in COMPLETE[service].items()}
    texts = {name: text for name, text in COMPLETE[service].items() if name not in OPTIONAL}
    if unset is not None:
        texts |= {name: unset for name in COMPLETE[service] if name in OPTIONAL}
    assert list(written(service, texts).items()) == list(expected.items())


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("unset", [None, ""], ids=["absent", "empty"])
def test_each_required_variable_is_enforced(service: str, unset: str | None) -> None:
    for name in COMPLETE[service].keys() - OPTIONAL.keys():
        texts = {key: text for key, text in COMPLETE[service].items() if key != name}
        if unset is not None:
            texts[name] = unset
        with pytest.raises(ValueError, match=f"^{CLASSES[service]}: {name} not set; required: "):
            written(service, texts)


@pytest.mark.parametrize("service", SERVICES)
def test_all_missing_variables_are_named_at_once(service: str) -> None:
    required = ", ".join(name for name in COMPLETE[service] if name not in OPTIONAL)
    with pytest.raises(ValueError, match="not set") as caught:
        written(service, {"PATH": "/bin"})
    assert str(caught.value) == f"{CLASSES[service]}: {required} not set; required: {required}"


@pytest.mark.parametrize("service", SERVICES)
def test_other_variables_are_ignored(service: str) -> None:
    assert (
        written(service, COMPLETE[service] | {"PATH": "/bin", "spark.ui.enabled": "x"}) == COMPLETE[service]
    )


@pytest.mark.parametrize("text", ["true", "TRUE", "True", "false", "FALSE", "False"])
def test_boolean_in_any_case(text: str) -> None:
    texts = ICEBERG | {"CATALOG_S3_PATH__STYLE__ACCESS": text}
    read = IcebergRestEnvironment.from_environment(texts)
    assert read.catalog_s3_path_style_access is (text.lower() == "true")
    assert read.to_environment()["CATALOG_S3_PATH__STYLE__ACCESS"] == text.lower()


@pytest.mark.parametrize("level", list(CompatibilityMode))
def test_every_compatibility_level_in_any_case(level: CompatibilityMode) -> None:
    for text in (level.value, level.value.lower()):
        texts = REGISTRY | {"SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL": text}
        read = SchemaRegistryEnvironment.from_environment(texts)
        assert read.schema_registry_schema_compatibility_level is level


def test_unknown_compatibility_level_lists_the_seven() -> None:
    texts = REGISTRY | {"SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL": "SIDEWAYS"}
    with pytest.raises(ValueError, match="is 'SIDEWAYS'") as caught:
        SchemaRegistryEnvironment.from_environment(texts)
    assert str(caught.value).endswith(
        "allowed: BACKWARD, FORWARD, FULL, NONE, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE, FULL_TRANSITIVE"
    )


@pytest.mark.parametrize(
    ("service", "variable", "text", "allowed"),
    [
        ("iceberg", "AWS_REGION", " ", "not empty"),
        ("iceberg", "CATALOG_WAREHOUSE", "warehouse", "s3://warehouse/"),
        ("iceberg", "CATALOG_IO__IMPL", "not a class", "Java class"),
        ("iceberg", "CATALOG_S3_ENDPOINT", "minio:9000", "http or https"),
        ("iceberg", "CATALOG_S3_ENDPOINT", "http://minio:70000", "1 to 65535"),
        ("iceberg", "CATALOG_S3_PATH__STYLE__ACCESS", "yes", "true or false"),
        ("iceberg", "CATALOG_S3_PATH__STYLE__ACCESS", "1", "true or false"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS", "kafka", "host:port"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS", "kafka:0", "host:port"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS", "kafka:70000", "host:port"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS", "kafka:9092,", "host:port"),
        ("registry", "SCHEMA_REGISTRY_LISTENERS", "0.0.0.0:8081", "http or https"),
        ("registry", "SCHEMA_REGISTRY_LISTENERS", "http://a:1,http://b:0", "1 to 65535"),
        ("registry", "SCHEMA_REGISTRY_DEBUG", "on", "true or false"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC", "a b", "249"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC", "..", "249"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "two", "an integer"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "1.5", "an integer"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "0", "1 to 32767"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "-1", "1 to 32767"),
        ("registry", "SCHEMA_REGISTRY_KAFKASTORE_TOPIC_REPLICATION_FACTOR", "40000", "1 to 32767"),
        ("spark", "spark.sql.extensions", "io.delta.A,,b", "Java class"),
        ("spark", "spark.jars.packages", "delta-spark", "Maven coordinates"),
        ("spark", CHANGE_FEED, "enabled", "true or false"),
        ("spark", "spark.hadoop.fs.s3a.endpoint", "minio:9000", "http or https"),
    ],
)
def test_bad_value_names_class_variable_value_and_allowed(
    service: str, variable: str, text: str, allowed: str
) -> None:
    with pytest.raises(ValueError, match="; allowed: ") as caught:
        written(service, COMPLETE[service] | {variable: text})
    seen, allowed_part = str(caught.value).split("; allowed: ")
    assert seen.startswith(f"{CLASSES[service]}.")
    assert f"({variable}) is " in seen
    assert seen.split(" is ", 1)[1].strip("'") in text
    assert allowed in allowed_part


@pytest.mark.parametrize("service", SERVICES)
def test_value_that_is_no_text_is_refused(service: str) -> None:
    for variable in COMPLETE[service]:
        for value in (True, 1, ["x"]):
            texts: dict[str, str] = COMPLETE[service] | {variable: value}  # type: ignore[assignment]
            with pytest.raises(TypeError) as caught:
                written(service, texts)
            assert f"({variable}) is " in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_not_a_mapping_is_refused_without_showing_it(service: str) -> None:
    with pytest.raises(TypeError, match="a mapping from text to text") as caught:
        written(service, "AWS_SECRET_ACCESS_KEY=hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)


def test_direct_construction_checks_types_and_again_when_written() -> None:
    with pytest.raises(TypeError, match=r"catalog_s3_path_style_access .* is 'true'"):
        IcebergRestEnvironment(
            aws_access_key_id="an-id",
            aws_secret_access_key="a-key",
            catalog_warehouse="s3://warehouse/",
            catalog_io_impl="org.apache.iceberg.aws.s3.S3FileIO",
            catalog_s3_endpoint="http://minio:9000",
            catalog_s3_path_style_access="true",  # type: ignore[arg-type]
        )
    model = SchemaRegistryEnvironment.from_environment(REGISTRY)
    model.schema_registry_schema_compatibility_level = "FULL"  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"write CompatibilityMode\.FULL"):
        model.to_environment()


def test_fields_are_the_variables_in_order() -> None:
    assert list(vars(IcebergRestEnvironment.from_environment(ICEBERG))) == [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_region",
        "catalog_warehouse",
        "catalog_io_impl",
        "catalog_s3_endpoint",
        "catalog_s3_path_style_access",
    ]
    registry = SchemaRegistryEnvironment.from_environment(REGISTRY)
    assert list(vars(registry)) == [name.lower() for name in REGISTRY]
    assert registry.schema_registry_kafkastore_topic_replication_factor == 3
    assert registry.schema_registry_debug is True


def test_the_contracts_spark_settings_are_a_spark_service() -> None:
    read = SparkServiceConfig.from_spark_config(DELTA_SPARK_CONFIG)
    assert read.enable_change_data_feed is True
    assert read.to_spark_config() == {name: DELTA_SPARK_CONFIG[name] for name in SPARK}


@pytest.mark.parametrize("service", SERVICES)
def test_secrets_are_not_shown(service: str) -> None:
    secret = "hunter2-not-to-be-seen"
    names = [name for name in COMPLETE[service] if "KEY" in name.upper()]
    if service == "registry":
        texts = COMPLETE[service] | {"SCHEMA_REGISTRY_LISTENERS": f"http://u:{secret}@0.0.0.0:8081"}
        assert secret not in repr(SchemaRegistryEnvironment.from_environment(texts))
        return
    texts = COMPLETE[service] | dict.fromkeys(names, secret)
    model: IcebergRestEnvironment | SparkServiceConfig = (
        IcebergRestEnvironment.from_environment(texts)
        if service == "iceberg"
        else SparkServiceConfig.from_spark_config(texts)
    )
    assert secret not in repr(model)
    assert repr(model).count("'***'") == len(names) == 2
    for name in names:
        with pytest.raises(ValueError, match=r"is '\*\*\*'") as caught:
            written(service, COMPLETE[service] | {name: f"{secret}\n"})
        assert secret not in str(caught.value)
