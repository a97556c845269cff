"""The Iceberg REST catalog: Apache Iceberg's own reference server, over a database in a file.

Its main class listens on every interface and has no setting for that. So Jetty, the HTTP server inside it,
is given the same servlet with a listener on loopback, in Jetty's own configuration format (Jetty
documentation, "Jetty XML").
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from lakebed.config.endpoints import CatalogEndpoint
from lakebed.config.environment import IcebergRestEnvironment, typed_variables
from lakebed.config.iceberg import IcebergCatalogConfig
from lakebed.errors import StackFailed
from lakebed.services.answers import answers_ok, found, request
from lakebed.services.container import Container, Value, contract_check
from lakebed.services.definition import LOOPBACK, Place, ResourceKind, Service
from lakebed.services.java_logging import log_flag, write_log_configuration

_CATALOG_PREFIX = "CATALOG_"
# A page of the Internet may have its own host name resolved to 127.0.0.1 (DNS rebinding): whoever asks by
# another name than these finds nothing.
_HOSTS = (LOOPBACK, "localhost", "iceberg-rest", "cdc-iceberg-rest")
# Its document type would be looked up; the file is written here and needs no validation.
_NO_VALIDATION = "-Dorg.eclipse.jetty.xml.XmlParser.Validating=false"


def contract_environment(place: Place) -> IcebergRestEnvironment:
    """Return the service model of the contract for this instance."""
    contract, store = IcebergCatalogConfig(), place.endpoints.s3
    return IcebergRestEnvironment(
        aws_access_key_id=store.access_key.get_secret_value(),
        aws_secret_access_key=store.secret_key.get_secret_value(),
        aws_region=store.region,
        catalog_warehouse=contract.warehouse,
        catalog_io_impl="org.apache.iceberg.aws.s3.S3FileIO",
        catalog_s3_endpoint=store.endpoint,
        catalog_s3_path_style_access=store.path_style,
    )


def catalog_properties(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the catalog's properties in `CATALOG_*` variables.

    The prefix is dropped, `__` becomes `-`, `_` becomes `.`, letters become small (Apache Iceberg, README
    of the REST catalog's test fixture).
    """
    return {
        name.removeprefix(_CATALOG_PREFIX).replace("__", "-").replace("_", ".").lower(): value
        for name, value in environment.items()
        if name.startswith(_CATALOG_PREFIX)
    }


def jetty_configuration(place: Place) -> ElementTree.Element:
    """Return Jetty's configuration: one listener on loopback, one servlet with the catalog behind it."""
    # Written before it is acknowledged: H2 would wait for up to half a second, and a catalog that is killed
    # would lose tables that it has confirmed (H2 documentation, "SET WRITE_DELAY").
    options = "DATABASE_TO_UPPER=FALSE;DB_CLOSE_ON_EXIT=FALSE;WRITE_DELAY=0"
    properties = {
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        # Iceberg asks the database for its tables by the names it gave them, in small letters.
        "uri": f"jdbc:h2:{place.folder / 'catalog'};{options}",
        "jdbc.schema-version": "V1",
        **catalog_properties(contract_environment(place).to_environment()),
    }
    server = ElementTree.Element(
        "Configure", id="Server", attrib={"class": "org.eclipse.jetty.server.Server"}
    )
    connector = _new(_argument(_call(server, "addConnector")), "org.eclipse.jetty.server.ServerConnector")
    ElementTree.SubElement(_argument(connector), "Ref", refid="Server")
    _set(connector, "host", LOOPBACK)
    _set(connector, "port", str(place.ports["iceberg-rest"]))
    handler = ElementTree.SubElement(server, "Set", name="handler")
    context = _new(handler, "org.eclipse.jetty.servlet.ServletContextHandler")
    _set(context, "contextPath", "/")
    hosts = ElementTree.SubElement(context, "Set", name="virtualHosts")
    names = ElementTree.SubElement(hosts, "Array", type="java.lang.String")
    for name in _HOSTS:
        ElementTree.SubElement(names, "Item").text = name
    add_servlet = _call(context, "addServlet")
    holder = _new(_argument(add_servlet), "org.eclipse.jetty.servlet.ServletHolder")
    servlet = _new(_argument(holder), "org.apache.iceberg.rest.RESTCatalogServlet")
    adapter = _new(_argument(servlet), "org.apache.iceberg.rest.RESTCatalogAdapter")
    build = _call(_argument(adapter), "buildIcebergCatalog", of="org.apache.iceberg.CatalogUtil")
    _argument(build).text = "rest_backend"
    entries = ElementTree.SubElement(_argument(build), "Map")
    for name, value in properties.items():
        entry = ElementTree.SubElement(entries, "Entry")
        ElementTree.SubElement(entry, "Item").text = name
        ElementTree.SubElement(entry, "Item").text = value
    # No third value: Hadoop's configuration is for file systems of Hadoop, which S3FileIO is not.
    _argument(build)
    _argument(add_servlet).text = "/*"
    return server


