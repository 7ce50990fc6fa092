"""Record the signatures of everything that is public, for the test that notices when one changes.

    python tools/record_api.py

writes `docs/api/signatures.txt`. What has changed since the last record needs a line in CHANGELOG.md: without a new
one nothing is written. The source is read, not imported, by griffe.
"""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import griffe

__all__ = [
    "PACKAGES",
    "PUBLIC_MODULES",
    "PublicName",
    "entries_in_changelog",
    "main",
    "members",
    "public_modules",
    "public_names",
    "recorded",
    "signatures",
]

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "docs" / "api" / "signatures.txt"
CHANGELOG = ROOT / "CHANGELOG.md"

PACKAGES = {"zoo": ROOT, "zoo_tools": ROOT / "tools"}
"""The packages that are read, and where they are."""

PUBLIC_MODULES = (
    "zoo",
    "zoo.checkpoint",
    "zoo.errors",
    "zoo.generation",
    "zoo.interfaces",
    "zoo.interfaces.*",
    "zoo.nn.*",
    "zoo.plugins",
    "zoo.preprocess",
    "zoo.preprocess.image",
    "zoo.preprocess.image_bands",
    "zoo.preprocess.image_geometry",
    "zoo.preprocess.image_reading",
    "zoo.preprocess.image_settings",
    "zoo.preprocess.text",
    "zoo.registry",
    "zoo.spec",
    "zoo.tasks.*",
    "zoo.testing",
    "zoo.weights.key_map",
    "zoo.weights.operations",
    "zoo_tools",
)
"""The modules of which every name in `__all__` is public; `.*` stands for all that are directly inside."""

HEADER = "# The public API. Written by `python tools/record_api.py`; CHANGELOG.md has a line for every change.\n"
COUNT = "# Entries of CHANGELOG.md: {}\n"


@dataclass(frozen=True)
class PublicName:
    """A public name: where users import it from, and what stands there (an alias is followed)."""

    path: str
    target: griffe.Object


@functools.cache
def public_modules() -> dict[str, griffe.Module]:
    """Path -> module, of PUBLIC_MODULES."""
    loader = griffe.GriffeLoader(search_paths=[str(path) for path in PACKAGES.values()], allow_inspection=False)
    for package in PACKAGES:
        loader.load(package)
    loader.resolve_aliases()
    found: dict[str, griffe.Module] = {}
    for path in PUBLIC_MODULES:
        module = loader.modules_collection[path.removesuffix(".*")]
        if path.endswith(".*"):
            found |= {child.path: child for child in module.modules.values() if not child.name.startswith("_")}
        else:
            found[module.path] = module
    return found


@functools.cache
def public_names() -> tuple[PublicName, ...]:
    """Every name in `__all__` of a public module, sorted by path."""
    names = []
    for path, module in public_modules().items():
        for name in _exports(module):
            member = module.members[name]
            target = member.final_target if isinstance(member, griffe.Alias) else member
            names.append(PublicName(f"{path}.{name}", target))
    return tuple(sorted(names, key=lambda each: each.path))


def members(owner: griffe.Object) -> Iterator[griffe.Object]:
    """The public members of a class: its own, and what it inherits from classes that are not public themselves."""
    public = {each.target.path for each in public_names()}
    found: dict[str, griffe.Object] = {}
    for each in [owner, *(base for base in _bases(owner) if base.path not in public)]:
        for name, member in each.members.items():
            if isinstance(member, griffe.Alias) or (name.startswith("_") and name != "__call__"):
                continue
            found.setdefault(name, member)
    yield from (found[name] for name in sorted(found))


def signatures() -> list[str]:
    """A line for each public name, and for each public member of a class."""
    names = public_names()
    own = {each.path for each in names if each.path == each.target.path}
    lines = []
    for each in names:
        if each.path != each.target.path and each.target.path in own:
            lines.append(f"{each.path} is {each.target.path}")
            continue
        lines += _lines(each.path, each.target)
        if isinstance(each.target, griffe.Class):
            fields = {parameter.name for parameter in each.target.parameters} if _is_record(each.target) else set()
            for member in members(each.target):
                if member.name not in fields:  # the constructor's parameters say the same
                    lines += _lines(f"{each.path}.{member.name}", member)
    return lines


