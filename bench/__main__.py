"""Run measurements and print their tables: `python -m bench [NAME]...`."""

from __future__ import annotations

from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from bench import (
    attach,
    comparison,
    example,
    fixtures,
    lake_tables,
    latency,
    registry,
    scaling,
    spark,
    start,
    sustained,
    throughput,
)

BENCHES: dict[str, Callable[[int], Table]] = {
    "start": start.run,
    "attach": attach.run,
    "fixtures": fixtures.run,
    "latency": latency.run,
    "throughput": throughput.run,
    "sustained": sustained.run,
    "registry": registry.run,
    "spark": spark.run,
    "comparison": comparison.run,
    "example": example.run,
    "scaling": scaling.run,
    "lake_tables": lake_tables.run,
}
# Take many minutes: only when they are named.
LONG = ("example", "scaling", "lake_tables")


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)), metavar=f"[{'|'.join(BENCHES)}]...")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(min=1), help="Measure so often.")
def main(names: tuple[str, ...], rounds: int) -> None:
    """Measure lakebed on this machine. Without names: all that is quick."""
    console = Console(soft_wrap=False)
    for name in names or [name for name in BENCHES if name not in LONG]:
        console.print(BENCHES[name](rounds))
        console.print()


if __name__ == "__main__":
    main(prog_name="python -m bench")
