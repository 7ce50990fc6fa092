"""From the name that a user gives to those of the distribution, the package and the classes."""

from __future__ import annotations

import keyword
import re
from typing import NamedTuple

from zoo.errors import PluginError
from zoo.plugins.discovery import normalise

__all__ = ["Names", "plugin_names"]

_BARE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 60


class Names(NamedTuple):
    """What a plugin called "my-net" is called in each place."""

    bare: str
    """In zoo: "my-net"."""

    @property
    def distribution(self) -> str:
        """For pip: "zoo-my-net"."""
        return f"zoo-{self.bare}"

    @property
    def package(self) -> str:
        """To import: "zoo_my_net"."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """What classes begin with: "MyNet"."""
        return "".join(part.capitalize() for part in self.bare.split("-"))


def plugin_names(name: str) -> Names:
    """The names of a plugin called NAME, with or without "zoo-" before it.

    Raises PluginError for what can't be the name of a distribution, a package and a class.
    """
    bare = normalise(name).removeprefix("zoo-")
    names = Names(bare)
    if not _BARE.fullmatch(bare) or len(bare) > _LONGEST or not name.isascii():
        raise PluginError(
            f"{name!r} can't be the name of a plugin.",
            hint=f"Use lower-case letters, digits and single hyphens, a letter first, {_LONGEST} characters at most: "
            "mynet, or my-net.",
        )
    if keyword.iskeyword(names.class_name) or bare in ("sdk", "tools"):
        raise PluginError(f"{name!r} can't be the name of a plugin: it has a meaning of its own.")
    return names
