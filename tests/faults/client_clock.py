"""A flow through the S3 store whose writer is a process of its own, with a clock that can jump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.faults.flows import Flow, Objects

_ROOT = Path(__file__).parents[2]
_SECONDS = 20


class ObjectsWithClock:
    """What `Objects` does, with other variables.

    Args:
        flow: whose table it is; reads what has arrived.
        environment: more variables for the process that writes.
    """

    weight_bytes = 0
    patience_seconds = 30.0

    def __init__(self, flow: Flow, environment: Mapping[str, str]) -> None:
        assert isinstance(flow, Objects)
        self._flow = flow
        self._environment = environment

    def _run(self, number: int | None) -> None:
        call = {"path": self._flow.path, "options": self._flow.options, "endpoint": self._flow.endpoint}
        finished = subprocess.run(
            [sys.executable, "-m", "tests.faults.client_clock"],
            input=json.dumps({**call, "number": number}),
            env={**os.environ, **self._environment},
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS * 3,
        )
        if finished.returncode != 0:
            raise OSError(finished.stderr.strip().splitlines()[-1])

    def commit(self, number: int) -> None:
        self._run(number)

    def ask(self) -> None:
        self._run(None)

    def read(self) -> set[int]:
        return self._flow.read()

    def arrive(self) -> set[int]:
        return self._flow.arrive()


def main() -> None:
    """Do what is asked for on standard input."""
    call = json.loads(sys.stdin.read())
    flow = Objects(call["options"], call["path"], call["endpoint"])
    if call["number"] is None:
        flow.read()
    else:
        flow.commit(call["number"])


if __name__ == "__main__":
    main()