def _new(parent: ElementTree.Element, class_name: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, "New", attrib={"class": class_name})


def _call(parent: ElementTree.Element, name: str, of: str | None = None) -> ElementTree.Element:
    return ElementTree.SubElement(parent, "Call", attrib={"name": name, **({"class": of} if of else {})})


def _argument(parent: ElementTree.Element) -> ElementTree.Element:
    return ElementTree.SubElement(parent, "Arg")


def _set(parent: ElementTree.Element, name: str, value: str) -> None:
    ElementTree.SubElement(parent, "Set", name=name).text = value


def _prepare(place: Place) -> None:
    configuration = place.folder / "jetty.xml"
    configuration.touch(mode=0o600)
    ElementTree.ElementTree(jetty_configuration(place)).write(
        configuration, encoding="utf-8", xml_declaration=True
    )
    write_log_configuration(place.folder, "warn")


def _command(place: Place) -> list[str]:
    main = "org.eclipse.jetty.xml.XmlConfiguration"
    flags = [*place.java, log_flag(place.folder), _NO_VALIDATION, "-cp", place.joined_class_path()]
    return [*flags, main, str(place.folder / "jetty.xml")]


def _environment(place: Place) -> dict[str, str]:
    return contract_environment(place).to_environment()


def _check(place: Place) -> None:
    answers_ok(place.endpoints.iceberg_rest, "/v1/config")


# Levels of a namespace in a path (Iceberg REST catalog specification, "namespace" parameter).
_LEVEL_SEPARATOR = "%1F"


@cache
def namespaces_path(catalog: CatalogEndpoint) -> str:
    """Return the path of all namespaces, with the prefix that the catalog gives its warehouse, if any.

    Iceberg REST catalog specification, "getConfig" and the parameter `prefix`.
    """
    config = found(catalog, "/v1/config", params={"warehouse": catalog.warehouse})
    prefix = {**config.get("defaults", {}), **config.get("overrides", {})}.get("prefix")
    return f"/v1/{quote(prefix, safe='')}/namespaces" if prefix else "/v1/namespaces"


def _path(catalog: CatalogEndpoint, namespace: str, *more: str) -> str:
    levels = _LEVEL_SEPARATOR.join(quote(level, safe="") for level in namespace.split("."))
    return "/".join([namespaces_path(catalog), levels, *(quote(part, safe="") for part in more)])


def _listed(catalog: CatalogEndpoint, path: str, key: str, **parameters: str) -> list[Any]:
    """Return what a path lists, page after page; nothing where its namespace does not exist."""
    entries: list[Any] = []
    while True:
        answer = request("GET", catalog, path, params=parameters)
        if answer is None:
            return entries
        content = answer.json()
        entries += content[key]
        if not content.get("next-page-token"):
            return entries
        parameters["pageToken"] = content["next-page-token"]


def _namespaces_in(catalog: CatalogEndpoint, parent: str) -> list[str]:
    """Return the namespaces in a namespace ("" is all of the catalog), the innermost first."""
    parameters = {"parent": parent.replace(".", "\x1f")} if parent else {}
    inner: list[str] = []
    for levels in _listed(catalog, namespaces_path(catalog), "namespaces", **parameters):
        name = ".".join(levels)
        inner += [*_namespaces_in(catalog, name), name]
    return inner


