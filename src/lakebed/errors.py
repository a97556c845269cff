"""The errors lakebed raises.

Every message has three parts: what was attempted, what was seen, what to do.
Values that a configuration model refuses raise plain `ValueError` or `TypeError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakebed.cdc.difference import Differences


class LakebedError(Exception):
    """Base of every error of lakebed; catching it catches them all.

    Attributes:
        attempted: what lakebed was doing, a phrase ("start kafka").
        seen: what happened instead, possibly with log lines.
        remedy: what the reader can do about it.
    """

    def __init__(self, attempted: str, seen: str = "", remedy: str = "") -> None:
        self.attempted = attempted
        self.seen = seen
        self.remedy = remedy
        parts = [attempted]
        if seen:
            parts.append(f"  seen: {seen}")
        if remedy:
            parts.append(f"  do:   {remedy}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[type[LakebedError], tuple[str, str, str]]:
        return type(self), (self.attempted, self.seen, self.remedy)


class DeadlinePassed(LakebedError):
    """A fact that was waited for did not come true in time."""


class UnknownService(LakebedError):
    """A service was named that lakebed does not have."""


class PortTaken(LakebedError):
    """A port that a service must listen on is held by another process."""


class NotEnoughMemory(LakebedError):
    """The services asked for need more memory than the machine or its cgroup has."""


class NotEnoughDisk(LakebedError):
    """The folder for data or downloads has too little room."""


class ServiceFailed(LakebedError):
    """A server exited or stayed unhealthy while it was being started."""


class StackFailed(LakebedError):
    """The stack as a whole could not be reached, started or stopped."""


class OtherVersion(StackFailed):
    """The stack that runs was started by a version of lakebed that this one cannot talk to."""


class AttachDiffers(StackFailed):
    """The stack that runs uses other servers of somebody else's than these settings name."""


class WrongAddress(LakebedError):
    """An address of the setting `attach` is not reached, or something else than expected answers there."""


class CredentialsRefused(LakebedError):
    """A server of the setting `attach` does not let these credentials in."""


class PermissionMissing(LakebedError):
    """Servers of the setting `attach` do not allow what tests need; `remedy` says how to grant it."""


class IsAttached(LakebedError):
    """A server was to be killed or started that somebody else runs."""


class NotOurs(LakebedError):
    """Something was recorded, to be removed later, that was there before on a server of somebody else's."""


class LedgerUnreadable(StackFailed):
    """The record of what clients made in a stack is damaged or of another version."""


class NotInstalled(LakebedError):
    """A setting asks for the server that is installed on this machine, and there is none that can be used."""


class ComposeUnavailable(LakebedError):
    """Docker, its Compose plugin or its engine is not there, or does not answer."""


class ComposeInvalid(LakebedError):
    """What was asked for makes no Compose file that works."""


class NotOverwritten(LakebedError):
    """A file was not written because one is there that lakebed did not write as it is."""


class ReportImpossible(LakebedError):
    """The report that was asked for cannot be made: its extra is not installed, or its file not written."""


class UnknownKind(LakebedError):
    """A kind of resource was named that no service has."""


class SparkUnsupported(LakebedError):
    """The PySpark that is installed is of a release for which lakebed has no Delta Lake and Iceberg."""


class DownloadFailed(LakebedError):
    """A file could not be downloaded."""


class CorruptDownload(DownloadFailed):
    """A downloaded file is not the one that was locked: its size or sha256 differs."""


class ConnectorFailed(LakebedError):
    """A connector or one of its tasks is FAILED; `seen` holds the task's trace."""


class NeverStreams(LakebedError):
    """A connector was waited for to stream whose configuration says that it does not."""


class SnapshotFailed(LakebedError):
    """A snapshot was aborted, or nothing would tell of its end."""


class ConnectRefused(LakebedError):
    """Kafka Connect answered a request with an error."""


class SettingsInvalid(LakebedError):
    """A setting has an unknown name or an impossible value."""


class RowsDiffer(LakebedError, AssertionError):
    """Two tables that must hold the same rows do not.

    Attributes:
        differences: counts of all, and the first of each kind, as data; None where nothing could be compared.
    """

    def __init__(
        self, attempted: str, seen: str = "", remedy: str = "", differences: Differences | None = None
    ) -> None:
        super().__init__(attempted, seen, remedy)
        self.differences = differences

    def __reduce__(self) -> tuple[type[RowsDiffer], tuple[str, str, str, Differences | None]]:  # type: ignore[override]
        return type(self), (self.attempted, self.seen, self.remedy, self.differences)


class NotConverged(RowsDiffer):
    """Two tables did not become the same in time; `seen` holds what differed last."""


class NotComparable(LakebedError):
    """Two tables cannot be compared as asked: a wrong kind of value, key, column or type."""


class RowsUnreadable(LakebedError):
    """The rows of a table cannot be read as Arrow."""


class TableUnknown(LakebedError):
    """There is no table of that name or at that path."""


class VersionUnknown(LakebedError):
    """A table has no such version or snapshot, or none at that time."""


class VersionExpired(LakebedError):
    """A version or snapshot of a table was there, but its files or its log have been cleaned up."""


class ChangeFeedDisabled(LakebedError):
    """A Delta table did not record its changes in the versions asked for."""


class ChangeFeedRangeInvalid(LakebedError):
    """The range asked of a change feed contradicts itself."""


class ChangeFeedUnavailable(LakebedError):
    """A change feed cannot be told truly from what the table holds."""


class NoChangeEvents(LakebedError):
    """Change events were asked for that no connector of the test brings."""


class PoisonMessage(LakebedError):
    """A message in a change topic is no change event, or one of its values is not what its schema says."""


class CleanUpIncomplete(LakebedError):
    """Something that a test made could not be removed."""


class PipelineFailed(LakebedError):
    """A pipeline cannot take in a change, or its query has ended with an error."""
