"""Finds the entry points of installed distributions.

`importlib.metadata` would do, but importing it (the email parser, zipfile, csv) takes as long as all the rest of
`zoo list`. What it does for ordinary directories is little, and specified: a distribution is a directory
`{name}-{version}.dist-info` on `sys.path`, and its entry points are in `entry_points.txt`
(https://packaging.python.org/specifications/, "Recording installed projects" and "Entry points"). So directories are
read here, and anything else (zip archives, eggs, import hooks with distributions of their own) is left to it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from zoo.log import logger

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["Distributions", "EntryPoint", "InstalledDistribution", "normalise", "normalise_name"]


def normalise(name: str) -> str:
    """The canonical spelling of a distribution's name (PEP 503): lower case, with single hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def normalise_name(name: str) -> str:
    """The canonical spelling of a distribution's name, or of a plugin's, "distribution:entry point"."""
    distribution, colon, entry = name.strip().partition(":")
    return normalise(distribution) + colon + entry


class EntryPoint(NamedTuple):
    """An entry point of an installed distribution. target: "package.module" or "package.module:object".

    source: where its distribution is recorded, usually a `.dist-info` directory.
    """

    distribution: str
    version: str
    name: str
    target: str
    source: str

    @property
    def full_name(self) -> str:
        """ "distribution:name"."""
        return f"{self.distribution}:{self.name}"


class InstalledDistribution(NamedTuple):
    """An installed distribution. entry_points: the contents of its entry_points.txt, "" if it has none.

    version: None where the name of its metadata directory does not say it.
    rivals: further metadata directories, beside the one at location, that record the same distribution.
    """

    name: str
    version: str | None
    location: str
    entry_points: str
    rivals: tuple[str, ...] = ()


class Distributions:
    """The distributions that can be imported from: for each name the first on the path, as the import system has it."""

    def __init__(self, path: Sequence[str] | None = None) -> None:
        """path: the directories to look in; `sys.path`, and import hooks, by default."""
        self._by_name: dict[str, InstalledDistribution] = {}
        for distribution in _on_path(sys.path if path is None else path):
            self._by_name.setdefault(distribution.name, distribution)
        if path is None:
            for distribution in _from_import_hooks():
                self._by_name.setdefault(distribution.name, distribution)

    def version(self, name: str) -> str | None:
        """The version of a distribution, or None if it is not installed."""
        distribution = self._by_name.get(normalise(name))
        if distribution is None:
            return None
        return distribution.version or _version_in_metadata(distribution.location)

    def entry_points(self, group: str) -> tuple[EntryPoint, ...]:
        """The entry points of a group, sorted by distribution and name, so that no order on the path matters."""
        for distribution in self._by_name.values():
            _warn_of_rivals(distribution, group)
        found = [
            EntryPoint(
                distribution=distribution.name,
                version=self.version(distribution.name) or "unknown",
                name=name,
                target=target,
                source=distribution.location,
            )
            for distribution in self._by_name.values()
            # Most distributions have no such group; this spares them the parsing.
            if group in distribution.entry_points
            for name, target in _parse(distribution.entry_points, group)
        ]
        return tuple(sorted(found))


def _warn_of_rivals(distribution: InstalledDistribution, group: str) -> None:
    if not distribution.rivals:
        return
    texts = [distribution.entry_points, *(_read(rival, "entry_points.txt") for rival in distribution.rivals)]
    if any(group in text for text in texts):
        logger.warning(
            "%s is installed more than once in one place. Using %s, not %s; install it again to mend this.",
            distribution.name,
            distribution.location,
            ", ".join(distribution.rivals),
        )


def _on_path(path: Iterable[object]) -> Iterator[InstalledDistribution]:
    for item in path:
        if not isinstance(item, str):
            continue  # the import system ignores it, too
        directory = item or os.curdir
        if directory.lower().rstrip("/\\").endswith(".egg") or os.path.isfile(directory):
            from importlib.metadata import distributions

            yield from _described(distributions(path=[item]))
            continue
        try:
            children = os.listdir(directory)
        except OSError:
            continue  # sys.path commonly names directories that don't exist
        yield from _in_directory(directory, children)


def _in_directory(directory: str, children: Iterable[str]) -> Iterator[InstalledDistribution]:
    metadata_directories: dict[str, list[str]] = {}
    for child in children:
        # pip renames what it is about to delete to "~name"; an interrupted run leaves that behind.
        if child.lower().endswith((".dist-info", ".egg-info")) and not child.startswith("~"):
            name = normalise(child.rpartition(".")[0].partition("-")[0])
            metadata_directories.setdefault(name, []).append(child)
    for name, same_name in metadata_directories.items():
        chosen = same_name[0]
        if len(same_name) > 1:  # an interrupted upgrade leaves two
            chosen = max(same_name, key=lambda child: _rank(directory, child))
        location = os.path.join(directory, chosen)
        # An old-style egg-info may carry the Python version, too: that name can't be split for sure.
        version = chosen.rpartition(".")[0].partition("-")[2] if chosen.lower().endswith(".dist-info") else ""
        yield InstalledDistribution(
            name,
            version=version or None,
            location=location,
            entry_points=_read(location, "entry_points.txt"),
            rivals=tuple(os.path.join(directory, child) for child in sorted(same_name) if child != chosen),
        )


def _rank(directory: str, child: str) -> tuple[bool, bool, list[int], str]:
    """The order among several records of one distribution in one directory: whole ones, then higher versions, win."""
    is_whole = os.path.isfile(os.path.join(directory, child, "METADATA"))
    numbers = [int(digits) for digits in re.findall(r"\d+", child.partition("-")[2])]
    return is_whole, child.lower().endswith(".dist-info"), numbers, child


def _read(location: str, name: str) -> str:
    try:
        with open(os.path.join(location, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # not there, or (an egg-info can be a file) no directory


def _version_in_metadata(location: str) -> str | None:
    for name in ("METADATA", "PKG-INFO"):
        header = _read(location, name).partition("\n\n")[0]
        match = re.search(r"^Version:\s*(\S+)\s*$", header, re.MULTILINE | re.IGNORECASE)
        if match:
            return match[1]
    return None


def _parse(text: str, group: str) -> Iterator[tuple[str, str]]:
    """The (name, target) pairs of a group, each once. A line without "=" yields an empty target."""
    seen = set()
    section = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            pair = name.strip(), target.partition("[")[0].strip()  # "[extra]" may follow, and has no meaning any more
            if pair not in seen:
                seen.add(pair)
                yield pair


def _from_import_hooks() -> Iterator[InstalledDistribution]:
    from importlib.machinery import PathFinder

    for finder in sys.meta_path:
        find_distributions = getattr(finder, "find_distributions", None)
        if find_distributions is not None and finder is not PathFinder:
            from importlib.metadata import DistributionFinder

            try:
                yield from list(_described(find_distributions(DistributionFinder.Context())))
            except Exception as error:  # anybody's code: what it breaks should be its own distributions only
                logger.warning(
                    "The import hook %r can't list distributions: %r. Plugins in them are not seen.", finder, error
                )


def _described(distributions: Iterable[Distribution]) -> Iterator[InstalledDistribution]:
    for distribution in distributions:
        name = distribution.metadata["Name"]
        if name:
            location = str(distribution.locate_file(""))
            text = distribution.read_text("entry_points.txt") or ""
            yield InstalledDistribution(normalise(name), distribution.version, location, text)
