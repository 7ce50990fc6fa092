"""The errors for names that nothing, or more than one thing, goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.errors import AmbiguousName, NameNotFound
from zoo.installing import install_hint
from zoo.plugins.records import Entry, PluginInfo, S

if TYPE_CHECKING:
    from zoo.registry.catalog import Catalog

__all__ = ["NOUNS", "THIS_PROCESS", "ambiguous_name", "unknown_name", "with_article"]

NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "architectures": "architecture",
        "heads": "head",
        "necks": "neck",
        "tasks": "task",
        "preprocessors": "preprocessor",
        "layouts": "layout",
        "presets": "preset",
        "formats": "checkpoint format",
        "attention": "attention backend",
        "commands": "command",
    }
)
"""What one contribution of each kind is called."""

MOST_NAMES_LISTED = 12

THIS_PROCESS = "(this process)"
"""What stands in the place of a distribution for specs that a running program registered."""


class _FirstParty(NamedTuple):
    distribution: str
    extra: str


_LLAMA = _FirstParty("zoo-llama", "llama")
_GGUF = _FirstParty("zoo-gguf", "gguf")
_SEGMENTATION = _FirstParty("zoo-segmentation", "segmentation")
_SWIN = _FirstParty("zoo-swin", "swin")
_VIT = _FirstParty("zoo-vit", "vit")

# Names that the project's own plugins contribute, for when one is not installed.
_FIRST_PARTY: Mapping[str, Mapping[str, _FirstParty]] = MappingProxyType(
    {
        "architectures": {
            "deit": _VIT,
            "dinov2": _VIT,
            "llama": _LLAMA,
            "swin": _SWIN,
            "swinv2": _SWIN,
            "upernet": _SEGMENTATION,  # what its files call themselves
            "vit": _VIT,
        },
        "formats": {"gguf": _GGUF},
        "heads": {"fpn": _SEGMENTATION, "upernet": _SEGMENTATION},
        "necks": {"simple_fpn": _VIT, "stage-norms": _SEGMENTATION},
        "tasks": {
            "image-segmentation": _SEGMENTATION,
            "segmentation": _SEGMENTATION,
            "semantic-segmentation": _SEGMENTATION,
        },
    }
)


def unknown_name(
    kind: str, name: str, catalogs: Mapping[str, Catalog[Any]], plugins: Sequence[PluginInfo]
) -> NameNotFound:
    """The error for a name that nothing of this kind goes by. catalogs: those of all kinds."""
    available = list(dict.fromkeys(entry.spec.name for entry in catalogs[kind]))
    missing = _missing_first_party(kind, plugins)
    near = _near(name, [*sorted(catalogs[kind].names()), *missing])
    noun = NOUNS[kind]
    lines = []
    if near:
        lines.append(f"Did you mean {_joined([repr(each) for each in near], 'or')}?")
    elif not available:
        lines.append(f"No installed plugin contributes any {noun}.")
    elif len(available) <= MOST_NAMES_LISTED:
        lines.append(f"Known: {', '.join(available)}.")
    lines += [
        f"'{each}' is in {owner.distribution}, which is not installed. {install_hint(owner.extra)}"
        for each, owner in missing.items()
        if (each == name if name in missing else each in near)
    ]
    elsewhere = [with_article(NOUNS[other]) for other, catalog in catalogs.items() if name in catalog.names()]
    if elsewhere:
        lines.append(f"'{name}' is the name of {_joined(elsewhere, 'and')}.")
    lines += _unavailable(plugins)
    return NameNotFound(f"There is no {noun} {name!r}.", hint="\n".join(lines) or None)


def ambiguous_name(what: str, name: str, claims: Sequence[Entry[S]], preferred: str | None) -> AmbiguousName:
    """The error for a name that several entries claim. preferred: a preference that did not decide between them.

    what: what is claimed, e.g. "architecture name".
    """
    described = []
    for entry in claims:
        alias = f", an alias of {entry.spec.name!r}" if name in entry.spec.aliases else ""
        described.append(f"{entry.distribution} {entry.version} (plugin {entry.plugin}{alias})")
    message = f"The {what} {name!r} is claimed by {_joined(described, 'and')}."
    if preferred is not None:
        message += f" The preference {name}={preferred} names none of them, or more than one."
    distributions = list(dict.fromkeys(entry.distribution for entry in claims))
    if len(distributions) == 1:
        hint = f"Its full name does not tell them apart: report it to the author of {distributions[0]}."
        return AmbiguousName(message, hint=hint)
    full_names = [repr(entry.full_name) for entry in claims]
    # What this process registered is in no distribution that the next process could prefer.
    preferable = next(distribution for distribution in distributions if distribution != THIS_PROCESS)
    return AmbiguousName(
        message,
        hint=f"Where you give the name, give the full one, {_joined(full_names, 'or')}; "
        f"or prefer one distribution: ZOO_PREFER={name}={preferable}",
    )


def _near(name: str, candidates: Sequence[str]) -> list[str]:
    import difflib  # only mistakes need it

    wanted = name.rpartition(":")[2].lower()
    near = difflib.get_close_matches(wanted, candidates, n=3)
    # difflib passes over a short name for a long one that begins with it: "smollm2" for "smollm2-135m-instruct".
    longer = [each for each in candidates if len(wanted) >= 3 and each.startswith(wanted)]
    return list(dict.fromkeys([*near, *longer]))[:3]


def _missing_first_party(kind: str, plugins: Sequence[PluginInfo]) -> dict[str, _FirstParty]:
    installed = {info.distribution for info in plugins}
    return {name: owner for name, owner in _FIRST_PARTY.get(kind, {}).items() if owner.distribution not in installed}


def _unavailable(plugins: Sequence[PluginInfo]) -> list[str]:
    lines = []
    failed = [info for info in plugins if info.failure is not None]
    if failed:
        lines.append("These plugins failed to load, and may contribute it (`zoo plugins` says more):")
        lines += [f"  {info.name} {info.version}: {(info.failure or '').splitlines()[0]}" for info in failed]
    left_out = [info for info in plugins if info.left_out is not None]
    if left_out:
        reasons = ", ".join(f"{info.name} ({info.left_out})" for info in left_out)
        lines.append(f"These plugins are installed but were not loaded: {reasons}.")
    return lines


def _joined(parts: Sequence[str], conjunction: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {conjunction} {parts[-1]}"


def with_article(noun: str) -> str:
    """The noun after "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
