"""Image feature extraction: what a backbone sees in an image, as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.checkpoint.whole_file import whole_file
from zoo.errors import InvalidInput, SaveError
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.interfaces.shown import shown
from zoo.tasks.batching import batched
from zoo.tasks.image_batches import is_one, require_image_preprocessor, results_of_images

if TYPE_CHECKING:
    from zoo.preprocess.image import ImageItem, ImagePreprocessor
    from zoo.preprocess.image_reading import ImageInput

__all__ = ["ImageFeaturePipeline", "ImageFeatures", "Pool"]

Pool = Literal["vector", "mean"]
"""How an image becomes one vector: by the backbone's own pooling, or as the mean over the image."""

SUFFIX = ".npz"


@dataclass(frozen=True, eq=False, repr=False)
class ImageFeatures:
    """What a backbone makes of one image, in float32; what it does not give is None or empty.

    vector: (channels,), of the whole image. maps: (channels, height, width) each, from fine to coarse. tokens:
    (length, channels), the prefix tokens (class, registers) among them, which come first. grid: rows and columns of the
    tokens after these.
    """

    vector: NDArray[np.float32] | None = None
    maps: tuple[NDArray[np.float32], ...] = ()
    tokens: NDArray[np.float32] | None = None
    grid: tuple[int, int] | None = None

    @property
    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All there is, by name: "vector", "maps.0", "maps.1", ..., "tokens"."""
        named = {"vector": self.vector, **{f"maps.{index}": each for index, each in enumerate(self.maps)}}
        return {name: array for name, array in {**named, "tokens": self.tokens}.items() if array is not None}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For people: the names of the arrays and their shapes."""
        return [(name, " x ".join(map(str, array.shape))) for name, array in self.arrays.items()]

    def __repr__(self) -> str:
        return f"ImageFeatures({', '.join(f'{name}: {shape}' for name, shape in self.rows)})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays, by their names, into a .npz file, which `numpy.load` reads. An earlier file of this
        name is replaced when the new one is complete.
        """
        target = Path(path)
        if target.suffix.lower() != SUFFIX:
            raise SaveError(f"{target}: features are saved in a file that ends in {SUFFIX}.")
        arrays: dict[str, Any] = self.arrays  # the stub takes a parameter of another type for any name
        with whole_file(target) as file:  # to a name that does not end in lower case, numpy would append .npz
            np.savez(file, **arrays)


class ImageFeaturePipeline:
    """Images to a backbone's features.

    An image is a path, the bytes of a file, a Pillow image, an array or a tensor; see `zoo.preprocess.image_reading`.
    """

    file_suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)
    """What `ImageFeatures.save` writes."""

    def __init__(self, model: Model, preprocessor: ImagePreprocessor | None) -> None:
        self.model = model
        self.preprocessor = require_image_preprocessor(
            preprocessor,
            "image-feature-extraction",
            '{"image_processor_type": "ViTImageProcessor"}',
            "resizes to 224 x 224 and brings values to -1..1, as ViT was trained",
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str, an array and a tensor are iterable, too
        self, inputs: ImageInput, *, pool: Pool | None = None, batch_size: int = 8
    ) -> ImageFeatures: ...
    @overload
    def __call__(
        self, inputs: Iterable[ImageInput], *, pool: Pool | None = None, batch_size: int = 8
    ) -> list[ImageFeatures]: ...
    def __call__(
        self, inputs: ImageInput | Iterable[ImageInput], *, pool: Pool | None = None, batch_size: int = 8
    ) -> ImageFeatures | list[ImageFeatures]:
        """One image gives its ImageFeatures; several, in batches, a list of them.

        pool: nothing but a vector: "vector" is the backbone's own, "mean" the mean over the places of the coarsest map
        or, where there is none, of the tokens without prefix tokens. By default all that the backbone gives. Raises
        InvalidInput when it does not give what is asked for.
        """
        if is_one(inputs):
            return next(self.iterate([inputs], pool=pool, batch_size=1))
        several: Iterable[ImageInput] = inputs  # type: ignore[assignment]  # a TypeGuard says nothing of the rest
        return list(self.iterate(several, pool=pool, batch_size=batch_size))

    def iterate(
        self, inputs: Iterable[ImageInput], *, pool: Pool | None = None, batch_size: int = 8
    ) -> Iterator[ImageFeatures]:
        """The features of many images, one by one, with one batch of them in memory."""
        if pool not in (None, "vector", "mean"):
            raise InvalidInput(f"pool: expected 'vector', 'mean' or None for everything, found {shown(pool)}.")

        def compute(inputs: Mapping[str, Tensor], items: Sequence[ImageItem]) -> Iterator[ImageFeatures]:
            return _by_image(self._pooled(self.model(**inputs), pool), len(items))

        for first, batch in batched(inputs, batch_size, "An image"):
            yield from results_of_images(batch, self.model, self.preprocessor, compute, first=first)

    def _pooled(self, features: Features, pool: Pool | None) -> Features:
        if pool is None:
            return features
        vector = features.vector if pool == "vector" else self._mean(features)
        if vector is None:
            others = "take pool='mean', or none" if pool == "vector" else "leave it out"
            raise InvalidInput(f"pool={pool!r}: this backbone gives nothing of the kind.", hint=f"Instead, {others}.")
        return Features(vector=vector)

    def _mean(self, features: Features) -> Tensor | None:
        """(batch, channels)."""
        if features.maps:
            return features.maps[-1].float().mean(dim=(-2, -1))
        if features.tokens is None:
            return None
        prefix = next((spec.prefix_tokens for spec in self.model.config.feature_specs() if spec.kind == "tokens"), 0)
        tokens = features.tokens[:, prefix:].float()
        if features.mask is None:
            return tokens.mean(dim=1)
        real = features.mask[:, prefix:, None].to(tokens.dtype)
        return (tokens * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def _by_image(features: Features, count: int) -> Iterator[ImageFeatures]:
    vectors, tokens = _arrays(features.vector), _arrays(features.tokens)
    maps = [_arrays(each) for each in features.maps]
    for index in range(count):
        yield ImageFeatures(
            vector=None if vectors is None else vectors[index],
            maps=tuple(each[index] for each in maps if each is not None),
            tokens=None if tokens is None else tokens[index],
            grid=features.grid,
        )


def _arrays(values: Tensor | None) -> list[NDArray[np.float32]] | None:
    """One array for each of a batch, by itself: one that is kept keeps no others."""
    return None if values is None else [each.to(torch.float32).cpu().numpy().copy() for each in values]
