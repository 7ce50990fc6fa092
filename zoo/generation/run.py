"""From prompts and settings to new tokens: everything is checked first, then the steps are taken."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import InvalidInput, ZooError
from zoo.generation.decoding import CausalModel, decode
from zoo.generation.output import Generation, GenerationOutput
from zoo.generation.processors import processors_for
from zoo.generation.prompt import TokenIds, make_prompt
from zoo.generation.resolution import TextCodec, check_prompts, pad_token_id, resolve_settings, stated, stop_rules
from zoo.generation.settings import GenerationSettings
from zoo.generation.stopping import FinishReason
from zoo.generation.strategies import strategy_for
from zoo.generation.transcript import TextDecoder, Transcript

__all__ = ["Run", "generate", "start"]


@dataclass(frozen=True)
class Run:
    """A generation under way: a transcript per prompt, and the steps that fill them.

    steps: to be taken one by one, until they end; or closed, to give up.
    """

    transcripts: tuple[Transcript, ...]
    prompt_tokens: tuple[int, ...]
    settings: GenerationSettings
    steps: Generator[None, None, None]

    def finish(self) -> None:
        """Take all steps that are left."""
        for _ in self.steps:
            pass

    def generations(self) -> list[Generation]:
        """One record per prompt. All transcripts must have ended."""
        return [
            Generation(
                text=transcript.text,
                token_ids=tuple(transcript.token_ids),
                finish_reason=_reason(transcript),
                prompt_tokens=prompt_tokens,
                logprobs=tuple(transcript.logprobs) if self.settings.logprobs else None,
            )
            for transcript, prompt_tokens in zip(self.transcripts, self.prompt_tokens, strict=True)
        ]


def generate(
    model: CausalModel,
    input_ids: TokenIds,
    attention_mask: Tensor | None = None,
    *,
    preprocessor: TextCodec | None = None,
    **settings: Any,
) -> GenerationOutput:
    """Generate for a batch of token ids.

    input_ids: (batch, length), or lists of any lengths. attention_mask: of the same shape, nonzero where a token is
    real, with padding on the left. preprocessor: knows the end of a turn, and the text in which stop strings are looked
    for. settings: see GenerationSettings; they beat the model's own. Raises InvalidInput before anything is computed.
    """
    run = start(model, input_ids, attention_mask, resolve_settings(model, settings), preprocessor)
    run.finish()
    return GenerationOutput(
        token_ids=tuple(tuple(transcript.token_ids) for transcript in run.transcripts),
        finish_reasons=tuple(_reason(transcript) for transcript in run.transcripts),
        prompt_tokens=run.prompt_tokens,
        logprobs=tuple(tuple(transcript.logprobs) for transcript in run.transcripts) if run.settings.logprobs else None,
        pad_token_id=pad_token_id(run.settings, preprocessor),
    )


def start(
    model: CausalModel,
    input_ids: TokenIds,
    attention_mask: Tensor | None,
    settings: GenerationSettings,
    preprocessor: TextCodec | None = None,
    *,
    decoders: Sequence[TextDecoder] | None = None,
) -> Run:
    """Check everything and prepare the steps, without taking one.

    decoders: one per prompt, where the text of the transcripts is wanted.
    """
    if settings.stop and preprocessor is None:
        raise InvalidInput(
            "Stop strings are looked for in the text, which only a preprocessor makes of tokens.",
            hint="Pass preprocessor=..., which `zoo.load` returns beside the model.",
        )
    prompt = make_prompt(
        input_ids,
        attention_mask,
        device=next(model.backbone.parameters()).device,
        vocab_size=stated(model.config, "vocab_size"),
    )
    limits = check_prompts(settings, prompt.lengths, model.config)
    rules = stop_rules(settings, preprocessor)
    if decoders is None and preprocessor is not None and settings.stop:
        decoders = [preprocessor.stream_decoder() for _ in limits]
    wanted: Sequence[TextDecoder | None] = decoders if decoders is not None else [None] * len(limits)
    transcripts = tuple(Transcript(rules, limit, decoder) for limit, decoder in zip(limits, wanted, strict=True))
    steps = decode(
        model,
        prompt,
        transcripts,
        strategy_for(settings, len(limits)),
        processors_for(settings, prompt, rules.ending_ids),
        max_new_tokens=max(limits),
        logprobs=settings.logprobs,
    )
    return Run(transcripts, prompt.lengths, settings, steps)


def _reason(transcript: Transcript) -> FinishReason:
    if transcript.finish_reason is None:
        raise ZooError("The generation has not ended.", hint="Take all its steps, or cancel it.")
    return transcript.finish_reason
