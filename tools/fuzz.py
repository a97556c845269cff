"""Search for what makes a parser fail, by what it covers: the properties of tests/security, under Atheris.

    pip install atheris
    python tools/fuzz.py [--seconds 60] [TARGET]...

`make test` tries the same hundred examples of each property every time; this tries others, for as long as it
is let, and steers towards code that was not reached yet. What it finds it prints as the smallest example
that fails: put that into the test (`@example(...)`), and mend the code. Exit code 1 if anything was found.

Source: Hypothesis documentation, "Using Hypothesis with external fuzzers" (`fuzz_one_input`).
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# By target, its module in tests/security and its property. Those that need a fixture are not here.
TARGETS = {
    "answers": ("test_fuzzed_answers", "test_an_answer_is_read_or_refused"),
    "errors": ("test_fuzzed_answers", "test_an_error_from_the_socket_is_one_of_lakebeds"),
    "settings": ("test_fuzzed_settings", "test_settings_that_are_handed_in"),
    "settings-file": ("test_fuzzed_settings", "test_settings_of_a_file"),
    "settings-variables": ("test_fuzzed_settings", "test_settings_of_variables"),
    "masking": ("test_fuzzed_settings", "test_no_password_of_an_url_is_shown"),
    "events": ("test_fuzzed_events", "test_a_message_is_an_event_or_poison"),
    "avro-schemas": ("test_fuzzed_events", "test_a_schema_of_the_registry_may_be_anything"),
    "values": ("test_fuzzed_events", "test_a_value_of_a_type_is_read_or_poison"),
    "socket-lines": ("test_fuzzed_socket", "test_a_line_is_a_message_or_refused"),
    "ledger": ("test_fuzzed_files", "test_a_ledger_is_read_or_refused"),
    "ledger-round-trip": ("test_fuzzed_files", "test_a_ledger_comes_back_as_it_was"),
    "records": ("test_fuzzed_files", "test_a_damaged_record_counts_as_none"),
    "properties": ("test_fuzzed_files", "test_properties_come_back_as_java_reads_them"),
    "coordinates": ("test_fuzzed_files", "test_coordinates_come_back_or_are_refused"),
    "archives": ("test_fuzzed_files", "test_a_tar_archive_is_unpacked_into_its_folder_or_refused_whole"),
}
# An input that takes longer counts as a hang.
HANG_SECONDS = 20
# What is printed of a failure.
_LINES, _WIDTH = 60, 400


def _property(target: str, folder: Path) -> Any:
    """Return a property that keeps what fails in `folder`, and tries that first."""
    from hypothesis import HealthCheck, settings
    from hypothesis.database import DirectoryBasedExampleDatabase

    kept = DirectoryBasedExampleDatabase(folder / "examples")
    settings.register_profile("fuzz", deadline=None, database=kept, suppress_health_check=list(HealthCheck))
    settings.load_profile("fuzz")
    module, name = TARGETS[target]
    return getattr(importlib.import_module(f"tests.security.{module}"), name)


def fuzz_one(target: str, seconds: int, folder: Path) -> None:
    """Fuzz one target in this process, which ends then (Atheris, `Fuzz`)."""
    import atheris

    with atheris.instrument_imports(include=["lakebed"]):
        found = _property(target, folder)
    arguments = [f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}", "-max_len=8192"]
    arguments += ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *arguments], found.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def fuzz(targets: list[str], seconds: int) -> list[str]:
    """Fuzz each target in a process of its own, print what came of it, and return those that failed."""
    failed = []
    for target in targets:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, target, "--seconds", str(seconds), "--folder", folder]
            finished = _run([*command, "--step", "fuzz"])
            replayed = _run([*command, "--step", "replay"]) if finished.returncode else None
        runs = re.search(r"number_of_executed_units:\s*(\d+)", finished.stderr)
        covered = re.findall(r"cov: (\d+)", finished.stderr)
        count = f"{runs[1] if runs else '?'} inputs, {covered[-1] if covered else '?'} branches reached"
        print(f"{target:20} {'failed' if finished.returncode else 'ok':7} {count}", flush=True)
        if replayed is not None:
            failed.append(target)
            # A hang, or memory that ran out, cannot be replayed.
            said = replayed.stderr if replayed.returncode else finished.stderr
            print("\n".join(line[:_WIDTH] for line in said.splitlines()[-_LINES:]), flush=True)
    return failed


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def main() -> int:
    """Fuzz the targets named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=("fuzz", "replay"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]
    if asked.step == "fuzz":
        fuzz_one(asked.targets[0], asked.seconds, asked.folder)
    if asked.step == "replay":
        _property(asked.targets[0], asked.folder)()
        return 0
    unknown = sorted(set(asked.targets) - TARGETS.keys())
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}; known: {', '.join(TARGETS)}")
    return 1 if fuzz(asked.targets or list(TARGETS), asked.seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
