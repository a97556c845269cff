"""A pipeline in a process of its own, which a test kills and brings back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakebed.errors import PipelineFailed
from lakebed.stack.process import ProcessIdentity, kill_process, last_lines
from lakebed.waiting import MORE_PATIENCE, wait_until

if TYPE_CHECKING:
    from lakebed.cdc.pipeline import Target
    from lakebed.pytest_plugin.session import SessionStack

START_SECONDS = 60.0
_END_SECONDS = 15.0


class KillablePipeline:
    """A running pipeline; see `lakebed.cdc.pipeline_process`.

    Attributes:
        targets: which topic goes where.
        commits: the tables it has committed to, in this order, over all its lives.
    """

    def __init__(self, stack: SessionStack, ports: Any, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.commits: list[str] = []
        self._stack = stack
        self._ports = ports
        self._checkpoint = stack.new_folder()
        self._log: Path = self._checkpoint / "process.log"
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: str | None = None
        self._is_moment: Callable[[str], bool] | None = None

    def start(self) -> None:
        """Start the process, and return when its queries run. It goes on where it ended.

        Raises:
            PipelineFailed: it ended instead.
        """
        self._stack.promise("a pipeline's process", _memory_mb())
        asked = {
            "ports": self._ports,
            "settings": self._stack.settings.model_dump(mode="json", context={"secrets": True}),
            "targets": [[target.topic, target.tables] for target in self.targets],
            "checkpoint": str(self._checkpoint / "checkpoint"),
            "folder": str(self._stack.new_folder()),
        }
        self._started.clear()
        self._failure = None
        with self._log.open("ab") as log:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "lakebed.cdc.pipeline_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._stack.record_process(process.pid)
        assert process.stdin is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        wait_until(
            lambda: self._started.is_set() or process.poll() is not None,
            "the pipeline's process to start",
            deadline_seconds=START_SECONDS,
            explain=lambda: last_lines(self._log),
            remedy=MORE_PATIENCE,
        )
        if not self._started.is_set():
            self.raise_if_failed()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            told = json.loads(line)
            if "started" in told:
                self._started.set()
            elif "failed" in told:
                self._failure = told["failed"]
            elif "committed" in told:
                self.commits.append(told["committed"])
                if self._is_moment is not None and self._is_moment(told["committed"]):
                    self._is_moment = None
                    self._end(process)
                    return
                try:
                    process.stdin.write("\n")
                    process.stdin.flush()
                except OSError:
                    return

    def _end(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            kill_process(ProcessIdentity.of(process.pid), _END_SECONDS)
        process.wait(_END_SECONDS)

    def kill(self) -> None:
        """Kill the process and its Spark at once, whatever they are doing."""
        if self._process is not None:
            self._end(self._process)
            assert self._reader is not None
            self._reader.join(_END_SECONDS)
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()
            self._process = None

    def kill_after_commit(self, what: str) -> None:
        """Let the process be killed right after its next commit to a table whose name begins so.

        Nothing happens in it between that commit and its end: `kill_after_commit("delta")` leaves the batch
        half done, with Iceberg's table still to come. `wait_until_killed` waits for it.
        """
        self._is_moment = lambda table: table.startswith(what)

    def wait_until_killed(self, *, deadline_seconds: float = 60.0) -> None:
        """Return when the moment that `kill_after_commit` named has come, and the process is gone.

        Raises:
            PipelineFailed: it has failed before.
            DeadlinePassed: the moment has not come.
        """
        process = self._process
        assert process is not None

        def is_killed() -> bool:
            self.raise_if_failed()
            return self._is_moment is None and process.poll() is not None

        wait_until(
            is_killed,
            "the moment to kill the pipeline",
            deadline_seconds=deadline_seconds,
            explain=lambda: f"commits so far: {self.commits}\n{last_lines(self._log)}",
            remedy=f"see whether there is anything to commit; {MORE_PATIENCE}",
        )
        self.kill()

    def raise_if_failed(self) -> None:
        """Raise what has ended the pipeline by itself.

        Raises:
            PipelineFailed: with the cause, and the end of its log.
        """
        if self._failure is not None or (
            self._process is not None and self._process.poll() not in (None, -9)
        ):
            raise PipelineFailed(
                "run a pipeline in a process of its own",
                f"{self._failure or 'it has ended'}\nthe end of its log:\n{last_lines(self._log)}",
                "correct the cause and start it again",
            )


def _memory_mb() -> int:
    from lakebed.services import spark

    return spark.MEMORY_MB
