"""`lakebed completion`: the script with which a shell completes lakebed's commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from lakebed.cli.group import lakebed

SHELLS = ("bash", "zsh", "fish")


@lakebed.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script with which a shell completes lakebed's commands, options, services and topics.

    \b
    bash: put   eval "$(lakebed completion bash)"       into ~/.bashrc
    zsh:  put   eval "$(lakebed completion zsh)"        into ~/.zshrc
    fish: write lakebed completion fish   to   ~/.config/fish/completions/lakebed.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(lakebed, {}, "lakebed", "_LAKEBED_COMPLETE").source())
