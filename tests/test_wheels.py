"""The wheels that users get: complete, clean, and enough for what needs no torch.

They are installed into a fresh environment that holds nothing else but what zoo-sdk itself says it depends on, so a
forgotten file, entry point or dependency shows, and torch really is absent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECTS = (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")))


def project_name(project: Path) -> str:
    """The distribution's name, from its pyproject.toml."""
    return str(tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"])


def packages_of(project: Path) -> list[Path]:
    """The folders whose contents the wheel of a project must hold."""
    if project == ROOT:
        return [ROOT / "zoo", ROOT / "tools" / "zoo_tools"]
    return sorted(path.parent for path in project.glob("zoo_*/__init__.py"))


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program where no variable of this session leads it to the checkout."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ZOO_", "COVERAGE"))}
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=inherited | {"PYTHONUTF8": "1"} | environment,
        cwd=Path(sys.executable).anchor,
    )


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Distribution name -> its wheel, built from this checkout without a network."""
    directory = tmp_path_factory.mktemp("wheels")
    result = run(
        sys.executable,
        *("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", directory),
        *PROJECTS,
    )
    assert result.returncode == 0, result.stderr
    built = {path.name.split("-")[0].replace("_", "-"): path for path in directory.glob("*.whl")}
    assert set(built) == {project_name(project) for project in PROJECTS}
    return built


@pytest.fixture(scope="module")
def python(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment: every wheel of ours, and zoo-sdk's own dependencies."""
    environment = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    variables = {"base": str(environment), "platbase": str(environment)}
    scripts = Path(sysconfig.get_path("scripts", "venv", variables))
    interpreter = scripts / ("python.exe" if os.name == "nt" else "python")
    result = run(
        sys.executable,
        *("-m", "pip", "--python", interpreter, "install", "--quiet", "--no-deps", "--no-index", "--no-compile"),
        *wheels.values(),
    )
    assert result.returncode == 0, result.stderr
    site_packages = Path(sysconfig.get_path("purelib", "venv", variables))
    [sdk] = metadata.distributions(name="zoo-sdk", path=[str(site_packages)])
    for distribution in dependencies(sdk):
        for file in distribution.files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.suffix != ".pyc" and source.is_file():
                target = site_packages.joinpath(*file.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return interpreter


def dependencies(distribution: metadata.Distribution) -> list[metadata.Distribution]:
    """What a distribution needs without its extras, and what that needs, as installed in the tests' environment."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [distribution]
    while waiting:
        for line in waiting.pop().requires or ():
            requirement = Requirement(line)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in found:
                found[requirement.name] = metadata.distribution(requirement.name)
                waiting.append(found[requirement.name])
    return list(found.values())


@pytest.fixture(scope="module")
def zoo(python: Path) -> Any:
    """Runs the `zoo` program of the fresh environment and returns what it prints."""

    def call(*arguments: str) -> str:
        result = run(python.with_name("zoo" + python.suffix), *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return call


@pytest.mark.parametrize("project", PROJECTS, ids=project_name)
def test_a_wheel_holds_its_packages_and_nothing_else(wheels: dict[str, Path], project: Path) -> None:
    with zipfile.ZipFile(wheels[project_name(project)]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    packages = packages_of(project)
    sources = {
        path.relative_to(package.parent).as_posix()
        for package in packages
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert packages
    assert names == sources
    assert {f"{package.name}/py.typed" for package in packages} <= names
    templates = "zoo/scaffold/templates/"  # of new plugins, with all that is in one
    assert not [name for name in names if not name.endswith((".py", "py.typed")) and not name.startswith(templates)]


def test_the_sdk_carries_its_licence(wheels: dict[str, Path]) -> None:
    with zipfile.ZipFile(wheels["zoo-sdk"]) as wheel:
        [licence] = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_wheels_are_what_runs_and_torch_is_absent(python: Path) -> None:
    result = run(
        python,
        "-c",
        "import importlib.util, zoo, zoo_tools, zoo_llama, zoo_gguf\n"
        "print(zoo.__file__, zoo_tools.__file__, importlib.util.find_spec('torch'), sep='\\n')",
    )
    assert result.returncode == 0, result.stderr
    ours, tools, torch = result.stdout.splitlines()
    assert Path(ours).is_relative_to(python.parents[1])
    assert Path(tools).is_relative_to(python.parents[1])
    assert torch == "None"


def test_the_command_and_the_module_are_one_program(python: Path, zoo: Any) -> None:
    result = run(python, "-m", "zoo", "--help")
    assert result.returncode == 0, result.stderr
    assert "list" in result.stdout
    assert zoo("--help").splitlines()[1:] == result.stdout.splitlines()[1:]  # the first line names the program


def test_listing_needs_no_torch(zoo: Any) -> None:
    listing = json.loads(zoo("list", "--json"))
    assert "llama" in json.dumps(listing)


def test_every_plugin_of_the_wheels_loads(zoo: Any) -> None:
    printed = zoo("plugins")
    for project in PROJECTS:
        assert project_name(project) in printed
    assert "fail" not in printed.lower()


def test_loading_without_torch_says_what_to_install(python: Path) -> None:
    result = run(python, "-c", "import zoo; zoo.load('llama')")
    assert result.returncode == 1
    assert "MissingDependency" in result.stderr
    assert "pip install -e '.[torch]'" in result.stderr
