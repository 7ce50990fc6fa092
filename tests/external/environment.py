"""An environment of its own: wheels of ours installed as users install them, and everything else as it is here."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Environment"]


class Environment:
    """A new virtual environment, in which nothing leads to the checkout.

    What zoo depends on (torch, above all) is linked from the environment of the tests rather than installed again:
    every package there, but none of ours.
    """

    def __init__(self, directory: Path, projects: Iterable[Path]) -> None:
        """directory: to make it in. projects: folders of which wheels are built and installed."""
        self.directory = directory / "environment"
        venv.create(self.directory, with_pip=False, symlinks=True)
        variables = {"base": str(self.directory), "platbase": str(self.directory)}
        self.scripts = Path(sysconfig.get_path("scripts", "venv", variables))
        site_packages = Path(sysconfig.get_path("purelib", "venv", variables))
        others = directory / "others"
        others.mkdir()
        for package in Path(sysconfig.get_path("purelib")).iterdir():
            if not package.name.startswith(("zoo", "_zoo", "~")) and package.suffix != ".pth":
                (others / package.name).symlink_to(package)
        (site_packages / "others.pth").write_text(f"{others}\n", encoding="utf-8")
        (self.scripts / "pip").write_text(f'#!/bin/sh\nexec "{self.python}" -m pip "$@"\n', encoding="utf-8")
        (self.scripts / "pytest").write_text(f'#!/bin/sh\nexec "{self.python}" -m pytest "$@"\n', encoding="utf-8")
        for name in ("pip", "pytest"):
            (self.scripts / name).chmod(0o755)
        wheels = directory / "wheels"
        self.run("pip", "wheel", "--no-deps", "--wheel-dir", wheels, *projects)
        self.run("pip", "install", "--no-deps", *wheels.glob("*.whl"))

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.scripts / "python"

    def run(self, program: str, *arguments: str | Path, cwd: Path | None = None, fails: bool = False) -> str:
        """Run a program of the environment and return what it prints. fails: whether it is expected to."""
        return self._run([str(self.scripts / program), *map(str, arguments)], cwd, fails)

    def run_shell(self, script: str, *, cwd: Path) -> str:
        """Run a script for the shell, in which the environment is active."""
        return self._run(["/bin/sh", "-c", script], cwd, False)

    def _run(self, command: list[str], cwd: Path | None, fails: bool) -> str:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "ZOO_", "COVERAGE", "PIP_"))
        }
        process = subprocess.run(
            command,
            env={
                **inherited,
                "PATH": f"{self.scripts}{os.pathsep}{os.environ.get('PATH', '')}",
                "PYTHONUTF8": "1",
                "OMP_NUM_THREADS": "1",  # tiny models: threads would only wait for each other
                # Nothing is fetched: not what is installed, and not what builds it.
                "PIP_NO_INDEX": "1",
                "PIP_NO_BUILD_ISOLATION": "0",  # pip reads a negative: 0 is no isolation
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_QUIET": "1",
                "ZOO_CONFIG_HOME": str(self.directory / "settings"),
            },
            cwd=cwd if cwd is not None else self.directory,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert (process.returncode != 0) == fails, f"{command}:\n{process.stdout}\n{process.stderr}"
        return process.stdout
