"""The files of a new package: a template with its names replaced, each as a whole word."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from zoo import __version__
from zoo.errors import PluginError
from zoo.scaffold.names import Names

__all__ = ["KINDS", "LICENCES", "package_files", "write_package"]

TEMPLATES = Path(__file__).parent / "templates"

LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause")
"""The licences whose texts are here, as SPDX names them."""


class _Kind(NamedTuple):
    """word: what the template calls the thing itself. summary: of the package, {name} being the plugin's. requirement:
    what it depends on; test: what its tests need besides.
    """

    word: str
    summary: str
    requirement: str
    test: tuple[str, ...] = ("pytest>=8.3",)


_ON_IMAGES = f"zoo-sdk[image,torch]>={__version__}"

_KINDS: Mapping[str, _Kind] = {
    "architecture": _Kind("tinynet", "{name}, a small convolutional network", _ON_IMAGES),
    "head": _Kind("tinyhead", "{name}, a classifier of images by cosines", _ON_IMAGES),
    "task": _Kind("tinytask", "{name}, a task that gives an image a number", _ON_IMAGES),
    "format": _Kind(
        "tinyformat", "The checkpoint format {name}", f"zoo-sdk>={__version__}", ("numpy>=1.26", "pytest>=8.3")
    ),
}

KINDS = tuple(_KINDS)
"""What there are templates for."""

# In a wheel or a repository, a file of this name would mean something before it is a template's.
_RENAMED = {
    "gitignore": ".gitignore",
    "project.toml": "pyproject.toml",
    "workflows/test.yml": ".github/workflows/test.yml",
}


def package_files(names: Names, kind: str, *, licence: str, author: str) -> dict[str, str]:
    """Path -> contents of every file of a new package. kind: one of KINDS. licence: one of LICENCES.

    author: who holds the copyright, in the text of the licence.
    """
    template = _KINDS[kind]
    values = {
        "@AUTHOR@": author,
        "@DISTRIBUTION@": names.distribution,
        "@LICENCE@": licence,
        "@NAME@": names.bare,
        "@PACKAGE@": names.package,
        "@REQUIREMENT@": template.requirement,
        "@TEST_REQUIREMENTS@": ", ".join(f'"{each}"' for each in template.test),
        "@SUMMARY@": template.summary.format(name=names.class_name if kind != "format" else names.bare),
    }
    files = {}
    for path, text in _templates(kind):
        text = _renamed(text, template.word, names).replace('licence="MIT"', f'licence="{licence}"')
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        files[_renamed(path, template.word, names)] = text
    files["LICENSE"] = _read(TEMPLATES / "common" / "licences" / f"{licence}.txt").replace("@AUTHOR@", author)
    return dict(sorted(files.items()))


def write_package(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files into a new directory: all of them or, when that fails, none.

    Raises PluginError when there is something of that name already, or it can't be written.
    """
    if os.path.lexists(directory):
        raise PluginError(
            f"{directory} is there already.", hint="Give another place with --directory, or remove it first."
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            for name, text in files.items():
                file = temporary / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
            temporary.chmod(0o777 & ~_umask())  # mkdtemp's is for secrets
            temporary.rename(directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise PluginError(f"{directory} can't be written: {error}.") from error


def _templates(kind: str) -> Iterator[tuple[str, str]]:
    """The path in the new package, and the text, of each file of the kind's template and of the common one."""
    for part in ("common", kind):
        for file in sorted((TEMPLATES / part).rglob("*")):
            path = file.relative_to(TEMPLATES / part).as_posix()
            if file.is_file() and file.suffix != ".pyc" and not path.startswith("licences/"):
                yield _RENAMED.get(path, path), _read(file)


def _renamed(text: str, word: str, names: Names) -> str:
    """The text with the names of the template replaced where they are whole words, or the first word of a class."""
    text = re.sub(rf"(?<![\w-])zoo-{word}(?![a-z0-9_])", names.distribution, text)
    text = re.sub(rf"(?<!\w)zoo_{word}(?![a-z0-9_])", names.package, text)
    text = re.sub(rf"{word.capitalize()}(?![a-z0-9_])", names.class_name, text)
    return re.sub(rf"(?<!\w){word}(?!\w)", names.bare, text)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
