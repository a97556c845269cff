"""`lakebed sbom`: all that lakebed runs from, as a software bill of materials in CycloneDX's format.

Source: CycloneDX v1.6 JSON Reference; purl specification, types `maven` and `pypi`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakebed import __version__
from lakebed.cli.group import lakebed
from lakebed.cli.options import json_option
from lakebed.config.settings import load_settings
from lakebed.errors import LakebedError
from lakebed.provision.cache import cache_folder
from lakebed.provision.lock import Artifact, artifacts_of, sets_here
from lakebed.provision.provide import unpacked_folder

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License

_OURS = "lakebed"
# What they are needed for is working on lakebed itself.
_EXTRAS_OF_DEVELOPERS = frozenset({"dev"})
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_JAR = re.compile(r"(.+?)-(\d[^/]*)")
_LONGEST_LICENCE_NAME = 100


@lakebed.command()
@click.option(
    "--requirements",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A requirements file with hashes, for those of the Python packages.",
)
@json_option
def sbom(requirements: Path | None, as_json: bool) -> None:
    """Print a software bill of materials: CycloneDX 1.6, JSON.

    The Python packages that lakebed uses here, with their licences; every file it downloads for this machine,
    with sha256 and licences; the jars in PySpark and in archives that are unpacked. Needs lakebed[sbom].
    It is JSON in any case; with --json an error is, too.
    """
    click.echo(bill_of_materials(_pinned(requirements) if requirements is not None else {}))


def bill_of_materials(sha256_by_package: Mapping[tuple[str, str], Iterable[str]]) -> str:
    """Return the bill as JSON.

    Args:
        sha256_by_package: by name and version of a Python package, the hashes of its files.

    Raises:
        LakebedError: the library that writes it is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.output.json import JsonV1Dot6
    except ImportError as error:
        raise LakebedError(
            "write a software bill of materials", str(error), "pip install 'lakebed[sbom]'"
        ) from error
    bom = Bom()
    packages = _packages()
    components = {name: _package(packages[name], sha256_by_package) for name in packages}
    own = components.pop(_OURS)
    bom.metadata.component = own
    files = [_file(artifact) for artifact in artifacts_of(sets_here())]
    for component in (*components.values(), *files):
        bom.components.add(component)
    _note_dependencies(bom, packages, {_OURS: own, **components}, files)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _note_dependencies(
    bom: Bom,
    packages: Mapping[str, importlib.metadata.Distribution],
    components: Mapping[str, Component],
    files: list[Component],
) -> None:
    for name, component in components.items():
        # Of its extras some name lakebed itself.
        others = [needed for needed in _needed(packages[name]) if needed in components and needed != name]
        needs = [components[needed] for needed in others]
        bom.register_dependency(component, [*needs, *(files if name == _OURS else [])])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(package: importlib.metadata.Distribution, extras: Iterable[str] = ()) -> dict[str, set[str]]:
    """Return, by package that one needs here, the extras of it that are asked for."""
    from packaging.requirements import Requirement

    if _canonical(package.name) == _OURS:
        extras = set(package.metadata.get_all("Provides-Extra") or ()) - _EXTRAS_OF_DEVELOPERS
    needed: dict[str, set[str]] = {}
    for text in package.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            needed.setdefault(_canonical(requirement.name), set()).update(requirement.extras)
    return needed


def _packages() -> dict[str, importlib.metadata.Distribution]:
    """Return lakebed and the installed ones of all that it needs, by canonical name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    extras: dict[str, set[str]] = {_OURS: set()}
    open_names = [_OURS]
    while open_names:
        name = open_names.pop()
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # an extra that is not installed
            continue
        found[name] = package
        for needed, asked in _needed(package, extras[name]).items():
            if needed not in found or not asked <= extras[needed]:
                extras.setdefault(needed, set()).update(asked)
                open_names.append(needed)
    return dict(sorted(found.items()))


def _package(
    package: importlib.metadata.Distribution, sha256_by_package: Mapping[tuple[str, str], Iterable[str]]
) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    name = _canonical(package.name)
    is_own = name == _OURS
    version = __version__ if is_own else package.version
    purl = PackageURL("pypi", None, name, version)
    hashes = [
        HashType(alg=HashAlgorithm.SHA_256, content=one) for one in sha256_by_package.get((name, version), ())
    ]
    distributions = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=hashes
    )
    return Component(
        name=name,
        version=version,
        type=ComponentType.APPLICATION if is_own else ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=_licences(_declared(package)),
        external_references=[distributions] if hashes else [],
        components=_jars_in(_jar_folder(package), str(purl)),
    )


def _declared(package: importlib.metadata.Distribution) -> list[str]:
    metadata = package.metadata
    if "License-Expression" in metadata:
        return [metadata["License-Expression"]]
    classifiers = metadata.get_all("Classifier") or []
    named = [
        one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: OSI Approved :: ")
    ]
    text = metadata["License"].strip() if "License" in metadata else ""
    # Some have the licence's whole text there.
    short = text if "\n" not in text and len(text) < _LONGEST_LICENCE_NAME else ""
    return named or ([short] if short else [])


def _licences(names: Iterable[str]) -> list[License]:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    made = [LicenseFactory().make_from_string(name) for name in names]
    if len(made) > 1:
        # An expression stands alone, or not at all (CycloneDX, "licenses").
        return [
            DisjunctiveLicense(name=one.value) if isinstance(one, LicenseExpression) else one for one in made
        ]
    return list(made)


def _file(artifact: Artifact) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    qualifiers = {"type": artifact.extension}
    if artifact.classifier:
        qualifiers["classifier"] = artifact.classifier
    purl = PackageURL("maven", artifact.group, artifact.name, artifact.version, qualifiers)
    return Component(
        group=artifact.group,
        name=artifact.name,
        version=artifact.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=artifact.sha256)],
        licenses=_licences(artifact.licences),
        components=_jars_in(_unpacked(artifact), str(purl)),
    )


def _unpacked(artifact: Artifact) -> Path | None:
    """Return where an archive of jars is unpacked, if it is."""
    if artifact.extension == "jar":
        return None
    cache = cache_folder(load_settings().cache_folder)
    (name,) = (name for name in sets_here() if artifact in artifacts_of([name]))
    return unpacked_folder(name, artifact, cache)


def _jar_folder(package: importlib.metadata.Distribution) -> Path | None:
    """Return where a Python package has jars, if it is one of those."""
    if _canonical(package.name) != "pyspark":
        return None
    return Path(str(package.locate_file("pyspark"))) / "jars"


def _jars_in(folder: Path | None, of: str) -> Iterator[Component]:
    """Return the jars below a folder: by file name, which is all that they say of themselves alike."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    for jar in sorted(folder.rglob("*.jar")) if folder is not None else ():
        split = _JAR.fullmatch(jar.stem)
        yield Component(
            name=split[1] if split else jar.stem,
            version=split[2] if split else None,
            type=ComponentType.LIBRARY,
            bom_ref=f"{of}#{jar.name}",
            hashes=[
                HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(jar.read_bytes()).hexdigest())
            ],
        )


def _pinned(requirements: Path) -> dict[tuple[str, str], list[str]]:
    """Return the hashes in a requirements file as pip, uv and pip-tools write it."""
    found: dict[tuple[str, str], list[str]] = {}
    hashes: list[str] = []
    for line in requirements.read_text().splitlines():
        if start := _PINNED.match(line):
            hashes = found.setdefault((_canonical(start[1]), start[2]), [])
        hashes += _SHA256.findall(line)
    return found
