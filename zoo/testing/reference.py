"""The check of a model against the reference implementation, or against what one computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.testing.failing import fail
from zoo.testing.subject import ArchitectureSubject

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.interfaces.features import Features

__all__ = ["ReferenceChecks"]

INPUTS, OUTPUTS = "inputs.safetensors", "outputs.safetensors"


class ReferenceChecks(ArchitectureSubject):
    """reference: "transformers:ClassName", whose config is `tiny`; or a directory with a checkpoint as the reference
    writes it, `inputs.safetensors` (the keyword arguments of forward) and `outputs.safetensors` ("tokens", "vector",
    "maps.0", ...); or None, with reference_reason saying why there is none.
    """

    reference: ClassVar[str | Path | None]
    reference_reason: ClassVar[str] = ""

    def reference_outputs(self, output: Any, features: Features) -> Mapping[str, Tensor]:
        """What of the reference's output is which of the features: "tokens", "vector", "maps.0", "extras.pooled", ...

        By default last_hidden_state is the tokens, where there are any, and pooler_output the vector.
        """
        found = {}
        if features.tokens is not None:
            found["tokens"] = output.last_hidden_state
        pooled = getattr(output, "pooler_output", None)
        if features.vector is not None and pooled is not None:
            found["vector"] = pooled
        for number, each in enumerate(getattr(output, "feature_maps", None) or ()):
            found[f"maps.{number}"] = each
        return found

    def run_reference(self, model: Any, inputs: Mapping[str, Tensor]) -> Any:
        """Call the reference; a child adds options that it needs, e.g. interpolate_pos_encoding=True."""
        return model(**inputs)

    def test_agrees_with_the_reference(self, tmp_path: Path) -> None:
        """Weights as the reference writes them give the features that it gives."""
        reference = getattr(self, "reference", None)
        if reference is None:
            self._require_reason()
        elif isinstance(reference, str) and reference.startswith("transformers:"):
            self._against_transformers(reference.removeprefix("transformers:"), tmp_path)
        elif isinstance(reference, Path | str) and Path(reference).is_dir():
            self._against_files(Path(reference))
        else:
            fail(
                f"reference={reference!r} is neither a class nor a directory.",
                "Make it 'transformers:ClassName', a pathlib.Path of a directory, or None with `reference_reason`.",
            )

    def _require_reason(self) -> None:
        if not self.reference_reason.strip():
            fail(
                f"{type(self).__name__} names no reference, so nothing says that the model computes what it should.",
                "Set `reference` to 'transformers:ClassName' or to a directory with activations; or to None, with "
                "`reference_reason` saying why there is none and how the model was checked instead.",
            )

    def _against_transformers(self, name: str, directory: Path) -> None:
        import torch
        import transformers

        import zoo
        from zoo.testing.parity import shake

        reference_class: Any = getattr(transformers, name, None)
        if reference_class is None:
            fail(f"transformers has no {name}.", "Correct the name after 'transformers:'.")
        values = {key: value for key, value in self.hub_values().items() if key != "model_type"}
        torch.manual_seed(0)
        reference = reference_class(reference_class.config_class(**values)).eval()
        shake(reference)
        reference.save_pretrained(directory)
        model, _ = zoo.load(directory, task=None, device="cpu")
        for size in self.sizes():
            inputs = self.inputs(2, size)
            with torch.no_grad():
                features = model(**inputs)
                expected = self.reference_outputs(self.run_reference(reference, inputs), features)
            self._compare(features, expected, name)

    def _against_files(self, directory: Path) -> None:
        import torch

        import zoo
        from zoo.checkpoint import open_checkpoint
        from zoo.weights.mapped import MappedFiles

        files = MappedFiles()
        inputs, expected = (
            {key: files.tensor(record) for key, record in open_checkpoint(directory / name).items()}
            for name in (INPUTS, OUTPUTS)
        )
        model, _ = zoo.load(directory / self.checkpoint_name(directory), task=None, device="cpu")
        with torch.no_grad():
            self._compare(model(**inputs), expected, str(directory))

    def checkpoint_name(self, directory: Path) -> str:
        """Where in the directory of a reference the checkpoint is."""
        return "checkpoint"

    def _compare(self, features: Features, expected: Mapping[str, Tensor], reference: str) -> None:
        from zoo.testing.comparing import compare, tensors_of

        ours = tensors_of(features)
        unknown = [name for name in expected if name not in ours]
        if unknown or not expected:
            fail(
                f"Nothing of {reference} is compared with {', '.join(unknown or ours)}.",
                "Return from reference_outputs(self, output, features) which of the reference's tensors is which "
                f"feature; the features are {', '.join(ours)}.",
            )
        compare(
            {name: ours[name] for name in expected},
            expected,
            self.tolerance,
            f"{reference} computes something else from the same weights",
            "Compare layer by layer; a constant such as the epsilon of a norm, an activation or a permutation is most "
            "often the cause.",
        )
