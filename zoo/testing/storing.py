"""Checks of how a model lies on disk: key maps, and files that hold it to the last bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.errors import SaveError, ZooError
from zoo.interfaces.layout import LayoutConfigs
from zoo.layouts import key_map_of
from zoo.plugins.records import Entry
from zoo.registry import registry
from zoo.spec import LayoutSpec
from zoo.testing.failing import fail
from zoo.testing.subject import ArchitectureSubject

if TYPE_CHECKING:
    from zoo.weights.key_map import KeyMap

__all__ = ["StoringChecks"]


class StoringChecks(ArchitectureSubject):
    """From a model to files, and back.

    stored_keys: name of a layout -> all the names that a real checkpoint of it has, of any size.
    """

    stored_keys: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType({})

    def layouts(self) -> list[Entry[LayoutSpec]]:
        """The layouts of the architecture that its own distribution brings."""
        architecture = self.architecture_entry()
        return [
            layout
            for layout in registry().layouts
            if layout.distribution == architecture.distribution and architecture.goes_by(layout.spec.architecture)
        ]

    def test_key_maps_are_bijections(self) -> None:
        """What is loaded and saved again is what it was, name by name."""
        from zoo.testing.key_maps import canonical, check_bijection

        for layout, model in self._laid_out():
            check_bijection(layout.spec.name, self._key_map(layout, model), canonical(model))

    def test_key_maps_claim_real_names(self) -> None:
        """The names in `stored_keys`; a tiny model may lack parts that published ones have."""
        from zoo.testing.key_maps import check_claims

        known = {layout.spec.name for layout in self.layouts()}
        unknown = [name for name in self.stored_keys if name not in known]
        if unknown:
            fail(
                f"`stored_keys` has the layout '{unknown[0]}', which there is not.",
                f"The layouts are {', '.join(sorted(known)) or 'none'}.",
            )
        for layout, model in self._laid_out():
            if layout.spec.name in self.stored_keys:
                check_claims(layout.spec.name, self._key_map(layout, model), self.stored_keys[layout.spec.name])

    def test_saved_and_loaded_it_is_the_same(self, tmp_path: Path) -> None:
        """Weights, configuration and results, to the last bit, in one file."""
        import torch

        from zoo.testing.comparing import compare

        model = self.model()
        loaded = self._saved_and_loaded(model, tmp_path / "one")
        with torch.no_grad():
            inputs = self.inputs(1, self.sizes()[0])
            compare(
                loaded(**inputs),
                model(**inputs),
                1e-5,  # the same numbers that lie elsewhere in memory may be added up in another order
                "The loaded model computes another result than the one that was saved, with the same weights",
                "Compute in `reset_derived(device)` whatever __init__ computes from the configuration.",
            )

    def test_saved_in_shards_it_is_the_same(self, tmp_path: Path) -> None:
        """Large models lie in several files."""
        from zoo.testing.parity import assert_same_tensors

        model = self.model()
        total = sum(tensor.nbytes for tensor in model.state_dict().values())
        self._saved_and_loaded(model, tmp_path / "one")
        self._saved_and_loaded(model, tmp_path / "shards", max_shard_size=max(1, total // 3))
        if len(list((tmp_path / "shards").glob("*.safetensors"))) < 2:
            fail("The tiny model has a single tensor, so it can't be sharded.", "Make `tiny` larger.")
        assert_same_tensors(tmp_path / "shards", tmp_path / "one")

    def test_every_layout_that_is_written_is_read(self, tmp_path: Path) -> None:
        """The layouts with a head, too."""
        for number, (layout, model) in enumerate(self._laid_out()):
            if layout.spec.write_config is not None and layout.spec.head is not None:
                self._saved_and_loaded(model, tmp_path / str(number), task=model.origin.task)

    def test_loading_does_not_unpickle(self, tmp_path: Path) -> None:
        """No file of a model may run code."""
        import zoo
        from zoo.testing.no_unpickling import no_unpickling

        model = self.model()
        with no_unpickling(f"Saving or loading '{self.architecture}'"):
            self._save(model, tmp_path)
            zoo.load(tmp_path, task=None, device="cpu")

    def _saved_and_loaded(self, model: Any, directory: Path, task: str | None = None, **options: Any) -> Any:
        import zoo

        self._save(model, directory, **options)
        loaded, _ = zoo.load(directory, task=task, device="cpu")
        if type(loaded) is not type(model):
            fail(
                f"Saved as {type(model).__name__}, it is loaded as {type(loaded).__name__}.",
                "Let `matches` of the layout recognise what `write_config` and the key map write.",
            )
        check_same_state(model, loaded)
        if loaded.config != model.config:
            fail(
                f"Saved and loaded, the configuration is {loaded.config}; it was {model.config}.",
                "Let `read_config` of the layout read what `write_config` writes.",
            )
        return loaded

    def _save(self, model: Any, directory: Path, **options: Any) -> None:
        import zoo

        try:
            zoo.save(model, directory, sync=False, **options)
        except SaveError as error:
            fail(
                f"'{self.architecture}' can't be saved: {error}",
                "Return a LayoutSpec from zoo_layouts() with head=None, `write_config` and a key map for all names.",
            )

    def _laid_out(self) -> Iterator[tuple[Entry[LayoutSpec], Any]]:
        """Each layout with a tiny model that it is for."""
        import zoo
        from zoo.testing.parity import shake

        for layout in self.layouts():
            if layout.spec.head is None:
                yield layout, self.model()
                continue
            try:
                head = registry().heads.meant_by(layout.distribution, layout.spec.head)
                task = registry().tasks.meant_by(head.distribution, head.spec.task)
                neck = layout.spec.neck and registry().necks.meant_by(layout.distribution, layout.spec.neck).full_name
                model = zoo.create(self.hub_values(), task=task.full_name, head=head.full_name, neck=neck, device="cpu")
            except ZooError as error:
                fail(
                    f"The layout '{layout.spec.name}' is for a head that the tiny model can't have: {error}",
                    "Correct the layout's head, or make `tiny` a configuration that the head fits.",
                )
            shake(model)
            yield layout, model

    def _key_map(self, layout: Entry[LayoutSpec], model: Any) -> KeyMap:
        head = getattr(model, "head", None) if layout.spec.head is not None else None
        neck = getattr(model, "neck", None) if layout.spec.head is not None else None
        configs = LayoutConfigs(
            architecture=model.config,
            head=None if head is None else head.config,
            neck=None if neck is None else neck.config,
        )
        return key_map_of(layout, configs)


def check_same_state(before: Any, after: Any) -> None:
    """Both modules have the same tensors, by name, dtype and value."""
    ours, theirs = before.state_dict(), after.state_dict()
    if ours.keys() != theirs.keys():
        differing = sorted(ours.keys() ^ theirs.keys())
        fail(f"Saved and loaded, it has other tensors: {differing[:5]}.", "Keep all of the model in the configuration.")
    for name, tensor in ours.items():
        if tensor.dtype != theirs[name].dtype or not tensor.equal(theirs[name]):
            fail(
                f"Saved and loaded, '{name}' is not what it was.",
                "Look at the Rule for it in the key map: `load` and `save` of its operation must undo each other, and "
                "no two names may be exchanged.",
            )
