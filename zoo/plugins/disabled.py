"""The plugins that the user has switched off: a small file of names, which is read before any plugin is imported.

It is text with a name on each line, a distribution ("zoo-swin") or one plugin of it ("zoo-swin:swin"); what follows a
"#" is a comment. A mending hand needs nothing but an editor, and reading it needs no parser that has to be imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo.errors import PluginError
from zoo.plugins.discovery import normalise_name

__all__ = ["FILE_NAME", "config_home", "read_disabled", "write_disabled"]

FILE_NAME = "disabled-plugins.txt"

_HEADING = "# Plugins that zoo does not load. `zoo plugin enable NAME` takes a line out again.\n"


def config_home(environment: Mapping[str, str]) -> str:
    """The directory of the user's settings: `ZOO_CONFIG_HOME`, or `zoo` where this system keeps such things."""
    chosen = environment.get("ZOO_CONFIG_HOME", "")
    if chosen:
        return chosen
    xdg = environment.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(xdg):  # the specification says to pass over relative ones
        return os.path.join(xdg, "zoo")
    if sys.platform == "win32":
        return os.path.join(environment.get("APPDATA") or os.path.expanduser(r"~\AppData\Roaming"), "zoo")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/zoo")
    return os.path.expanduser("~/.config/zoo")


def read_disabled(directory: str) -> frozenset[str]:
    """The names in the file of this directory, normalised; none where there is no file.

    Raises PluginError when the file can't be read: a plugin that was switched off because it hangs must not run because
    of that.
    """
    path = os.path.join(directory, FILE_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        raise PluginError(
            f"{path}, which says which plugins are switched off, can't be read: {error}.",
            hint="Mend or remove it; or say with ZOO_PLUGINS which plugins to load.",
        ) from error
    names = (line.partition("#")[0].strip() for line in lines)
    return frozenset(normalise_name(name) for name in names if name)


def write_disabled(directory: str, names: Iterable[str]) -> Path:
    """Put these names in the place of those in the file: as a whole or, when writing fails, not at all.

    Returns its path. Raises PluginError when it can't be written.
    """
    path = Path(directory, FILE_NAME)
    temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(_HEADING + "".join(f"{name}\n" for name in sorted(set(names))))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise PluginError(
            f"{path} can't be written: {error}.",
            hint="ZOO_CONFIG_HOME names another directory for zoo's settings.",
        ) from error
    return path
