"""The command `lakebed`."""

from __future__ import annotations

import signal
import sys

import click

from lakebed.cli.exit_codes import exit_code_of
from lakebed.cli.output import show_error


def main() -> None:
    """Run the command and end the process with one of the documented exit codes (see docs/cli.md)."""
    try:
        from lakebed.cli.commands import lakebed

        code = lakebed.main(standalone_mode=False)
    # Abort is what click makes of a KeyboardInterrupt.
    except (KeyboardInterrupt, click.Abort):
        # Everything has been ended: another Ctrl-C would only change what is said and the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        show_error("interrupted")
        code = 130
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        show_error(error)
    sys.exit(code if isinstance(code, int) else 0)
