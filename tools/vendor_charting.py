"""Take the charting library of the report from the npm registry, and write down what it is.

`python tools/vendor_charting.py` with the versions below. What it writes is committed: a report is made
without any network, and a test compares the files with their sums.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src/lakebed/report/charting"

# Package, version, the file that is embedded.
FILES = (
    ("vega", "6.4.0", "build/vega.min.js"),
    ("vega-lite", "6.5.0", "build/vega-lite.min.js"),
    ("vega-interpreter", "2.3.2", "build/vega-interpreter.js"),
)


def vendor(package: str, version: str, file: str, folder: Path) -> dict[str, object]:
    """Write one file and its licence, and return what the lock says of it."""
    command = ["npm", "pack", f"{package}@{version}", "--json", "--pack-destination", str(folder)]
    packed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]
    with tarfile.open(folder / packed["filename"]) as archive:
        content, licence, described = (
            _read(archive, name) for name in (f"package/{file}", "package/LICENSE", "package/package.json")
        )
    name = Path(file).name
    (FOLDER / name).write_bytes(content)
    (FOLDER / f"{package}.LICENSE").write_bytes(licence)
    return {
        "package": package,
        "version": version,
        "licence": json.loads(described)["license"],
        "integrity": packed["integrity"],
        "file": name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"the package has no {name}")
    return member.read()


def main() -> None:
    """Write all files and the lock."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        locked = [vendor(*file, Path(folder)) for file in FILES]
    (FOLDER / "lock.json").write_text(json.dumps(locked, indent=2) + "\n")


if __name__ == "__main__":
    main()
