"""Texts and chats in, texts out: the pipeline, and the head under it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from zoo.checkpoint.files import MemoryFiles
from zoo.errors import InvalidInput, PreprocessorError, TemplateError
from zoo.generation import Generation
from zoo.interfaces.cache import Cache, CacheSpec
from zoo.interfaces.config import TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.preprocess.text import TextPreprocessor
from zoo.tasks.head_configs import CausalLMHeadConfig
from zoo.tasks.text_generation import CausalLanguageModel, CausalLMHead, TextGenerationPipeline

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
END_OF_TURN, VOCABULARY = len(LETTERS), len(LETTERS) + 1
TEMPLATE = """
{%- for message in messages %}
    {{- message.content }}
    {%- if not (loop.last and add_generation_prompt) %}{{- '<end>' }}{% endif %}
{%- endfor %}
{{- suffix }}
"""


class AlphabetConfig(TypedConfig):
    max_position_embeddings: int = 60

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="hidden", channels=VOCABULARY, kind="tokens", modality="text", causal=True),)


class Alphabet(Model):
    """Continues with the next letters of the alphabet, and after z with the end of the turn."""

    def __init__(self, config: AlphabetConfig) -> None:
        super().__init__(config)
        after = torch.arange(VOCABULARY) + 1
        after[LETTERS.index("z")] = END_OF_TURN
        self.after = nn.Parameter(after.float(), requires_grad=False)
        self.calls = 0

    def forward(
        self, input_ids: Tensor, attention_mask: Any = None, positions: Any = None, cache: Cache | None = None
    ) -> Features:
        self.calls += 1
        assert cache is not None
        cache.advance(input_ids.shape[1])
        return Features(tokens=nn.functional.one_hot(self.after[input_ids].long() % VOCABULARY, VOCABULARY).float())

    def cache_spec(self) -> CacheSpec:
        return CacheSpec(layers=())


def preprocessor(template: str | None = TEMPLATE) -> TextPreprocessor:
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(LETTERS)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template}
    files = {"tokenizer.json": tokenizer.to_str(), "tokenizer_config.json": json.dumps(config)}
    made = TextPreprocessor.from_files(MemoryFiles("(test)", {name: text.encode() for name, text in files.items()}), {})
    assert made is not None
    return made


def language_model() -> CausalLanguageModel:
    config = AlphabetConfig()
    head = CausalLMHead(config.feature_specs(), CausalLMHeadConfig(vocab_size=VOCABULARY))
    head.weight = nn.Parameter(torch.eye(VOCABULARY) * 4)
    return CausalLanguageModel(Alphabet(config), head).eval()


@pytest.fixture
def pipe() -> TextGenerationPipeline:
    return TextGenerationPipeline(language_model(), preprocessor())


def chat(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def test_a_text_is_continued(pipe: TextGenerationPipeline) -> None:
    generation = pipe("see: ab", max_new_tokens=4)
    assert isinstance(generation, Generation)
    assert (generation.text, str(generation), generation.finish_reason) == ("cdef", "cdef", "length")
    assert generation.prompt_tokens == 7
    assert len(generation.token_ids) == 4


def test_a_chat_is_answered_up_to_the_end_of_the_turn(pipe: TextGenerationPipeline) -> None:
    generation = pipe(chat("w"))
    assert (generation.text, generation.finish_reason) == ("xyz", "end_of_turn")
    assert generation.token_ids[-1] == END_OF_TURN


def test_a_list_gives_a_list_in_its_order(pipe: TextGenerationPipeline) -> None:
    prompts = ["rest of the alphabet: m", "a", chat("x"), "0123a", "bc", "w"]
    expected = ["nop", "bcd", "yz", "bcd", "def", "xyz"]
    for batch_size in (1, 2, 4, 100):
        assert [each.text for each in pipe(prompts, batch_size=batch_size, max_new_tokens=3)] == expected
    assert [each.text for each in pipe((prompt for prompt in prompts), max_new_tokens=3)] == expected
    assert [each.text for each in pipe([chat("x"), chat("y")])] == ["yz", "z"]
    assert [each.text for each in pipe(["a"], max_new_tokens=1)] == ["b"]
    assert pipe([]) == []


def test_batches_are_of_prompts_of_similar_length(pipe: TextGenerationPipeline) -> None:
    shapes: list[tuple[int, ...]] = []
    pipe.model.register_forward_pre_hook(lambda _model, args: shapes.append(tuple(args[0]["input_ids"].shape)))
    pipe(["a" * 20, "a", "a" * 19, "a"], batch_size=2, max_new_tokens=1)
    assert shapes == [(2, 1), (2, 20)]


def test_a_seed_belongs_to_its_prompt_whatever_the_batches(pipe: TextGenerationPipeline) -> None:
    settings = {"temperature": 3.0, "max_new_tokens": 12}
    prompts = ["ab" * 4, "a", "b" * 6, "a"]
    alone = [pipe(prompt, seed=seed, **settings).text for seed, prompt in enumerate(prompts)]
    assert alone[1] != alone[3]
    for batch_size in (1, 2, 3, 8):
        together = pipe(prompts, batch_size=batch_size, seed=[0, 1, 2, 3], **settings)
        assert [each.text for each in together] == alone
    same = pipe(["a", "b", "a"], seed=5, **settings)
    assert same[0].text == same[2].text == pipe("a", seed=5, **settings).text


def test_streams(pipe: TextGenerationPipeline) -> None:
    for prompt in ("w", chat("w")):
        pieces = pipe.stream(prompt)
        assert list(pieces) == ["x", "y", "z"]
        assert pieces.generation == pipe(prompt)


def test_stop_strings(pipe: TextGenerationPipeline) -> None:
    assert list(pipe.stream("a", stop="de")) == ["b", "c"]
    assert pipe("a", stop=["zz", "ef"]).text == "bcd"


def test_chat_options_reach_the_template(pipe: TextGenerationPipeline) -> None:
    assert pipe(chat("a"), chat_options={"suffix": "q"}, max_new_tokens=2).text == "rs"
    assert "".join(pipe.stream(chat("a"), chat_options={"suffix": "w"})) == "xyz"
    with pytest.raises(InvalidInput, match="only chats"):
        pipe("a", chat_options={"suffix": "q"})


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("", r"items\[0\] is an empty prompt"),
        (["a", ""], r"items\[1\] is an empty prompt"),
        (["a", []], r"items\[1\].*no messages"),
        ([{"content": "hello"}], r"messages\[0\]: it has no 'role'"),
        ([{"role": "user"}], "has no 'content'"),
        (["a", [{"content": "hello"}]], r"items\[1\]: messages\[0\]: it has no 'role'"),
        (["a", {"role": "user", "content": "b"}], r"items\[1\] is one message"),
        (["a", 3], r"items\[1\]"),
        (3, "found int"),
        (None, "found NoneType"),
        (b"a", "found bytes"),
        ({"role": "user", "content": "a"}, "found dict"),
        (["a", "b" * 60], "Prompt 1 has 60 tokens.*context of 60"),
    ],
)
def test_prompts_that_can_not_be_used(pipe: TextGenerationPipeline, prompts: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        pipe(prompts)
    assert pipe.model.backbone.calls == 0, "refused before anything is computed"


@pytest.mark.parametrize(
    "options",
    [{"messages": []}, {"items": []}, {"self": 1}, {"add_special_tokens": True}, {1: 2}, ["suffix"], {"template": 5}],
)
def test_chat_options_that_are_none_are_refused(pipe: TextGenerationPipeline, options: Any) -> None:
    with pytest.raises(InvalidInput, match=r"chat_options|template"):
        pipe(chat("a"), chat_options=options)
    with pytest.raises(InvalidInput, match="messages: no option of a chat"):
        pipe.preprocessor([chat("a")], messages=[])


@pytest.mark.parametrize("batch_size", ["x", None, 0, -1, 2.0, True])
def test_a_batch_size_that_is_none_is_refused(pipe: TextGenerationPipeline, batch_size: Any) -> None:
    with pytest.raises(InvalidInput, match="batch_size: expected a whole number above 0"):
        pipe("a", batch_size=batch_size)


def test_settings_can_be_checked_without_a_prompt(pipe: TextGenerationPipeline) -> None:
    pipe.check_settings(batch_size=3, chat_options={"suffix": "q"}, top_p=0.5)
    for wrong in ({"batch_size": 0}, {"chat_options": {"items": []}}, {"top_p": 2.0}, {"foo": 1}):
        with pytest.raises(InvalidInput):
            pipe.check_settings(**wrong)


def test_settings_that_can_not_be_used(pipe: TextGenerationPipeline) -> None:
    for wrong in ({"top_p": 2.0}, {"max_tokens": 3}, {"batch_size": 0}, {"seed": [1, 2]}):
        with pytest.raises(InvalidInput):
            pipe("a", **wrong)
    with pytest.raises(InvalidInput):
        pipe.stream("a", max_new_tokens=0)
    with pytest.raises(InvalidInput, match="one text or chat"):
        pipe.stream(["a"])


def test_a_chat_for_a_model_without_a_template() -> None:
    with pytest.raises(TemplateError, match="no chat template"):
        TextGenerationPipeline(language_model(), preprocessor(None))(chat("a"))


def test_a_model_without_a_tokenizer() -> None:
    with pytest.raises(PreprocessorError, match=r"no tokenizer.*\n.*tokenizer\.json"):
        TextGenerationPipeline(language_model(), None)


def test_the_space_before_the_first_new_word_is_kept_in_a_text_and_not_in_a_reply() -> None:
    """SentencePiece's decoder strips the space at the beginning of what it is given."""
    words = ["▁a", "▁b", "▁c", "▁d", "<end>"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="▁a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages[0].content }}"}
    contents = {"tokenizer.json": tokenizer.to_str().encode(), "tokenizer_config.json": json.dumps(config).encode()}
    made = TextPreprocessor.from_files(MemoryFiles("(test)", contents), {})
    pipe = TextGenerationPipeline(language_model(), made)
    assert pipe("a b", max_new_tokens=2).text == " c d"
    assert list(pipe.stream("a b", max_new_tokens=2)) == [" c", " d"]
    assert pipe(chat("a b"), max_new_tokens=2).text == "c d"


