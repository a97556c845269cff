"""The command `lakebed`."""

from __future__ import annotations

import sys

from lakebed.cli.exit_codes import exit_code_of
from lakebed.cli.output import show_error


def main() -> None:
    """Run the command and end the process with one of the documented exit codes (see docs/cli.md)."""
    from lakebed.cli.commands import lakebed

    try:
        code = lakebed.main(standalone_mode=False)
    except KeyboardInterrupt:
        show_error("interrupted")
        code = 130
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        show_error(error)
    sys.exit(code if isinstance(code, int) else 0)
