"""What every kit checks of the plugin behind its subject: that it is light, complete, and says what it is."""

from __future__ import annotations

import importlib.metadata
from typing import Any, ClassVar

from zoo.errors import ZooError
from zoo.plugins import plugins
from zoo.plugins.hooks import SPEC_TYPES
from zoo.plugins.records import Entry, PluginInfo
from zoo.registry import registry, resolve_object
from zoo.registry.catalogs import THIS_PROCESS
from zoo.spec import Spec
from zoo.testing.failing import fail
from zoo.testing.fresh_process import HEAVY, in_fresh_process

__all__ = ["DeclarationChecks"]

_LISTING = """
before = set(sys.modules)
from zoo.plugins import plugins
from zoo.registry import registry
distribution, kind, name, torch_free, heavy = arguments
infos = [info for info in plugins() if info.distribution == distribution]
failures = [info.failure for info in infos if info.failure]
names = [entry.spec.name for entry in getattr(registry(), kind) if entry.distribution == distribution]
listed = sorted({each.partition(".")[0] for each in set(sys.modules) - before} & set(heavy))
from zoo.registry import resolve_object
for reference in torch_free:
    resolve_object(reference)
resolved = sorted({each.partition(".")[0] for each in set(sys.modules) - before} & set(heavy))
print(json.dumps([failures, names, listed, resolved]))
"""


