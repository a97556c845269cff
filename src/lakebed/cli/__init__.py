"""The command `lakebed`."""

from __future__ import annotations

import os
import signal
import sys

import click

from lakebed.cli.exit_codes import INTERRUPTED, NOBODY_READS, NobodyReads, exit_code_of
from lakebed.cli.json_output import error_json, json_is_asked, show_json


def main() -> None:
    """Run the command and end the process with one of the documented exit codes (see docs/cli.md)."""
    try:
        from lakebed.cli.group import lakebed

        code = lakebed.main(prog_name="lakebed", standalone_mode=False)
        sys.stdout.flush()
    # Abort is what click makes of a KeyboardInterrupt.
    except (KeyboardInterrupt, click.Abort):
        # Everything has been ended: another Ctrl-C would only change what is said and the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _show("interrupted")
        code = INTERRUPTED
    except (BrokenPipeError, NobodyReads):
        _write_to_nobody()
        code = NOBODY_READS
    except Exception as error:
        code = exit_code_of(error)
        _show(error, as_text=code is not None)
        if code is None:
            raise
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: Exception | str, *, as_text: bool = True) -> None:
    """Show an error on standard error, and where JSON is asked for, there too."""
    if as_text:
        from lakebed.cli.output import show_error

        show_error(error)
    if json_is_asked(sys.argv[1:]):
        try:
            show_json(error_json(error))
            sys.stdout.flush()
        except BrokenPipeError:
            _write_to_nobody()


def _write_to_nobody() -> None:
    """Let what is still buffered go nowhere, so that Python does not complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
