"""What the command's exit code says.

0 all is well; 1 something failed; 2 the command line or a setting is wrong; 3 the machine lacks something
(a port, memory, disk, PostgreSQL, Docker Compose, a PySpark it has files for); 4 a server failed;
5 a download failed; 6 tables differ; 130 interrupted; 141 nobody reads what it writes any more.
"""

from __future__ import annotations

import click

from lakebed.errors import (
    ComposeInvalid,
    ComposeUnavailable,
    CredentialsRefused,
    DeadlinePassed,
    DownloadFailed,
    IsAttached,
    LakebedError,
    NotEnoughDisk,
    NotEnoughMemory,
    NotInstalled,
    NotOverwritten,
    PermissionMissing,
    PortTaken,
    ReportImpossible,
    RowsDiffer,
    ServiceFailed,
    SettingsInvalid,
    SparkUnsupported,
    StackFailed,
    UnknownKind,
    UnknownService,
    WrongAddress,
)

FAILED = 1
WRONG_USE = 2
MACHINE_LACKS = 3
SERVER_FAILED = 4
DOWNLOAD_FAILED = 5
ROWS_DIFFER = 6
INTERRUPTED = 130
# As a shell shows a program that SIGPIPE has ended.
NOBODY_READS = 141


class NobodyReads(Exception):
    """What a command writes is not read any more. Click would end with 1 for the BrokenPipeError itself."""


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (click.UsageError, WRONG_USE),
    (click.Abort, INTERRUPTED),
    (UnknownService, WRONG_USE),
    (UnknownKind, WRONG_USE),
    (SettingsInvalid, WRONG_USE),
    (ComposeInvalid, WRONG_USE),
    (NotOverwritten, WRONG_USE),
    (ReportImpossible, WRONG_USE),
    (ComposeUnavailable, MACHINE_LACKS),
    (PortTaken, MACHINE_LACKS),
    (NotEnoughMemory, MACHINE_LACKS),
    (NotEnoughDisk, MACHINE_LACKS),
    (NotInstalled, MACHINE_LACKS),
    (SparkUnsupported, MACHINE_LACKS),
    (ServiceFailed, SERVER_FAILED),
    (WrongAddress, SERVER_FAILED),
    (CredentialsRefused, SERVER_FAILED),
    (PermissionMissing, SERVER_FAILED),
    (IsAttached, WRONG_USE),
    (StackFailed, SERVER_FAILED),
    (DeadlinePassed, SERVER_FAILED),
    (DownloadFailed, DOWNLOAD_FAILED),
    (RowsDiffer, ROWS_DIFFER),
    (LakebedError, FAILED),
    (click.ClickException, FAILED),
)


def exit_code_of(error: Exception) -> int | None:
    """Return the exit code for an error, or None for one that is lakebed's own fault (show its traceback)."""
    for error_type, code in _CODES:
        if isinstance(error, error_type):
            return code
    return None