def _tables_in(catalog: CatalogEndpoint, namespace: str) -> list[tuple[str, str]]:
    """Return ("tables" or "views", name) of all that is in a namespace itself."""
    return [
        (what, entry["name"])
        for what in ("tables", "views")
        for entry in _listed(catalog, _path(catalog, namespace, what), "identifiers")
    ]


def _namespaces(place: Place) -> dict[str, str]:
    return dict.fromkeys(_namespaces_in(place.endpoints.iceberg_rest, ""), "")


def _remove_namespace(place: Place, name: str) -> None:
    """Drop a namespace with all that is in it, namespaces, views and tables with their files."""
    catalog = place.endpoints.iceberg_rest
    for namespace in [*_namespaces_in(catalog, name), name]:
        for what, table in _tables_in(catalog, namespace):
            _drop(place, namespace, what, table)
        request("DELETE", catalog, _path(catalog, namespace))


def _drop(place: Place, namespace: str, what: str, table: str) -> None:
    """Drop a table with its files, or a view.

    The catalog drops a table before it deletes the files, and fails where one is gone in which it reads which
    there are (Iceberg, `JdbcCatalog.dropTable` and `CatalogUtil.dropTableData`).
    """
    catalog = place.endpoints.iceberg_rest
    path = _path(catalog, namespace, what, table)
    purge = {"purgeRequested": "true"} if what == "tables" else {}
    try:
        request("DELETE", catalog, path, params=purge)
    except StackFailed:
        # In a store of lakebed's own the other files go with all that is in it.
        store_is_ours = not place.is_attached and place.attached.s3 is None
        if not store_is_ours or request("GET", catalog, path) is not None:
            raise


def _tables(place: Place) -> dict[str, str]:
    """Return tables and views as "namespace/table"."""
    catalog = place.endpoints.iceberg_rest
    namespaces = _namespaces_in(catalog, "")
    return {
        f"{namespace}/{name}": "" for namespace in namespaces for _, name in _tables_in(catalog, namespace)
    }


def _remove_table(place: Place, name: str) -> None:
    namespace, _, table = name.partition("/")
    for what in ("tables", "views"):
        _drop(place, namespace, what, table)


def _has_namespace(place: Place, name: str) -> bool:
    catalog = place.endpoints.iceberg_rest
    return request("GET", catalog, _path(catalog, name)) is not None


def _has_table(place: Place, name: str) -> bool:
    catalog = place.endpoints.iceberg_rest
    namespace, _, table = name.partition("/")
    paths = (_path(catalog, namespace, what, table) for what in ("tables", "views"))
    return any(request("GET", catalog, path) is not None for path in paths)


def _container_environment(host_port: int | None) -> dict[str, Value]:
    contract = IcebergCatalogConfig()
    return typed_variables(
        IcebergRestEnvironment(
            aws_access_key_id=contract.s3_access_key_id,
            aws_secret_access_key=contract.s3_secret_access_key,
            aws_region=contract.s3_region,
            catalog_warehouse=contract.warehouse,
            catalog_io_impl="org.apache.iceberg.aws.s3.S3FileIO",
            catalog_s3_endpoint="http://minio:9000",
            catalog_s3_path_style_access=True,
        )
    )


ICEBERG_REST = Service(
    name="iceberg-rest",
    title="Iceberg REST catalog",
    needs=("s3",),
    ports={"iceberg-rest": 8181},
    memory_mb=190,
    jars="iceberg_rest",
    heap_mb=192,
    prepare=_prepare,
    command=_command,
    environment=_environment,
    check=_check,
    resources=(
        # With a namespace go its tables; what is left after that is in namespaces that stay.
        ResourceKind("namespace", _remove_namespace, _namespaces, exists=_has_namespace),
        ResourceKind("iceberg-table", _remove_table, _tables, exists=_has_table),
    ),
    # The files of a table tell which others are to be deleted with it.
    resources_use=("s3",),
    other_names=("iceberg",),
    # The contract, section 1.1.
    container=Container(
        service="iceberg-rest",
        image="tabulario/iceberg-rest:latest",
        port=8181,
        host_port=8181,
        environment=_container_environment,
        healthcheck=contract_check("http://localhost:8181/v1/config"),
        needs=("s3",),
        profile="lake",
        container_name="cdc-iceberg-rest",
        every_interface=True,
    ),
)
