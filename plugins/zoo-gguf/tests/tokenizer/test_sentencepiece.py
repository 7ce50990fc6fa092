from __future__ import annotations

import heapq
from typing import Any

import pytest
from tokenizers import Tokenizer

from zoo.errors import PreprocessorError

SPACE = "▁"


def encode_as_llama_cpp(text: str, keys: dict[str, Any]) -> list[int]:
    """llama.cpp's own algorithm: the neighbours whose union scores highest are merged, the leftmost first."""
    tokens, scores = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"]
    ids = {token: index for index, token in enumerate(tokens)}
    symbols = list((SPACE + text.replace(" ", SPACE)) if text else "")
    following = list(range(1, len(symbols) + 1))
    before = list(range(-1, len(symbols) - 1))
    queue: list[tuple[float, int, int, str]] = []

    def consider(left: int, right: int) -> None:
        if left >= 0 and right < len(symbols) and symbols[left] + symbols[right] in ids:
            joined = symbols[left] + symbols[right]
            heapq.heappush(queue, (-scores[ids[joined]], left, right, joined))

    for index in range(1, len(symbols)):
        consider(index - 1, index)
    while queue:
        _, left, right, joined = heapq.heappop(queue)
        if not symbols[left] or not symbols[right] or symbols[left] + symbols[right] != joined:
            continue
        symbols[left], symbols[right] = joined, ""
        following[left] = following[right]
        if following[right] < len(symbols):
            before[following[right]] = left
        consider(before[left], left)
        consider(left, following[left])
    found = []
    for symbol in filter(None, symbols):
        found += [ids[symbol]] if symbol in ids else [ids[f"<0x{byte:02X}>"] for byte in symbol.encode()]
    return found


def test_text_is_tokenized_as_by_llama_cpp(tokenizer_of, sentencepiece_keys, texts) -> None:
    ours: Tokenizer = tokenizer_of(sentencepiece_keys)
    for text in texts:
        assert ours.encode(text, add_special_tokens=False).ids == encode_as_llama_cpp(text, sentencepiece_keys), text


def test_decoding_gives_the_text_back(tokenizer_of, sentencepiece_keys, texts) -> None:
    ours: Tokenizer = tokenizer_of(sentencepiece_keys)
    for text in texts:
        assert ours.decode(ours.encode(text).ids) == text


def test_begin_is_added_and_end_is_not_unless_the_file_says_otherwise(tokenizer_of, sentencepiece_keys) -> None:
    ids = tokenizer_of(sentencepiece_keys).encode("hello").ids
    assert (ids[0], ids[-1] == 2) == (1, False)
    keys = sentencepiece_keys | {"tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.add_eos_token": True}
    ids = tokenizer_of(keys).encode("hello").ids
    assert (ids[0] == 1, ids[-1]) == (False, 2)


def test_a_file_that_names_no_ids_has_those_of_llama(tokenizer_of, side_file, sentencepiece_keys) -> None:
    keys = {key: value for key, value in sentencepiece_keys.items() if not key.endswith("_token_id")}
    assert tokenizer_of(keys).encode("hello").tokens[0] == "<s>"
    assert side_file(keys, "special_tokens_map.json") == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }


def test_the_space_before_a_text_can_be_off(tokenizer_of, sentencepiece_keys) -> None:
    ours = tokenizer_of(sentencepiece_keys | {"tokenizer.ggml.add_space_prefix": False})
    assert not ours.encode("hello").tokens[1].startswith(SPACE)
    assert ours.decode(ours.encode(" hello").ids) == " hello"


def test_special_tokens_stay_whole_and_text_after_them_gets_its_space(tokenizer_of, sentencepiece_keys) -> None:
    tokens = [*sentencepiece_keys["tokenizer.ggml.tokens"], "  "]
    change = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [*sentencepiece_keys["tokenizer.ggml.scores"], 0.0],
        "tokenizer.ggml.token_type": [*sentencepiece_keys["tokenizer.ggml.token_type"], 4],
    }
    ours = tokenizer_of(sentencepiece_keys | change)
    encoding = ours.encode("<s>h</s>h  h", add_special_tokens=False)
    assert encoding.ids[0] == 1
    assert encoding.tokens.count("</s>") == 1
    assert len(tokens) - 1 in encoding.ids
    after = encoding.tokens[encoding.tokens.index("</s>") + 1]
    assert after.startswith(SPACE)


def test_merges_in_the_file_are_taken(tokenizer_of) -> None:
    keys = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", SPACE, "a", "b", "c", "ab", "bc"],
        "tokenizer.ggml.token_type": [2, 3, 3, 1, 1, 1, 1, 1, 1],
        "tokenizer.ggml.merges": ["b c", "a b"],
    }
    assert tokenizer_of(keys).encode("abc").tokens == ["<s>", SPACE, "a", "bc"]
    assert tokenizer_of(keys).encode("axc").tokens == ["<s>", SPACE, "a", "<unk>", "c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokenizer.ggml.scores": None}, "key 'tokenizer.ggml.scores': it is missing, and there is no"),
        ({"tokenizer.ggml.scores": [0.5]}, r"key 'tokenizer.ggml.scores': it has 1 items for \d+ tokens"),
        ({"tokenizer.ggml.scores": ["high"]}, "key 'tokenizer.ggml.scores': each of its items is text"),
        ({"tokenizer.ggml.add_space_prefix": "yes"}, "key 'tokenizer.ggml.add_space_prefix': found text"),
    ],
)
def test_what_can_not_be_used_is_refused_by_key(
    side_file, sentencepiece_keys, change: dict[str, Any], message: str
) -> None:
    keys = {key: value for key, value in (sentencepiece_keys | change).items() if value is not None}
    with pytest.raises(PreprocessorError, match=message):
        side_file(keys, "tokenizer.json")


def test_a_token_of_absurd_length_is_refused_and_not_cut_everywhere(sentencepiece_keys, tokenizer_of) -> None:
    keys = {name: list(value) if isinstance(value, list) else value for name, value in sentencepiece_keys.items()}
    place = next(index for index, kind in enumerate(keys["tokenizer.ggml.token_type"]) if kind == 1)
    keys["tokenizer.ggml.tokens"][place] = "a" * 80_000
    with pytest.raises(PreprocessorError, match=r"tokens': 'a+'\.\.\. \(80000 characters\)"):
        tokenizer_of(keys)
