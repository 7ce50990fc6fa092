"""How the tensors of ViT, DeiT and DINOv2 are called on disk by the Hub's classes and by the authors."""

from __future__ import annotations

from zoo.interfaces import LayoutConfigs
from zoo.weights.key_map import Ignore, KeyMap, Rule
from zoo.weights.operations import Split
from zoo_vit.config import Transformer

__all__ = [
    "DEIT",
    "DEIT_CLASSIFIER",
    "DEIT_MASKED",
    "DEIT_TEACHER",
    "DINOV2",
    "VIT",
    "VIT_CLASSIFIER",
    "VIT_MASKED",
    "dinov2_classifier",
    "original",
]

_MASKED = "it belongs to masked image modelling, the task that the backbone was pretrained with"

_LAYER = "encoder.layer.{i}"
_PROJECTIONS = {
    "q_proj": "attention.attention.query",
    "k_proj": "attention.attention.key",
    "v_proj": "attention.attention.value",
    "o_proj": "attention.output.dense",
}


def _both(stored: str, model: str, *, aliases: tuple[str, ...] = ()) -> list[Rule]:
    """The rules of a weight and its bias."""
    return [
        Rule(f"{stored}.{kind}", f"{model}.{kind}", aliases=tuple(f"{alias}.{kind}" for alias in aliases))
        for kind in ("weight", "bias")
    ]


def _embedding(*tokens: tuple[str, str]) -> list[Rule]:
    return [
        Rule("embeddings.cls_token", "embedding.class_token"),
        Rule("embeddings.position_embeddings", "embedding.position_embeddings"),
        *_both("embeddings.patch_embeddings.projection", "embedding.projection"),
        *(Rule(f"embeddings.{stored}", f"embedding.{model}") for stored, model in tokens),
    ]


def _vit(*tokens: tuple[str, str]) -> KeyMap:
    """ViT's names. Aliases are what transformers 5 calls them in memory."""
    ours, in_memory = "layers.{i}", "layers.{i}"
    rules = [
        *_embedding(*tokens),
        *_both(f"{_LAYER}.layernorm_before", f"{ours}.norm1", aliases=(f"{in_memory}.layernorm_before",)),
        *_both(f"{_LAYER}.layernorm_after", f"{ours}.norm2", aliases=(f"{in_memory}.layernorm_after",)),
        *_both(f"{_LAYER}.intermediate.dense", f"{ours}.mlp.fc1", aliases=(f"{in_memory}.mlp.fc1",)),
        *_both(f"{_LAYER}.output.dense", f"{ours}.mlp.fc2", aliases=(f"{in_memory}.mlp.fc2",)),
        *_both("layernorm", "norm"),
        *_both("pooler.dense", "pooler.dense"),
    ]
    for name, stored in _PROJECTIONS.items():
        alias = f"{in_memory}.attention.{name}"
        rules += _both(f"{_LAYER}.{stored}", f"{ours}.attention.{name}", aliases=(alias,))
    return KeyMap(tuple(rules), (Ignore("embeddings.mask_token", _MASKED),))


def _dinov2() -> KeyMap:
    """DINOv2's names, with registers or without. Gates and values of a SwiGLU are one tensor."""
    ours = "layers.{i}"
    gates = tuple(f"{ours}.mlp.{name}" for name in ("gate_proj", "up_proj"))
    rules = [
        *_embedding(("mask_token", "mask_token"), ("register_tokens", "register_tokens")),
        *(rule for index in (1, 2) for rule in _both(f"{_LAYER}.norm{index}", f"{ours}.norm{index}")),
        *(Rule(f"{_LAYER}.layer_scale{index}.lambda1", f"{ours}.layer_scale{index}.weight") for index in (1, 2)),
        *_both(f"{_LAYER}.mlp.fc1", f"{ours}.mlp.fc1"),
        *_both(f"{_LAYER}.mlp.fc2", f"{ours}.mlp.fc2"),
        *(
            Rule(f"{_LAYER}.mlp.weights_in.{kind}", tuple(f"{gate}.{kind}" for gate in gates), Split(2))
            for kind in ("weight", "bias")
        ),
        *_both(f"{_LAYER}.mlp.weights_out", f"{ours}.mlp.down_proj", aliases=(f"{_LAYER}.mlp.down_proj",)),
        *_both("layernorm", "norm"),
    ]
    for name, stored in _PROJECTIONS.items():
        alias = f"{_LAYER}.attention.{name}"
        rules += _both(f"{_LAYER}.{stored}", f"{ours}.attention.{name}", aliases=(alias,))
    return KeyMap(tuple(rules))


