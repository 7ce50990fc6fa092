"""Which tokenizers the Hub's reference rebuilds, instead of taking tokenizer.json as it stands.

Since version 5 transformers gives some values of `tokenizer_class` a pipeline of their own: it takes the vocabulary,
the merges and the post-processor from tokenizer.json, and replaces the rest. For equal ids the same is done here, for
the classes that causal language models declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["class_defaults", "rebuilt_pipeline", "tokenizer_class"]

# Model types whose declared `tokenizer_class` the reference disregards.
AS_IS_MODEL_TYPES = frozenset(
    "EvollaModel arctic aria beam bigbird_pegasus camembertv2-base canary chatlm cohere_asr ernie4_5 ernie4_5_moe "
    "flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe glm_image glmasr got_ocr2 gpt_bigcode "
    "gradium_phonon_tts granite granitemoe granitemoehybrid granitemoeshared h2ovl_chat hyperclovax "
    "hyperclovax_vision_v2 hyperclovax_vlm internlm2 internlm3 iquestcoder jamba kimi_k25 kimi_linear kosmos-2 llava "
    "llava_next mimo_v2_flash minicpm3 minicpm_ocr minicpmv minicpmv4_6 minicpmv4_7 minimax_m2 ministral ministral3 "
    "mistral mistral3 mistral_large4 mixtral modernbert modernbert-decoder molmo molmo2 nemo_speechlm nemotron nvfp4 "
    "nystromformer olmo2 olmo3 olmo_hybrid opencua openvla paddleocr_vl pegasus_x persimmon phi3 phi3_v phimoe "
    "pix2struct pixtral pocket_tts qwen2 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen4_exp siglip2 smolvlm stablelm "
    "step3_vl umt5 vipllava voxtral voxtral_realtime xlm-roberta-xl".split()
)

# Model types that have one of these classes where none is declared.
_DEFAULT_CLASSES = {
    **dict.fromkeys("codegen dbrx emu3 gpt2 gpt_neo gptj jais2 opt phi starcoder2".split(), "GPT2Tokenizer"),
    **dict.fromkeys(("idefics", "idefics2"), "LlamaTokenizer"),
}


def tokenizer_class(settings: Mapping[str, Any], config: Mapping[str, Any], tokenizer: bytes) -> str | None:
    """The class whose pipeline replaces that of tokenizer.json, or None.

    settings: tokenizer_config.json. config: config.json. tokenizer: tokenizer.json, not parsed yet.
    """
    model_type = config.get("model_type")
    if model_type in AS_IS_MODEL_TYPES:
        return None
    declared = settings.get("tokenizer_class") or config.get("tokenizer_class")
    name = declared.removesuffix("Fast") if isinstance(declared, str) else _DEFAULT_CLASSES.get(str(model_type))
    if name == "LlamaTokenizer" and b'"ByteLevel"' in tokenizer:  # Llama 3 and after, under the name of Llama 2
        return None
    return name if name in _PIPELINES else None


def class_defaults(name: str | None) -> Mapping[str, str]:
    """The special tokens that a class assumes where no file names them."""
    return _DEFAULT_TOKENS.get(name or "", {})


def rebuilt_pipeline(name: str, tokenizer: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """tokenizer.json's contents with the pipeline of the class, and without added tokens."""
    model = tokenizer["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        vocabulary = {entry[0] if isinstance(entry, list) else entry: index for index, entry in enumerate(vocabulary)}
    return {
        "version": tokenizer.get("version", "1.0"),
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "post_processor": tokenizer.get("post_processor"),
        **_PIPELINES[name](settings, {"type": "BPE", "vocab": vocabulary, "merges": model.get("merges", [])}),
    }


def _llama(settings: Mapping[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """SentencePiece's BPE: spaces are written as U+2581, unknown characters fall back to their bytes."""
    prefix = settings.get("add_prefix_space")
    prefix = True if prefix is None else prefix
    scheme = ("always" if settings.get("legacy", False) else "first") if prefix else "never"
    decoders: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "model": {**model, "fuse_unk": True, "byte_fallback": True},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": False},
        "decoder": {"type": "Sequence", "decoders": decoders},
    }


def _gpt2(settings: Mapping[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Byte-level BPE, split by GPT-2's expression alone."""
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": bool(settings.get("add_prefix_space", False)),
        "trim_offsets": True,
        "use_regex": True,
    }
    return {
        "model": {**model, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False},
        "pre_tokenizer": byte_level,
        "decoder": {**byte_level, "add_prefix_space": True},
    }


_PIPELINES: dict[str, Callable[[Mapping[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "LlamaTokenizer": _llama,
    "GPT2Tokenizer": _gpt2,
}
_DEFAULT_TOKENS: dict[str, Mapping[str, str]] = {
    "LlamaTokenizer": {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
    "GPT2Tokenizer": {
        "unk_token": "<|endoftext|>",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
    },
}