class DeclarationChecks:
    """The checks of a plugin's declaration.

    kind: of contribution, as the hooks call it ("architectures"). torch_free: the fields of its spec whose references
    must be usable without torch.
    """

    kind: ClassVar[str]
    torch_free: ClassVar[tuple[str, ...]] = ()

    def subject_name(self) -> str:
        """The name that the subject goes by in the registry."""
        raise NotImplementedError

    def entry(self) -> Entry[Any]:
        """The subject in the registry, or the error that says why it is not there."""
        entry: Entry[Any] = getattr(registry(), self.kind).get(self.subject_name())
        return entry

    def plugin(self) -> PluginInfo:
        """The plugin that contributes the subject."""
        entry = self.entry()
        return next(info for info in plugins() if info.name == entry.plugin)

    def test_manifest_loads_in_a_fresh_process_without_torch(self) -> None:
        """Listing plugins is what every command does first."""
        entry = self.entry()
        self._require_installed(entry)
        references = [getattr(entry.spec, field) for field in self.torch_free]
        failures, names, listed, resolved = in_fresh_process(
            _LISTING,
            entry.distribution,
            self.kind,
            entry.spec.name,
            references,
            HEAVY,
            what=f"listing what {entry.distribution} contributes",
            change=f"Look at {self.plugin().target}.",
            ZOO_PLUGINS=entry.distribution,
        )
        if failures:
            fail(f"{entry.distribution} does not load alone: {failures[0]}", "Mend its hook implementations.")
        if entry.spec.name not in names:
            fail(
                f"In a fresh process {entry.distribution} does not contribute '{entry.spec.name}'.",
                f"It has {', '.join(names) or 'none'} there; its hooks must return the same in every process.",
            )
        target = self.plugin().target
        if listed:
            fail(
                f"Loading {target} imports {', '.join(listed)}.",
                "Name code in specs as 'package.module:Object', and keep imports out of the package's __init__ and of "
                "what the module of the entry point imports.",
            )
        if resolved:
            fail(
                f"{', '.join(references)}: importing it imports {', '.join(resolved)}.",
                f"The {' and '.join(self.torch_free)} of '{entry.spec.name}' must work without torch: keep models and "
                "their imports in other modules.",
            )

    def test_every_reference_of_the_distribution_resolves(self) -> None:
        """A reference is text: nothing else tells that what it names is there."""
        entry = self.entry()
        broken = []
        for each in self._of_distribution(entry.distribution):
            for field in type(each.spec)._references():
                reference = getattr(each.spec, field)
                if reference:
                    try:
                        resolve_object(reference)
                    except ZooError as error:
                        broken.append(f"{type(each.spec).__name__} '{each.spec.name}': {field}: {error.message}")
        if broken:
            fail(
                f"{entry.distribution} names what can't be used:\n" + "\n".join(broken),
                "Correct the reference, or declare the distribution that brings it as a dependency.",
            )

    def test_every_name_that_the_distribution_uses_is_known(self) -> None:
        """The names of tasks, heads, preprocessors and architectures in its specs."""
        entry = self.entry()
        installed = {info.distribution for info in plugins()}
        unknown = []
        for each in self._of_distribution(entry.distribution):
            for kind, field, name in _names_in(each.spec):
                owner, colon, _ = name.rpartition(":")
                if colon and owner not in installed:
                    continue  # an extension of a plugin that is not there
                try:
                    getattr(registry(), kind).meant_by(each.distribution, name)
                except ZooError as error:
                    unknown.append(f"{type(each.spec).__name__} '{each.spec.name}': {field}: {error.message}")
        if unknown:
            fail(
                f"{entry.distribution} uses names that don't lead to one thing:\n" + "\n".join(unknown),
                "Correct the name; what another distribution brings goes by its full name, 'distribution:name'.",
            )

    def test_documentation_and_licence_are_declared(self) -> None:
        """Who installs a plugin trusts it, and has to be told what it is and on what terms."""
        entry = self.entry()
        self._require_installed(entry)
        manifest = self.plugin().manifest
        assert manifest is not None
        metadata: Any = importlib.metadata.metadata(entry.distribution)
        stated = metadata.get("License-Expression") or ""
        if not manifest.licence.strip():
            fail(
                f"The Manifest of {entry.distribution} has no licence.",
                f"Set `licence` in zoo_manifest(){f', to {stated!r}' if stated else ''}.",
            )
        if stated and stated != manifest.licence:
            fail(
                f"The Manifest of {entry.distribution} says licence={manifest.licence!r}, its package says {stated!r}.",
                "Make `licence` in zoo_manifest() and `license` in pyproject.toml the same SPDX expression.",
            )
        readme = metadata.get_payload() or metadata.get("Description")
        urls = metadata.get_all("Project-URL") or []
        if not (manifest.docs_url.startswith(("https://", "http://")) or urls or (readme or "").strip()):
            fail(
                f"{entry.distribution} has no documentation.",
                "Set `docs_url` in zoo_manifest() to a URL, or `readme` in pyproject.toml to the package's README.",
            )
        undescribed = [each.spec.name for each in self._of_distribution(entry.distribution) if not each.spec.summary]
        if undescribed:
            fail(
                f"{entry.distribution}: without a summary, `zoo list` says nothing of {', '.join(undescribed)}.",
                "Give each of these specs a `summary` of one line.",
            )

    def _of_distribution(self, distribution: str) -> list[Entry[Spec]]:
        return [
            entry for kind in SPEC_TYPES for entry in getattr(registry(), kind) if entry.distribution == distribution
        ]

    def _require_installed(self, entry: Entry[Any]) -> None:
        if entry.distribution == THIS_PROCESS:
            fail(
                f"'{entry.spec.name}' is registered by this process alone; no other will find it.",
                "Return its spec from a hook, in a package with an entry point of the group zoo.plugins.",
            )


def _names_in(spec: Spec) -> list[tuple[str, str, str]]:
    """The names of other contributions in a spec: kind, field, name."""
    found = []
    for kind, field in (
        ("architectures", "architecture"),
        ("heads", "head"),
        ("necks", "neck"),
        ("tasks", "task"),
        ("tasks", "default_task"),
        ("presets", "default_preset"),
        ("preprocessors", "preprocessor"),
    ):
        name = getattr(spec, field, None)
        if isinstance(name, str) and name and field not in type(spec)._references():
            found.append((kind, field, name))
    for field in ("heads", "default_heads"):
        found += [("heads", field, name) for name in getattr(spec, field, {}).values()]
    return found