_VIT, _DEIT, _DINOV2 = _vit(), _vit(("distillation_token", "distillation_token")), _dinov2()
_CLASSIFIER = KeyMap(tuple(_both("classifier", "head")))
_DECODER = KeyMap((), tuple(Ignore(f"decoder.0.{kind}", _MASKED) for kind in ("weight", "bias")))

VIT = _VIT.prefixed(model="backbone.")
"""ViTModel of the Hub."""

VIT_CLASSIFIER = _VIT.prefixed(stored="vit.", model="backbone.") + _CLASSIFIER
"""ViTForImageClassification of the Hub."""

VIT_MASKED = _VIT.prefixed(stored="vit.", model="backbone.") + _DECODER
"""The backbone of ViTForMaskedImageModeling of the Hub."""

DEIT = _DEIT.prefixed(model="backbone.")
"""DeiTModel of the Hub."""

DEIT_CLASSIFIER = _DEIT.prefixed(stored="deit.", model="backbone.") + _CLASSIFIER
"""DeiTForImageClassification of the Hub."""

DEIT_TEACHER = _DEIT.prefixed(stored="deit.", model="backbone.") + KeyMap(
    (
        *_both("cls_classifier", "head.class_classifier"),
        *_both("distillation_classifier", "head.distillation_classifier"),
    )
)
"""DeiTForImageClassificationWithTeacher of the Hub."""

DEIT_MASKED = _DEIT.prefixed(stored="deit.", model="backbone.") + _DECODER
"""The backbone of DeiTForMaskedImageModeling of the Hub."""

DINOV2 = _DINOV2.prefixed(model="backbone.")
"""Dinov2Model and Dinov2WithRegistersModel of the Hub."""


def dinov2_classifier(configs: LayoutConfigs) -> KeyMap:
    """Dinov2ForImageClassification and Dinov2WithRegistersForImageClassification of the Hub: each has a prefix of its
    own.
    """
    config = configs.architecture
    assert isinstance(config, Transformer)
    return _DINOV2.prefixed(stored=f"{config.hub_type}.", model="backbone.") + _CLASSIFIER


def original(configs: LayoutConfigs) -> KeyMap:
    """The authors' names, and timm's: queries, keys and values are one tensor, as are gates and values."""
    config = configs.architecture
    assert isinstance(config, Transformer)
    theirs, ours = "blocks.{i}", "backbone.layers.{i}"
    projections = [f"{ours}.attention.{name}" for name in ("q_proj", "k_proj", "v_proj")]
    rules = [
        Rule("cls_token", "backbone.embedding.class_token"),
        Rule("dist_token", "backbone.embedding.distillation_token"),
        Rule("register_tokens", "backbone.embedding.register_tokens"),
        Rule("mask_token", "backbone.embedding.mask_token"),
        Rule("pos_embed", "backbone.embedding.position_embeddings"),
        *_both("patch_embed.proj", "backbone.embedding.projection"),
        *(rule for index in (1, 2) for rule in _both(f"{theirs}.norm{index}", f"{ours}.norm{index}")),
        *(Rule(f"{theirs}.ls{index}.gamma", f"{ours}.layer_scale{index}.weight") for index in (1, 2)),
        *(
            Rule(f"{theirs}.attn.qkv.{kind}", tuple(f"{name}.{kind}" for name in projections), Split(3))
            for kind in ("weight", "bias")
        ),
        *_both(f"{theirs}.attn.proj", f"{ours}.attention.o_proj"),
        *_both("norm", "backbone.norm"),
    ]
    if config.gated_mlp:
        gates = [f"{ours}.mlp.{name}" for name in ("gate_proj", "up_proj")]
        rules += [
            Rule(
                f"{theirs}.mlp.w12.{kind}",
                tuple(f"{gate}.{kind}" for gate in gates),
                Split(2),
                aliases=(f"{theirs}.mlp.fc1.{kind}",),
            )
            for kind in ("weight", "bias")
        ]
        rules += _both(f"{theirs}.mlp.w3", f"{ours}.mlp.down_proj", aliases=(f"{theirs}.mlp.fc2",))
    else:
        rules += [*_both(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1"), *_both(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2")]
    if config.distillation_token:
        rules += [*_both("head", "head.class_classifier"), *_both("head_dist", "head.distillation_classifier")]
    else:
        rules += _both("head", "head")
    return KeyMap(tuple(rules))
