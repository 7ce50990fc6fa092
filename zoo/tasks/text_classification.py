"""Text classification: a label for a text, from a decoder's last real token, and the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput, PreprocessorError
from zoo.generation.resolution import stated
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.preprocessor import Preprocessor
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.batching import batched
from zoo.tasks.classification import ClassificationOutput, LabelScore, count_labels, label_loss, ranked_labels
from zoo.tasks.counts import require_count
from zoo.tasks.head_configs import LastTokenClassifierConfig

__all__ = ["ClassificationOutput", "LabelScore", "LastTokenClassifier", "TextClassificationPipeline", "TextClassifier"]


class LastTokenClassifier(Head):
    """A linear map of the last real token, the only one that a causal backbone lets see the whole text (GPT,
    Radford et al., 2018).
    """

    config: LastTokenClassifierConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: LastTokenClassifierConfig) -> None:
        super().__init__(features, config)
        self.weight = nn.Parameter(torch.empty(len(config.labels), features[0].channels))

    def forward(self, features: Features, **options: Any) -> ClassificationOutput:
        """features.tokens: (batch, length, channels); features.mask tells the real tokens, on whichever side the
        padding is.
        """
        tokens = features.tokens
        assert tokens is not None
        if features.mask is None:
            last = tokens[:, -1]
        else:
            positions = torch.arange(tokens.shape[1], device=tokens.device)
            index = (positions * features.mask).argmax(dim=-1)
            last = tokens[torch.arange(tokens.shape[0], device=tokens.device), index]
        return ClassificationOutput(F.linear(last, self.weight))

    def init_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=self.config.initializer_range, generator=generator)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        return count_labels(target)

    def loss(
        self, output: ClassificationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """target: (batch,) indices of labels."""
        return label_loss(output, target, denominators)


class TextClassifier(ComposedTaskModel):
    """A backbone with a head that gives a text a label."""

    def features(self, inputs: Mapping[str, Any]) -> Features:
        """With the head's `pad_token_id` taken for padding, in the mask that the head sees.

        As in the reference, the backbone sees no other mask than the one it was given: an id inside a text that is also
        that of the padding is attended to, but is never the last real token.
        """
        features = super().features(inputs)
        padding, input_ids = getattr(self.head.config, "pad_token_id", None), inputs.get("input_ids")
        if padding is None or input_ids is None:
            return features
        real = input_ids != padding
        return replace(features, mask=real if features.mask is None else features.mask & real)


class TextClassificationPipeline:
    """Texts to labels with their probabilities, the likeliest first."""

    def __init__(self, model: ComposedTaskModel, preprocessor: Preprocessor | None) -> None:
        if preprocessor is None:
            raise PreprocessorError(
                "The checkpoint has no tokenizer, which text-classification needs.",
                hint="Copy tokenizer.json and tokenizer_config.json into its directory.",
            )
        self.model = model
        self.preprocessor = preprocessor

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is an iterable of str
        self, inputs: str, *, top: int | None = None, batch_size: int = 8
    ) -> list[LabelScore]: ...
    @overload
    def __call__(
        self, inputs: Iterable[str], *, top: int | None = None, batch_size: int = 8
    ) -> list[list[LabelScore]]: ...
    def __call__(
        self, inputs: str | Iterable[str], *, top: int | None = None, batch_size: int = 8
    ) -> list[LabelScore] | list[list[LabelScore]]:
        """One text, or several in batches. top: how many labels to return; all by default."""
        if isinstance(inputs, str):
            return next(self.iterate([inputs], top=top, batch_size=1))
        return list(self.iterate(inputs, top=top, batch_size=batch_size))

    def iterate(
        self, inputs: Iterable[str], *, top: int | None = None, batch_size: int = 8
    ) -> Iterator[list[LabelScore]]:
        """The results of many texts, one by one, with one batch of them in memory."""
        if top is not None:
            require_count("top", top)
        for first, batch in batched(inputs, batch_size, "A text"):
            yield from self._classify(batch, top, first)

    def _classify(self, texts: Sequence[str], top: int | None, done: int) -> Iterator[list[LabelScore]]:
        """done: how many texts came before these, so that a message can count them."""
        device = next(self.model.parameters()).device
        collated = self.preprocessor.collate(self._fitting(self.preprocessor(texts), done))
        inputs = {name: value.to(device) for name, value in collated.items() if value is not None}
        with torch.inference_mode():
            logits = self.model(inputs).logits
        yield from ranked_labels(logits, self.model.head.config.labels, top)

    def _fitting(self, items: list[Any], done: int) -> list[Any]:
        """The items; InvalidInput for the first that is longer than the model's context."""
        context = stated(self.model.config, "max_position_embeddings")
        for index, item in enumerate(items, done):
            if context is not None and len(item.ids) > context:
                raise InvalidInput(
                    f"items[{index}] has {len(item.ids)} tokens, more than the model's context of {context}.",
                    hint="Shorten it, or classify its parts.",
                )
        return items
