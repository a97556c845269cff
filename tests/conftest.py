"""What all tests share: folders for stacks of their own, the environment of processes, runs inside a test."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# httpx imports it when it is first used. `pytester` forgets what a test has imported; httpx would know the
# exceptions of one copy and get those of another.
import httpcore  # noqa: F401
import psutil
import pytest

import lakebed
from lakebed.config.settings import load_settings
from lakebed.provision.cache import cache_folder
from lakebed.waiting import PATIENCE, wait_until

if TYPE_CHECKING:
    import psycopg

    from lakebed.clients.connector import Connector
    from lakebed.pytest_plugin.session import SessionStack

pytest_plugins = ["pytester"]

# Children run in other folders, where a relative entry would mean something else.
if "PYTHONPATH" in os.environ:
    os.environ["PYTHONPATH"] = os.pathsep.join(
        map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep))
    )

# A shell that starts tests in the background has them ignore Ctrl-C, and with them whatever they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

WITHOUT = (
    *("cacheprovider", "randomly", "asyncio", "anyio", "pytest_cov", "rerunfailures", "timeout"),
    "hypothesispytest",
)
"""Plugins that a run inside a test is without, unless it names them with `-p`: its tests run once, in the
order they are written."""

NewFolder = Callable[[], AbstractContextManager[Path]]
RunTests = Callable[..., pytest.RunResult]
TopicEvents = Callable[[str], list[tuple[Any, Any]]]
EventsUntilNow = Callable[["Connector", str], list[dict[str, Any]]]


def processes_that_name(folder: Path) -> list[psutil.Process]:
    """Return the processes with `folder` in their command line; every process of a stack has it there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in argument for argument in process.cmdline()):
                found.append(process)
    return found


@contextlib.contextmanager
def _folder_for_stacks() -> Iterator[Path]:
    # Short, because the path of a unix socket may have 107 bytes (Linux manual, unix(7)).
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) < 30 else "/tmp"
    base = Path(tempfile.mkdtemp(prefix="lb-", dir=short))
    # PostgreSQL's user must be able to pass through.
    base.chmod(0o711)
    stacks = base / "stacks"
    try:
        yield stacks
        # A supervisor whose last client was killed ends by itself, a moment after its stack is gone.
        wait_until(
            lambda: not processes_that_name(stacks),
            "every process of the test's stacks to end",
            deadline_seconds=15,
            explain=lambda: str(processes_that_name(stacks)),
        )
        assert not stacks.exists() or list(stacks.iterdir()) == []
    finally:
        for process in processes_that_name(stacks):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="session")
def new_stacks_folder() -> NewFolder:
    """Open folders for stacks; when one is closed, no process and no stack may be left in it."""
    return _folder_for_stacks


@pytest.fixture
def stacks(new_stacks_folder: NewFolder) -> Iterator[Path]:
    """A folder for the stacks of one test."""
    with new_stacks_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def child_environment() -> Callable[[Path], dict[str, str]]:
    """Make the environment of a child whose stacks are in a given folder: same cache, no settings of ours."""
    cache = cache_folder(load_settings().cache_folder)
    sources = [str(Path(lakebed.__file__).parents[1])]
    sources += [entry for entry in (os.environ.get("PYTHONPATH"),) if entry]

    def environment(folder: Path) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name == PATIENCE or not name.startswith(("LAKEBED_", "PYTEST_"))
        }
        return kept | {
            "LAKEBED_DATA_FOLDER": str(folder),
            "LAKEBED_CACHE": str(cache),
            "PYTHONPATH": os.pathsep.join(sources),
            # The width of tables, wherever the tests run.
            "COLUMNS": "200",
        }

    return environment


@pytest.fixture
def topic_events(lakebed_stack: SessionStack) -> TopicEvents:
    """Read a whole topic of JSON, up to its present end: (key, value) of each event, in order."""
    bootstrap_servers = lakebed_stack.need("kafka").kafka_bootstrap_servers

    def events(topic: str) -> list[tuple[Any, Any]]:
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": f"all-of-{topic}"})
        try:
            partition = TopicPartition(topic, 0, 0)
            try:
                _, end = consumer.get_watermark_offsets(partition, timeout=10)
            except KafkaException:  # nothing was written: there is no such topic
                return []
            consumer.assign([partition])
            found: list[tuple[Any, Any]] = []
            while len(found) < end:
                message = consumer.poll(10)
                assert message is not None, f"{len(found)} of {end} events in {topic}"
                key, value = message.key(), message.value()
                found.append((json.loads(key or b"null"), json.loads(value or b"null")))
            return found
        finally:
            consumer.close()

    return events


@pytest.fixture
def events_until_now(
    postgres_connection: psycopg.Connection[Any], topic_events: TopicEvents
) -> EventsUntilNow:
    """Read the changes of a table that were committed before the call, tombstones left out."""

    def events(connector: Connector, table: str) -> list[dict[str, Any]]:
        connector.wait_until_acknowledged(postgres_connection)
        return [value for _, value in topic_events(connector.topic(table)) if value is not None]

    return events


@pytest.fixture
def run_tests(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    stacks: Path,
    child_environment: Callable[[Path], dict[str, str]],
) -> RunTests:
    """Run pytest on files in a process and with a stack of its own.

    Called with options for pytest and, by name, the contents of `<name>.py`. When the test is over, nothing
    of the inner stack may be left.
    """
    for name, value in child_environment(stacks).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LAKEBED_STACK", raising=False)
    # Installed, lakebed is found by its entry point.
    installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "lakebed" in installed else ["-p", "lakebed.pytest_plugin"]

    def run(*options: str, **files: str) -> pytest.RunResult:
        if files:
            pytester.makepyfile(**files)
        return pytester.runpytest_subprocess(
            *(word for name in WITHOUT for word in ("-p", f"no:{name}")),
            *plugin,
            *options,
        )

    return run
