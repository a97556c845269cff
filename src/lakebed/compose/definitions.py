"""Which services a Compose file can have, and which of them belong together. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from lakebed.config.settings import Settings
from lakebed.errors import SettingsInvalid, UnknownService
from lakebed.services import KNOWN_SERVICES, SERVICE_NAMES
from lakebed.services.container import Container
from lakebed.services.spark_containers import SPARK_MASTER, SPARK_WORKER
from lakebed.stack.plan import needed_first

T = TypeVar("T")


@dataclass(frozen=True)
class Definition:
    """A service of a Compose file.

    Attributes:
        name: as typed in `lakebed up NAME`; its name in the file is that of the container.
        title: what it is, in a few words.
        container: what it is in the file.
        other_names: further names it is found by.
        on_request: whether it is in a file only where it is named.
    """

    name: str
    title: str
    container: Container
    other_names: tuple[str, ...] = ()
    on_request: bool = False


DEFINITIONS: tuple[Definition, ...] = (
    *(
        Definition(
            service.name,
            service.title,
            service.container,
            service.other_names,
            on_request=service.name not in SERVICE_NAMES,
        )
        for service in KNOWN_SERVICES
        if service.container is not None
    ),
    Definition("spark-master", "Spark standalone master", SPARK_MASTER),
    # Its worker needs the master, so this name brings both.
    Definition("spark-worker", "Spark standalone worker", SPARK_WORKER, ("spark", "spark-cluster")),
)

DEFINITION_NAMES: tuple[str, ...] = tuple(definition.name for definition in DEFINITIONS)

PROFILES: tuple[str, ...] = tuple(dict.fromkeys(one.container.profile for one in DEFINITIONS))


def definition_named(name: str) -> Definition:
    """Return the definition of that name, or of one of its other names ("minio", "spark").

    Raises:
        UnknownService: listing the known names.
    """
    for definition in DEFINITIONS:
        if name == definition.name or name in definition.other_names:
            return definition
    raise UnknownService(
        f"find the service {name!r}",
        "lakebed has no such service for Compose",
        f"known services: {', '.join(DEFINITION_NAMES)}",
    )


def definitions_for(names: Iterable[str]) -> list[Definition]:
    """Return the named services and all they need as containers, needed ones first.

    Args:
        names: names as in `lakebed up NAME`; none at all means every service but those on request.

    Raises:
        UnknownService: for a name that has no definition.
    """
    asked = [definition_named(name) for name in names] or [one for one in DEFINITIONS if not one.on_request]
    return needed_first(asked, lambda one: [definition_named(name) for name in one.container.needs])


def refuse_clusters(names: Iterable[str], settings: Settings) -> None:
    """Refuse settings that ask for several servers of a service: as containers there is one of each.

    Args:
        names: of services that are to be containers.
        settings: `kafka_brokers` and `connect_workers`.

    Raises:
        SettingsInvalid: naming the setting.
    """
    wanted = {definition_named(name).name for name in names}
    for service, (setting, size) in settings.cluster_sizes.items():
        if service in wanted and size > 1:
            raise SettingsInvalid(
                "write the services as containers",
                f"the setting {setting} is {size}, and as a container there is one {service}",
                f"take {setting} out for containers; with the runtime native there can be {size}",
            )


def images_for(names: Iterable[str], settings: Settings) -> dict[str, str]:
    """Return the images that settings choose, by the names of the services: of a version, or by themselves.

    Args:
        names: names as in `lakebed up NAME`.
        settings: `images`, and those that choose a version.

    Raises:
        SettingsInvalid: the version is the one that is installed on this machine, of which there is no image.
        UnknownService: an image is for a service that has no definition.
    """
    images = values_for(names, settings.images)
    for definition in (definition_named(name) for name in names):
        if definition.name in images or definition.container.image_for is None:
            continue
        try:
            images[definition.name] = definition.container.image_for(settings)
        except KeyError as error:
            raise SettingsInvalid(
                "write the services as containers",
                f"the setting postgres_version is {error.args[0]}; containers do not run what is installed",
                f"set postgres_version to a number, or {definition.name} in the setting images to an image",
            ) from None
    return images


def values_for(names: Iterable[str], values: Mapping[str, T]) -> dict[str, T]:
    """Return what a setting says of some services, by their names; that of others is for another time.

    Args:
        names: names as in `lakebed up NAME`.
        values: by any name of a service.

    Raises:
        UnknownService: a value is for a service that has no definition.
    """
    wanted = {definition_named(name).name for name in names}
    by_name = {definition_named(name).name: value for name, value in values.items()}
    return {name: value for name, value in by_name.items() if name in wanted}
