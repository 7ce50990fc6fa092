"""What is known of an installed plugin, and of each thing it contributes.

These are named tuples because a frozen dataclass takes a millisecond to define, and this is on every command's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from zoo.plugins.settings import DISABLED
from zoo.spec import Manifest, Spec

__all__ = ["Entry", "PluginInfo", "S"]

S = TypeVar("S", bound=Spec)

_NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Entry(NamedTuple, Generic[S]):
    """A spec and where it comes from. plugin: the name of the plugin, "distribution:entry point"."""

    spec: S
    distribution: str
    version: str
    plugin: str

    @property
    def full_name(self) -> str:
        """The name that means this entry alone, e.g. "zoo-llama:llama"."""
        return f"{self.distribution}:{self.spec.name}"

    def goes_by(self, name: str) -> bool:
        """Whether the name, of any form, may mean this entry."""
        return name in (self.spec.name, self.full_name, *self.spec.aliases)


class PluginInfo(NamedTuple):
    """One installed plugin: loaded, failed or left out.

    name: "distribution:entry point". target: the module that the entry point leads to.
    source: where its distribution is recorded.
    manifest: None unless it was loaded. contributes: the names of its specs for each kind that it has any of.
    fallbacks: those among them that are consulted only when nothing else claims their name.
    failure: what went wrong, where to look and what to do; traceback: the whole of it. left_out: why it was not loaded.
    """

    name: str
    distribution: str
    version: str
    target: str
    source: str
    manifest: Manifest | None = None
    contributes: Mapping[str, tuple[str, ...]] = _NOTHING
    fallbacks: Mapping[str, tuple[str, ...]] = _NOTHING
    load_seconds: float = 0.0
    failure: str | None = None
    traceback: str | None = None
    left_out: str | None = None

    @property
    def disabled(self) -> bool:
        """Whether the user has switched it off, with `zoo plugin disable`."""
        return self.left_out == DISABLED

    @property
    def loaded(self) -> bool:
        """Whether what it contributes can be used."""
        return self.failure is None and self.left_out is None