def entries_in_changelog() -> int:
    """How many entries CHANGELOG.md has."""
    return sum(line.startswith("- ") for line in CHANGELOG.read_text(encoding="utf-8").splitlines())


def recorded() -> tuple[list[str], int]:
    """The signatures in the record, and how many entries CHANGELOG.md had then; none of either without a record."""
    if not RECORD.exists():
        return [], 0
    text = RECORD.read_text(encoding="utf-8")
    count = re.search(COUNT.strip().format(r"(\d+)"), text)
    return [line for line in text.splitlines() if not line.startswith("#")], int(count[1]) if count else 0


def main() -> int:
    """Write the record; 1 when something changed and CHANGELOG.md has no new line."""
    found, entries = signatures(), entries_in_changelog()
    before, entries_before = recorded()
    if found == before:
        print("Nothing that is public has changed.")
        return 0
    if before and entries <= entries_before:
        print(
            f"What is public has changed, but CHANGELOG.md still has {entries} entries. Add one that says what changes "
            "for users, and run this again.",
            file=sys.stderr,
        )
        return 1
    RECORD.write_text(HEADER + COUNT.format(entries) + "".join(f"{line}\n" for line in found), encoding="utf-8")
    print(f"{len(found)} signatures, {entries} entries in CHANGELOG.md: {RECORD.relative_to(ROOT)}")
    return 0


def _exports(module: griffe.Module) -> list[str]:
    """The names in `__all__`; dunders, such as a version, are no part of what is recorded."""
    exports = module.exports
    if not exports or not all(isinstance(name, str) for name in exports):
        # It is computed. Packages that do so resolve their names lazily, and are imported without torch.
        exports = list(importlib.import_module(module.path).__all__)
    return [str(name) for name in exports if not str(name).startswith("__")]


def _bases(owner: griffe.Object) -> list[griffe.Class]:
    """The classes of this project that a class derives from."""
    return owner.mro() if isinstance(owner, griffe.Class) else []


def _is_record(owner: griffe.Class) -> bool:
    return "dataclass" in owner.labels


def _lines(path: str, target: griffe.Object) -> list[str]:
    if isinstance(target, griffe.Function):
        return [_function(path, each) for each in target.overloads or [target]]
    if isinstance(target, griffe.Class):
        bases = ", ".join(str(base) for base in target.bases)
        return [f"class {path}({bases}): {_parameters(target.parameters)}"]
    if isinstance(target, griffe.Attribute):
        kind = "property " if "property" in target.labels else ""
        if target.annotation is not None:
            return [f"{kind}{path}: {target.annotation}"]
        # What an instance holds is made by its constructor; its value there is no promise.
        return [path if "instance-attribute" in target.labels or kind else f"{path} = {target.value}"]
    return [path]


def _function(path: str, target: griffe.Function) -> str:
    kind = "".join(f"{label} " for label in ("classmethod", "staticmethod") if label in target.labels)
    returns = f" -> {target.returns}" if target.returns is not None else ""
    return f"{kind}{path}{_parameters(target.parameters)}{returns}"


def _parameters(parameters: griffe.Parameters) -> str:
    written, keyword_only = [], False
    for each in parameters:
        if each.name in ("self", "cls"):
            continue
        if each.kind is griffe.ParameterKind.keyword_only and not keyword_only:
            written.append("*")
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(each.kind, "")
        keyword_only = keyword_only or star == "*" or each.kind is griffe.ParameterKind.keyword_only
        annotation = f": {each.annotation}" if each.annotation is not None else ""
        default = f" = {each.default}" if each.default is not None and not star else ""
        written.append(f"{star}{each.name}{annotation}{default}")
        if each.kind is griffe.ParameterKind.positional_only and _last_positional_only(parameters) == each.name:
            written.append("/")
    return f"({', '.join(written)})"


def _last_positional_only(parameters: griffe.Parameters) -> str | None:
    names = [each.name for each in parameters if each.kind is griffe.ParameterKind.positional_only]
    return names[-1] if names else None


if __name__ == "__main__":
    sys.exit(main())
