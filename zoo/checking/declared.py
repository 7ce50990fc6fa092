"""What can be checked of any plugin without knowing more of it than its specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from zoo.checking.report import Result
from zoo.errors import AmbiguousName, ConfigError, ZooError
from zoo.interfaces import FeatureSpec
from zoo.plugins import SPEC_TYPES, PluginInfo
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, Spec
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail

__all__ = ["check_declared"]

_OF_KIND: Mapping[str, tuple[str, ...]] = {"architectures": ("config",), "heads": ("config",), "necks": ("config",)}
"""The references of a spec that have to be usable without torch."""


def check_declared(distribution: str, infos: Iterable[PluginInfo]) -> Iterator[Result]:
    """The checks of a distribution, whose plugins these are, one after another."""
    broken = [info for info in infos if info.failure is not None]
    yield Result("loads", "failed" if broken else "passed", "\n".join(str(info.failure) for info in broken))
    entries = [
        (kind, entry)
        for kind in SPEC_TYPES
        for entry in getattr(registry(), kind)
        if entry.distribution == distribution
    ]
    if broken or not entries:
        if not broken:
            yield Result("contributes something", "failed", f"No hook of {distribution} returns anything.")
        return
    kind, first = entries[0]
    subject = _subject(kind, first)
    loads_alone = subject.test_manifest_loads_in_a_fresh_process_without_torch
    yield _result("manifest loads in a fresh process without torch", loads_alone)
    yield _result("every reference resolves", subject.test_every_reference_of_the_distribution_resolves)
    yield _result("every name that is used is known", subject.test_every_name_that_the_distribution_uses_is_known)
    yield _result("documentation and licence are declared", subject.test_documentation_and_licence_are_declared)
    yield _result("names mean one thing", lambda: _check_names(entries))
    for kind, entry in entries:
        if kind == "architectures":
            yield _result(f"configuration of {entry.spec.name}", partial(_check_architecture, entry))
    presets = [entry for kind, entry in entries if kind == "presets" and entry.spec.config]
    if presets:
        yield _result("configurations of presets", partial(_check_presets, presets))


class _Subject(DeclarationChecks):
    """The first of a distribution's contributions stands for all: these checks are of the whole distribution."""

    subject: Entry[Spec]

    def subject_name(self) -> str:
        return self.subject.full_name


def _subject(kind: str, entry: Entry[Spec]) -> _Subject:
    """The checks take what they are about from their class, as a test class has it."""
    about = {"kind": kind, "torch_free": _OF_KIND.get(kind, ()), "subject": entry}
    made: type[_Subject] = type("_Subject", (_Subject,), about)
    return made()


def _check_names(entries: Iterable[tuple[str, Entry[Any]]]) -> None:
    claimed = []
    for kind, entry in entries:
        for name in (entry.spec.name, *entry.spec.aliases):
            try:
                getattr(registry(), kind).get(name)
            except AmbiguousName as error:
                claimed.append(error.message)
    if claimed:
        fail(
            "Other installed plugins claim the same names:\n" + "\n".join(claimed),
            "Choose names that nobody else has; or uninstall the others, where they are not meant to go together.",
        )


def _check_architecture(entry: Entry[ArchitectureSpec]) -> None:
    config_class = resolve_object(entry.spec.config)
    try:
        config = config_class.from_hub({})
    except (ConfigError, TypeError):
        return  # it has fields without a default; what it does with values only its own tests know
    features = config.feature_specs()
    if not features or not all(isinstance(each, FeatureSpec) for each in features):
        fail(
            f"{entry.spec.config}: feature_specs() gives {features!r}.",
            "Return a tuple of zoo.interfaces.FeatureSpec, one for each thing that forward gives.",
        )
    if type(config).from_hub(config.to_hub()) != config:
        fail(
            f"{entry.spec.config}: from_hub does not read what to_hub writes.",
            "Let each field be read from the key that it is written to.",
        )


def _check_presets(entries: Iterable[Entry[Any]]) -> None:
    refused = []
    for entry in entries:
        architecture = registry().architectures.meant_by(entry.distribution, entry.spec.architecture).spec
        try:
            resolve_object(architecture.config).from_hub(entry.spec.config)
        except ConfigError as error:
            refused.append(f"{entry.spec.name}: {error.message}")
    if refused:
        fail("Configurations of presets are refused:\n" + "\n".join(refused), "Correct `config` in their PresetSpecs.")


def _result(name: str, check: Callable[[], None]) -> Result:
    try:
        check()
    except AssertionError as error:
        return Result(name, "failed", str(error))
    except ZooError as error:
        return Result(name, "failed", str(error))
    except Exception as error:  # the code of a plugin: whatever it raises is what there is to report
        return Result(name, "failed", f"{type(error).__name__}: {error}")
    return Result(name, "passed")
