"""What the Iceberg REST catalog is started with."""

from __future__ import annotations

import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lakebed.config.environment import IcebergRestEnvironment
from lakebed.services.definition import Place
from lakebed.services.iceberg_rest import (
    ICEBERG_REST,
    catalog_properties,
    contract_environment,
    jetty_configuration,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    ports = {"iceberg-rest": 18181}
    return Place(
        folder=tmp_path,
        cache=tmp_path,
        ports=ports,
        stack_ports={"iceberg-rest": ports, "s3": {"s3": 19000}},
        class_path=(Path("/jars/a.jar"), Path("/jars/b.jar")),
        java=("java", "-Xmx1m"),
    )


def test_the_listener_is_on_loopback_and_there_is_one(place: Place) -> None:
    server = jetty_configuration(place)
    connectors = server.findall(".//New[@class='org.eclipse.jetty.server.ServerConnector']")
    assert [{entry.get("name"): entry.text for entry in one.findall("Set")} for one in connectors] == [
        {"host": "127.0.0.1", "port": "18181"}
    ]


def test_it_answers_to_names_of_its_own_only(place: Place) -> None:
    (hosts,) = jetty_configuration(place).findall(".//Set[@name='virtualHosts']/Array")
    assert [name.text for name in hosts] == ["127.0.0.1", "localhost", "iceberg-rest", "cdc-iceberg-rest"]


def test_the_catalog_has_the_contracts_properties(place: Place) -> None:
    entries = jetty_configuration(place).findall(".//Map/Entry")
    properties = {entry[0].text: entry[1].text for entry in entries}
    assert properties["warehouse"] == "s3://warehouse/"
    assert properties["io-impl"] == "org.apache.iceberg.aws.s3.S3FileIO"
    assert properties["s3.endpoint"] == "http://127.0.0.1:19000"
    assert properties["s3.path-style-access"] == "true"
    assert str(properties["uri"]).startswith(f"jdbc:h2:{place.folder}")


def test_variables_become_properties_as_the_server_itself_would_make_them() -> None:
    variables = {"CATALOG_IO__IMPL": "a.B", "CATALOG_S3_PATH__STYLE__ACCESS": "true", "AWS_REGION": "x"}
    assert catalog_properties(variables) == {"io-impl": "a.B", "s3.path-style-access": "true"}


def test_the_environment_is_the_contracts_table(place: Place) -> None:
    environment = ICEBERG_REST.environment(place)
    assert IcebergRestEnvironment.from_environment(environment) == contract_environment(place)
    assert environment["CATALOG_S3_ENDPOINT"] == "http://127.0.0.1:19000"


def test_the_configuration_is_for_its_owner_only_and_well_formed(place: Place) -> None:
    ICEBERG_REST.prepare(place)
    file = place.folder / "jetty.xml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ElementTree.parse(file).getroot().tag == "Configure"


def test_the_command_names_configuration_and_jars_and_no_secret(place: Place) -> None:
    command = ICEBERG_REST.command(place)
    assert command[:2] == ["java", "-Xmx1m"]
    assert "/jars/a.jar:/jars/b.jar" in command
    assert command[-1] == str(place.folder / "jetty.xml")
    # Anybody on the machine can read a command line.
    assert not [
        argument for argument in command if contract_environment(place).aws_secret_access_key in argument
    ]
