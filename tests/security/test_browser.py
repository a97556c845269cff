"""What a web page in a browser on this machine can do with servers on loopback.

Such a page may send any request to 127.0.0.1, but reads the answer only where that allows its origin; and it
is a server's own page once its host name is resolved to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import httpx
import psutil
import pytest

from lakebed.pytest_plugin.session import SessionStack
from lakebed.services import Service
from lakebed.services.connect import CONNECT
from lakebed.services.iceberg_rest import ICEBERG_REST
from lakebed.services.s3 import S3
from lakebed.services.schema_registry import SCHEMA_REGISTRY

ORIGIN = "https://page.example"
HTTP_PORTS = [
    (CONNECT, "connect", "/connectors"),
    (SCHEMA_REGISTRY, "schema-registry", "/subjects"),
    (SCHEMA_REGISTRY, "schema-registry", "/apis/registry/v3/search/artifacts"),
    (ICEBERG_REST, "iceberg-rest", "/v1/config"),
    (S3, "s3", "/delta/"),
    (S3, "s3", "/delta/some-object"),
    (S3, "filer.port", "/buckets/delta/"),
    (S3, "master.port", "/dir/status"),
    (S3, "volume.port", "/status"),
]


def _ask(
    stack: SessionStack, service: Service, port: str, method: str, path: str, **headers: str
) -> httpx.Response:
    stack.need(service.name)
    status = stack.status()
    assert status is not None
    number = status["ports"][service.name][port]
    with httpx.Client(trust_env=False) as client:
        return client.request(method, f"http://127.0.0.1:{number}{path}", headers=headers)


@pytest.mark.lakebed("connect", "schema-registry", "iceberg-rest", "s3")
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize(
    ("service", "port", "path"),
    [
        pytest.param(service, port, path, id=f"{service.name}-{port}-{path.strip('/').replace('/', '.')}")
        for service, port, path in HTTP_PORTS
    ],
)
def test_no_server_lets_a_page_of_another_site_read(
    lakebed_stack: SessionStack, service: Service, port: str, path: str, method: str
) -> None:
    asks_first = {"Access-Control-Request-Method": "PUT"} if method == "OPTIONS" else {}
    answer = _ask(lakebed_stack, service, port, method, path, Origin=ORIGIN, **asks_first)
    allows = answer.headers.get("Access-Control-Allow-Origin") in ("*", ORIGIN)
    # A browser takes no leave from an answer that is an error (Fetch standard, "CORS-preflight fetch").
    assert not (allows and (method == "GET" or answer.is_success)), dict(answer.headers)


@pytest.mark.lakebed("s3")
def test_the_store_lets_no_page_write_to_a_bucket(lakebed_stack: SessionStack) -> None:
    def allowed(origin: str) -> bool:
        asks_first = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        try:
            answer = _ask(lakebed_stack, S3, "s3", "OPTIONS", "/delta", **asks_first)
        # SeaweedFS 4.48 breaks off instead of refusing a bucket whose path does not end with a slash.
        except httpx.RemoteProtocolError:
            return False
        return answer.is_success

    assert allowed("none")
    assert not allowed(ORIGIN)
    # It goes on serving; what is not signed is refused.
    assert _ask(lakebed_stack, S3, "s3", "GET", "/delta").status_code == 403


@pytest.mark.lakebed("schema-registry")
def test_the_registry_has_no_port_but_its_own(lakebed_stack: SessionStack) -> None:
    lakebed_stack.need("schema-registry")
    status = lakebed_stack.status()
    assert status is not None
    [pid] = [one["pid"] for one in status["services"] if one["name"] == "schema-registry"]
    listening = {
        one.laddr.port
        for one in psutil.Process(pid).net_connections(kind="tcp")
        if one.status == psutil.CONN_LISTEN
    }
    # Not that of its health and metrics, which every page may read.
    assert listening == set(status["ports"]["schema-registry"].values())


@pytest.mark.lakebed("s3")
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_stores_filer_refuses_a_page_of_another_site(lakebed_stack: SessionStack, method: str) -> None:
    path = "/buckets/delta/from-a-page"
    assert _ask(lakebed_stack, S3, "filer.port", method, path, Origin=ORIGIN).status_code == 403
    # Without a page it is served; there is nothing at that path.
    assert _ask(lakebed_stack, S3, "filer.port", "GET", path).status_code == 404


@pytest.mark.lakebed("schema-registry", "iceberg-rest")
@pytest.mark.parametrize(
    ("service", "path", "refused"),
    [(SCHEMA_REGISTRY, "/subjects", 421), (SCHEMA_REGISTRY, "/", 421), (ICEBERG_REST, "/v1/config", 404)],
    ids=["registry", "pages-of-registry", "catalog"],
)
def test_a_server_answers_only_to_its_own_names(
    lakebed_stack: SessionStack, service: Service, path: str, refused: int
) -> None:
    def status(host: str) -> int:
        return _ask(lakebed_stack, service, service.main_port, "GET", path, Host=host).status_code

    names = ("127.0.0.1", "localhost", "localhost:8080", service.name)
    assert {name: status(name) for name in names if status(name) == refused} == {}
    for name in ("rebound.example", "rebound.example:8081", "127.0.0.1.rebound.example", "localhost.example"):
        assert status(name) == refused, name


@pytest.mark.lakebed("connect")
def test_connect_takes_no_connector_from_a_form(lakebed_stack: SessionStack) -> None:
    # What a page may send without asking first: a form, or text (Fetch standard, "simple requests").
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        answer = _ask(
            lakebed_stack, CONNECT, "connect", "POST", "/connectors", **{"Content-Type": content_type}
        )
        assert answer.status_code == 415, content_type
