"""Options and arguments that several commands have. Imports nothing of the other rooms before it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from lakebed.cli.names import CONTAINER_NAMES, GROUP_NAMES, ON_REQUEST_NAMES, RUNTIMES, SERVICE_NAMES

if TYPE_CHECKING:
    TextType = click.ParamType[str]
else:
    # Not generic before click 8.5.
    TextType = click.ParamType

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option = click.option(
    "--json", "as_json", is_flag=True, help="JSON on standard output, errors too; see docs/cli.md."
)

runtime_option = click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    help="Plain processes, or containers by Docker Compose; over the setting `runtime`.",
)


class Name(TextType):
    """A name that is checked where it is used, and of which a shell completes the known ones.

    Args:
        known: the names, those of native services and those of containers together.
        ending: what follows a name ("=").
    """

    name = "name"

    def __init__(self, *known: str, ending: str = "") -> None:
        self._known = known
        self._ending = ending

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the known names that begin so."""
        return [CompletionItem(f"{name}{self._ending}") for name in _with_prefix(self._known, incomplete)]


def _with_prefix(names: Sequence[str], prefix: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(prefix)]


NATIVE_NAMES = (*SERVICE_NAMES, *ON_REQUEST_NAMES)
ANY_NAMES = (*NATIVE_NAMES, *CONTAINER_NAMES)


def services_argument(*more: str) -> Decorator:
    """Return the argument `[SERVICE]...`, as `services`, with these further names."""
    metavar = "|".join(("SERVICE", *(name for name in more if name not in GROUP_NAMES)))
    return click.argument("services", nargs=-1, metavar=f"[{metavar}]...", type=Name(*ANY_NAMES, *more))


def _ports(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, int]:
    """Read the values of `--port`: by name as it was written, the number. Whose names, says the runtime."""
    found: dict[str, int] = {}
    for value in values:
        name, _, number = value.partition("=")
        if not name or not number.isdigit() or not 1 <= int(number) <= 65535:
            raise click.BadParameter(f"{value!r}: write SERVICE=NUMBER with a number from 1 to 65535")
        found[name] = int(number)
    return found


def _images(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read the values of `--image`: by service name, the image."""
    found: dict[str, str] = {}
    for value in values:
        name, _, image = value.partition("=")
        if not name or not image:
            raise click.BadParameter(f"{value!r}: write SERVICE=IMAGE")
        from lakebed.compose.definitions import definition_named

        found[definition_named(name).name] = image
    return found


def _attach(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Read the values of `--attach`: by service name, the address."""
    found: dict[str, str] = {}
    for value in values:
        name, separator, address = value.partition("=")
        if not separator or not address:
            raise click.BadParameter("write SERVICE=ADDRESS, such as kafka=broker:9092")
        from lakebed.services import service_named

        found[service_named(name).name] = address
    return found


def port_option(help_text: str) -> Decorator:
    """Return the option `--port SERVICE=NUMBER`, as the argument `chosen_ports`, names as written."""
    return _repeated("--port", "chosen_ports", "SERVICE=NUMBER", _ports, ANY_NAMES, help_text)


def image_option(help_text: str) -> Decorator:
    """Return the option `--image SERVICE=IMAGE`, as the argument `chosen_images`."""
    return _repeated("--image", "chosen_images", "SERVICE=IMAGE", _images, CONTAINER_NAMES, help_text)


def attach_option(help_text: str) -> Decorator:
    """Return the option `--attach SERVICE=ADDRESS`, as the argument `attach`."""
    return _repeated("--attach", "attach", "SERVICE=ADDRESS", _attach, SERVICE_NAMES, help_text)


def _repeated(
    option: str,
    argument: str,
    form: str,
    read: Callable[..., Any],
    names: tuple[str, ...],
    help_text: str,
) -> Decorator:
    return click.option(
        option,
        argument,
        multiple=True,
        metavar=form,
        type=Name(*names, ending="="),
        callback=read,
        help=help_text,
    )
