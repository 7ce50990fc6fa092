"""Distributions that exist for one test, found through real entry points."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory on sys.path; what was imported from it is forgotten after the test."""
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    before = set(sys.modules)  # an installed package may have the name of an invented one
    yield directory
    packages = {path.stem for path in directory.iterdir()}
    for name in [name for name in sys.modules if name not in before and name.partition(".")[0] in packages]:
        del sys.modules[name]


@pytest.fixture
def fake_distribution(site: Path) -> Callable[..., Path]:
    """Install a distribution: its modules, and the metadata that pip would write. Returns the .dist-info directory.

    modules: path -> source. entry_points: name -> target, of the group zoo.plugins. directory: `site` by default.
    """

    def install(
        name: str,
        version: str = "1.0",
        *,
        modules: Mapping[str, str] | None = None,
        entry_points: Mapping[str, str] | None = None,
        directory: Path = site,
    ) -> Path:
        for path, source in (modules or {}).items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(source), encoding="utf-8")
        info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        if entry_points is not None:
            lines = ["[zoo.plugins]", *(f"{key} = {target}" for key, target in entry_points.items())]
            (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return info

    return install


@pytest.fixture
def fake_plugin(fake_distribution: Callable[..., Path]) -> Callable[..., Path]:
    """Install a distribution with one plugin. Returns the plugin's file.

    hooks: the source of its hook implementations; `hookimpl` and all of `zoo.spec` are imported for it.
    manifest: whether to add a manifest, of this api_version.
    """

    def install(
        name: str, hooks: str = "", *, version: str = "1.0", api_version: int = 1, manifest: bool = True
    ) -> Path:
        package = name.replace("-", "_")
        source = "from zoo.plugins import hookimpl\nfrom zoo.spec import *\n\n"
        if manifest:
            source += (
                f"@hookimpl\ndef zoo_manifest():\n    return Manifest(api_version={api_version}, licence='MIT')\n\n"
            )
        info = fake_distribution(
            name,
            version,
            modules={f"{package}/__init__.py": "", f"{package}/_plugin.py": source + textwrap.dedent(hooks)},
            entry_points={name.rpartition("-")[2]: f"{package}._plugin"},
        )
        return info.parent / package / "_plugin.py"

    return install


@pytest.fixture
def run_python(site: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a fresh process that sees `site`. environment: variables to add, e.g. ZOO_STRICT="1"."""

    def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("ZOO_")}
        path = os.pathsep.join([str(site), str(REPOSITORY), str(REPOSITORY / "tools"), inherited.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), *arguments],
            env={
                **inherited,
                "PYTHONPATH": path.rstrip(os.pathsep),
                "ZOO_CONFIG_HOME": str(site.parent / "settings"),  # not the user's own
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
