"""A schema registry that asks for user and password: who is let in, and who is not."""

from __future__ import annotations

from typing import Any

import pytest

USER, PASSWORD = "lake", "sw0rd:fish=/+?"

# Every test of the inner run is on a stack whose registry asks for them.
INNER = """
    import base64, stat
    import httpx, pytest
    from confluent_kafka.schema_registry import Schema
    from confluent_kafka.schema_registry.error import SchemaRegistryError
    from lakebed.clients.registry import schema_registry_client as client_for
    from lakebed.config.registry import SchemaRegistryConfig
    from lakebed.errors import ConnectorFailed

    USER, PASSWORD = {user!r}, {password!r}
    SCHEMA = Schema('{{"type": "record", "name": "one", "fields": []}}', "AVRO")

    def test_the_client_is_let_in(schema_registry_client, lakebed_record, lakebed_test_name):
        lakebed_record("subject", lakebed_test_name)
        schema_registry_client.register_schema(lakebed_test_name, SCHEMA)
        assert lakebed_test_name in schema_registry_client.get_subjects()

    @pytest.mark.parametrize("given", [{{}}, {{"username": USER, "password": "wrong"}},
                                       {{"username": "other", "password": PASSWORD}}])
    def test_others_are_refused_by_the_server(schema_registry_client, lakebed_stack, given):
        url = lakebed_stack.need("schema-registry").schema_registry_url
        with client_for(SchemaRegistryConfig(url=url, **given)) as client:
            with pytest.raises(SchemaRegistryError) as caught:
                client.register_schema("refused", SCHEMA)
        assert caught.value.http_status_code == 401
        assert "refused" not in schema_registry_client.get_subjects()

    @pytest.mark.parametrize("path", ["/subjects", "/apis/ccompat/v7/subjects", "/", "/ui/", "/health",
        "/apis/registry/v2/search/artifacts", "/apis/registry/v3/search/artifacts",
        "/apis/registry/v3/admin/export", "/subjects/../subjects", "//subjects", "/%73ubjects", "/apis",
        "/nowhere"])
    def test_nothing_is_served_without(schema_registry_client, lakebed_stack, path):
        url = lakebed_stack.need("schema-registry").schema_registry_url + path
        answer = httpx.get(url, trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")

    @pytest.mark.debezium(avro=True)
    def test_a_connector_writes_avro_with_them(
        debezium_connectors, postgres_connection, schema_registry_client
    ):
        postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        connector = debezium_connectors()
        postgres_connection.execute("INSERT INTO orders VALUES (1)")
        connector.wait_until_acknowledged(postgres_connection)
        assert connector.topic("orders") + "-value" in schema_registry_client.get_subjects()
        assert PASSWORD not in repr(connector)
        # What it made is removed with the same credentials.
        debezium_connectors.delete(connector)
        assert connector.topic("orders") + "-value" not in schema_registry_client.get_subjects()

    @pytest.mark.debezium(avro=True)
    def test_a_connector_with_a_wrong_password_fails(debezium_connectors, postgres_connection):
        postgres_connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        postgres_connection.execute("INSERT INTO orders VALUES (1)")
        wrong = {{f"{{part}}.converter.apicurio.auth.password": "wrong" for part in ("key", "value")}}
        with pytest.raises(ConnectorFailed, match="NotAuthorizedException"):
            # Its slot may stream for a moment before the first row is refused.
            debezium_connectors(extra_config=wrong).wait_until_acknowledged(postgres_connection)

    def test_the_password_is_in_no_log_and_no_argument(lakebed_stack, schema_registry_client):
        import psutil
        encoded = base64.b64encode(f"{{USER}}:{{PASSWORD}}".encode()).decode()
        for log in lakebed_stack.folder.glob("*.log"):
            text = log.read_text(errors="replace")
            assert PASSWORD not in text and encoded not in text, log
        for one in lakebed_stack.status()["services"]:
            process = psutil.Process(one["pid"])
            assert not any(PASSWORD in part or encoded in part for part in process.cmdline())
            assert PASSWORD not in str(process.environ())
        assert PASSWORD not in repr(lakebed_stack.settings)
        assert PASSWORD not in repr(lakebed_stack.need("schema-registry"))
        holders = [path for path in lakebed_stack.folder.rglob("*")
                   if path.is_file() and path.suffix in (".json", ".jar", ".jsonl", ".properties")
                   and (PASSWORD.encode() in path.read_bytes() or encoded.encode() in path.read_bytes())]
        assert {{path.name for path in holders}} == {{"request.json", "root.jar"}}
        for path in holders:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
"""


def test_a_registry_with_a_password(run_tests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEBED_REGISTRY_USERNAME", USER)
    monkeypatch.setenv("LAKEBED_REGISTRY_PASSWORD", PASSWORD)
    result = run_tests("--tb=short", test_inner=INNER.format(user=USER, password=PASSWORD))
    result.assert_outcomes(passed=20)
