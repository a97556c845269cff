"""The group of all commands; each is imported only when it is called.

Pattern: Click documentation, "Complex Applications", section "Lazily Loading Subcommands". A press of the
Tab key imports next to nothing, and `lakebed up` not what `lakebed tail` needs.
"""

from __future__ import annotations

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem

from lakebed.cli.exit_codes import NobodyReads

# By name, the module that adds the command to the group, and what `lakebed --help` says of it.
COMMANDS: dict[str, tuple[str, str]] = {
    "completion": ("completion", "Print the script with which a shell completes lakebed's commands."),
    "compose": ("compose", "The services as a Docker Compose file."),
    "demo": ("commands", "Send real data through the whole chain and prove that it arrived."),
    "doctor": ("doctor", "Look for what would keep a stack from starting, with remedies."),
    "down": ("commands", "Stop the running stack and delete its data."),
    "env": ("commands", "Print the running stack's addresses as shell exports."),
    "logs": ("logs", "Print the logs of services of the running stack."),
    "prefetch": ("commands", "Download all that services (and Spark) run from."),
    "sbom": ("sbom", "Print a software bill of materials of what lakebed runs from."),
    "status": ("status", "Show the services of the running stack with their states."),
    "tail": ("tail", "Show the messages of topics, decoded, as they come."),
    "ui": ("ui", "Show the running stack in a browser."),
    "up": ("commands", "Start services on their well-known ports and leave them running."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name, and imports them when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of that name."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            importlib.import_module(f"lakebed.cli.{COMMANDS[cmd_name][0]}")
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            NobodyReads: whoever read its output has gone.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise NobodyReads from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(COMMANDS.items())])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, without importing the commands."""
        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in sorted(COMMANDS.items())
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


def _show_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from lakebed import __version__

        click.echo(f"lakebed, version {__version__}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def lakebed() -> None:
    """A real change-data-capture lakehouse for your tests, with no Docker daemon.

    Exit codes: 0 all is well; 1 failed; 2 wrong use; 3 the machine lacks a port, memory, disk or Docker;
    4 a server failed; 5 a download failed; 6 tables differ; 130 interrupted.
    """
