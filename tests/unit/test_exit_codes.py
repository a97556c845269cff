"""The exit codes of the command."""

from __future__ import annotations

import inspect

import click
import pytest

import lakebed.errors
from lakebed.cli.exit_codes import exit_code_of
from lakebed.errors import LakebedError

_CODES = {
    "LakebedError": 1,
    "ConnectorFailed": 1,
    "ConnectRefused": 1,
    "NeverStreams": 1,
    "SnapshotFailed": 1,
    "CleanUpIncomplete": 1,
    "PipelineFailed": 1,
    "PoisonMessage": 1,
    "NoChangeEvents": 1,
    "NotComparable": 1,
    "RowsUnreadable": 1,
    "TableUnknown": 1,
    "VersionUnknown": 1,
    "VersionExpired": 1,
    "ChangeFeedDisabled": 1,
    "ChangeFeedRangeInvalid": 1,
    "ChangeFeedUnavailable": 1,
    "UnknownService": 2,
    "SettingsInvalid": 2,
    "ComposeInvalid": 2,
    "NotOverwritten": 2,
    "ReportImpossible": 2,
    "ComposeUnavailable": 3,
    "PortTaken": 3,
    "NotEnoughMemory": 3,
    "NotEnoughDisk": 3,
    "NotInstalled": 3,
    "SparkUnsupported": 3,
    "ServiceFailed": 4,
    "StackFailed": 4,
    "OtherVersion": 4,
    "AttachDiffers": 4,
    "WrongAddress": 4,
    "CredentialsRefused": 4,
    "PermissionMissing": 4,
    "IsAttached": 2,
    "NotOurs": 1,
    "LedgerUnreadable": 4,
    "UnknownKind": 2,
    "DeadlinePassed": 4,
    "DownloadFailed": 5,
    "CorruptDownload": 5,
    "RowsDiffer": 6,
    "NotConverged": 6,
}


def test_every_error_of_lakebed_has_its_documented_code() -> None:
    errors = [
        kind
        for _, kind in inspect.getmembers(lakebed.errors, inspect.isclass)
        if issubclass(kind, LakebedError)
    ]
    assert {kind.__name__: exit_code_of(kind("attempt")) for kind in errors} == _CODES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (click.UsageError("no such option"), 2),
        (click.BadParameter("no number"), 2),
        (click.ClickException("other"), 1),
        (click.Abort(), 130),
    ],
)
def test_click_has_its_codes_too(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code


def test_a_mistake_of_our_own_has_none() -> None:
    assert exit_code_of(ZeroDivisionError()) is None