def test_generate_takes_what_the_preprocessor_collates(pipe: TextGenerationPipeline) -> None:
    inputs = pipe.preprocessor.collate(pipe.preprocessor(["abc", "x"]))
    output = pipe.model.generate(**inputs, preprocessor=pipe.preprocessor, max_new_tokens=3)
    assert pipe.preprocessor.postprocess(output.token_ids, output.token_ids) == ["def", "yz"]
    assert output.finish_reasons == ("length", "end_of_turn")


class TestHead:
    SPEC = (FeatureSpec(name="hidden", channels=8, kind="tokens", modality="text", causal=True),)

    def head(self, **config: Any) -> CausalLMHead:
        head = CausalLMHead(self.SPEC, CausalLMHeadConfig(vocab_size=11, **config))
        head.init_weights(torch.Generator().manual_seed(0))
        return head

    def test_scores_only_the_last_positions_that_are_asked_for(self) -> None:
        head, features = self.head(), Features(tokens=torch.randn(2, 5, 8))
        everything = head(features).logits
        assert everything.shape == (2, 5, 11)
        torch.testing.assert_close(head(features, last=2).logits, everything[:, -2:])

    def test_bias(self) -> None:
        head, features = self.head(bias=True), Features(tokens=torch.randn(1, 1, 8))
        before = head(features).logits
        nn.init.constant_(head.bias, 0.5)
        torch.testing.assert_close(head(features).logits, before + 0.5)

    def test_the_loss_is_that_of_the_reference(self) -> None:
        torch.manual_seed(0)
        reference = LlamaForCausalLM(
            LlamaConfig(vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        )
        ids = torch.randint(0, 11, (3, 6))
        target = ids.masked_fill(torch.tensor([[0, 0, 1, 0, 0, 1]]).bool(), -100)
        with torch.no_grad():
            expected = reference(ids, labels=target)
            head = self.head()
            output = head(Features(tokens=reference.model(ids).last_hidden_state))
            output.logits = expected.logits
            loss, terms = head.loss(output, target)
        torch.testing.assert_close(loss, expected.loss)
        assert list(terms) == ["next_token"]

    def test_losses_of_parts_with_shared_denominators_add_up(self) -> None:
        head = self.head()
        output = head(Features(tokens=torch.randn(4, 6, 8)))
        target = torch.randint(0, 11, (4, 6)).masked_fill(torch.rand(4, 6) < 0.3, -100)
        whole, _ = head.loss(output, target)
        denominators = head.count(target)
        parts = 0.0
        for rows in (slice(0, 1), slice(1, 4)):
            part = type(output)(output.logits[rows])
            parts += head.loss(part, target[rows], denominators)[0]
        torch.testing.assert_close(parts, whole)

    def test_nothing_to_predict_is_no_division_by_zero(self) -> None:
        head = self.head()
        loss, _ = head.loss(head(Features(tokens=torch.randn(1, 3, 8))), torch.full((1, 3), -100))
        assert loss.item() == 0
