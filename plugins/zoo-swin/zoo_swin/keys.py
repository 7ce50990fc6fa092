"""How Swin's tensors are called on disk: by the Hub's classes, by the authors' files and by timm's."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.interfaces import LayoutConfigs
from zoo.weights.key_map import Ignore, KeyMap, Rule
from zoo.weights.operations import Split
from zoo_swin.config import SwinV2Config, Transformer

__all__ = [
    "SWIN",
    "SWINV2",
    "SWINV2_CLASSIFIER",
    "SWINV2_MASKED",
    "SWIN_CLASSIFIER",
    "SWIN_MASKED",
    "microsoft",
    "timm",
]

_POSITIONS = "which positions a bias stands for is computed from the size of the windows"
_MASKED = "it belongs to masked image modelling, the task that the backbone was pretrained with"

_BLOCK = "encoder.layers.{s}.blocks.{i}"
_PROJECTIONS = {"q_proj": "self.query", "k_proj": "self.key", "v_proj": "self.value", "o_proj": "output.dense"}


def _both(stored: str, model: str, *, aliases: tuple[str, ...] = ()) -> list[Rule]:
    """The rules of a weight and its bias."""
    return [
        Rule(f"{stored}.{kind}", f"{model}.{kind}", aliases=tuple(f"{alias}.{kind}" for alias in aliases))
        for kind in ("weight", "bias")
    ]


def _hub(attention: Iterable[Rule], derived: Iterable[str]) -> KeyMap:
    """The Hub's names, with what the two versions differ in. Aliases are what transformers 5 calls them in memory."""
    theirs, ours = f"{_BLOCK}.attention", "stages.{s}.blocks.{i}.attention"
    rules = [
        *_both("embeddings.patch_embeddings.projection", "patch_embedding.projection"),
        *_both("embeddings.norm", "patch_embedding.norm"),
        Rule("embeddings.position_embeddings", "patch_embedding.position_embeddings"),
        *_both(f"{_BLOCK}.layernorm_before", "stages.{s}.blocks.{i}.norm1"),
        *_both(f"{_BLOCK}.layernorm_after", "stages.{s}.blocks.{i}.norm2"),
        *_both(f"{_BLOCK}.intermediate.dense", "stages.{s}.blocks.{i}.mlp.fc1", aliases=(f"{_BLOCK}.mlp.fc1",)),
        *_both(f"{_BLOCK}.output.dense", "stages.{s}.blocks.{i}.mlp.fc2", aliases=(f"{_BLOCK}.mlp.fc2",)),
        *_both("encoder.layers.{s}.downsample.norm", "stages.{s}.downsample.norm"),
        Rule("encoder.layers.{s}.downsample.reduction.weight", "stages.{s}.downsample.reduction.weight"),
        *_both("layernorm", "norm"),
        *attention,
    ]
    for name, stored in _PROJECTIONS.items():
        rules += _both(f"{theirs}.{stored}", f"{ours}.{name}", aliases=(f"{theirs}.{name}",))
    ignored = [Ignore(f"{theirs}.{name}", _POSITIONS) for name in derived]
    return KeyMap(tuple(rules), (*ignored, Ignore("embeddings.mask_token", _MASKED)))


_TABLE = "relative_position_bias_table"
_SWIN = _hub(
    [
        Rule(
            f"{_BLOCK}.attention.self.{_TABLE}",
            "stages.{s}.blocks.{i}.attention.position_bias.weight",
            aliases=(f"{_BLOCK}.attention.relative_position_bias.{_TABLE}",),
        )
    ],
    ("self.relative_position_index", "relative_position_bias.relative_position_index"),
)
_SWINV2 = _hub(
    [
        Rule(f"{_BLOCK}.attention.self.logit_scale", "stages.{s}.blocks.{i}.attention.logit_scale"),
        *(
            Rule(
                f"{_BLOCK}.attention.self.continuous_position_bias_mlp.{theirs}",
                f"stages.{{s}}.blocks.{{i}}.attention.position_bias.{ours}",
            )
            for theirs, ours in (("0.weight", "fc1.weight"), ("0.bias", "fc1.bias"), ("2.weight", "fc2.weight"))
        ),
    ],
    ("self.relative_position_index", "self.relative_coords_table"),
)
_CLASSIFIER = KeyMap(tuple(_both("classifier", "head")))
_DECODER = KeyMap((), tuple(Ignore(f"decoder.0.{kind}", _MASKED) for kind in ("weight", "bias")))

SWIN = _SWIN.prefixed(model="backbone.")
"""SwinModel of the Hub."""

SWIN_CLASSIFIER = _SWIN.prefixed(stored="swin.", model="backbone.") + _CLASSIFIER
"""SwinForImageClassification of the Hub."""

SWIN_MASKED = _SWIN.prefixed(stored="swin.", model="backbone.") + _DECODER
"""The backbone of SwinForMaskedImageModeling of the Hub."""

SWINV2 = _SWINV2.prefixed(model="backbone.")
"""Swinv2Model of the Hub."""

SWINV2_CLASSIFIER = _SWINV2.prefixed(stored="swinv2.", model="backbone.") + _CLASSIFIER
"""Swinv2ForImageClassification of the Hub."""

SWINV2_MASKED = _SWINV2.prefixed(stored="swinv2.", model="backbone.") + _DECODER
"""The backbone of Swinv2ForMaskedImageModeling of the Hub."""


def microsoft(configs: LayoutConfigs) -> KeyMap:
    """The authors' names: `downsample` lies in the stage whose blocks come before it."""
    return _original(configs, downsample_offset=0, head="head")


def timm(configs: LayoutConfigs) -> KeyMap:
    """timm's names: `downsample` lies in the stage whose blocks come after it."""
    return _original(configs, downsample_offset=1, head="head.fc")


def _original(configs: LayoutConfigs, *, downsample_offset: int, head: str) -> KeyMap:
    """Queries, keys and values are one tensor. V2 has no bias of keys and stores those of queries and values apart."""
    config = configs.architecture
    assert isinstance(config, Transformer)
    theirs, ours = "layers.{s}.blocks.{i}", "backbone.stages.{s}.blocks.{i}"
    projections = [f"{ours}.attention.{name}" for name in ("q_proj", "k_proj", "v_proj")]
    rules = [
        *_both("patch_embed.proj", "backbone.patch_embedding.projection"),
        *_both("patch_embed.norm", "backbone.patch_embedding.norm"),
        *_both(f"{theirs}.norm1", f"{ours}.norm1"),
        *_both(f"{theirs}.norm2", f"{ours}.norm2"),
        *_both(f"{theirs}.mlp.fc1", f"{ours}.mlp.fc1"),
        *_both(f"{theirs}.mlp.fc2", f"{ours}.mlp.fc2"),
        *_both(f"{theirs}.attn.proj", f"{ours}.attention.o_proj"),
        Rule(f"{theirs}.attn.qkv.weight", tuple(f"{name}.weight" for name in projections), Split(3)),
        *_both("norm", "backbone.norm"),
        *_both(head, "head"),
    ]
    derived = [f"{theirs}.attn_mask", f"{theirs}.attn.relative_position_index"]
    if isinstance(config, SwinV2Config):
        position_bias = f"{ours}.attention.position_bias"
        rules += [
            Rule(f"{theirs}.attn.q_bias", f"{projections[0]}.bias"),
            Rule(f"{theirs}.attn.v_bias", f"{projections[2]}.bias"),
            Rule(f"{theirs}.attn.logit_scale", f"{ours}.attention.logit_scale"),
            *_both(f"{theirs}.attn.cpb_mlp.0", f"{position_bias}.fc1"),
            Rule(f"{theirs}.attn.cpb_mlp.2.weight", f"{position_bias}.fc2.weight"),
        ]
        derived.append(f"{theirs}.attn.relative_coords_table")
    else:
        rules += [
            Rule(f"{theirs}.attn.qkv.bias", tuple(f"{name}.bias" for name in projections), Split(3)),
            Rule(f"{theirs}.attn.{_TABLE}", f"{ours}.attention.position_bias.weight"),
            Rule("absolute_pos_embed", "backbone.patch_embedding.position_embeddings"),
        ]
    for stage in range(len(config.depths) - 1):
        stored, model = f"layers.{stage + downsample_offset}.downsample", f"backbone.stages.{stage}.downsample"
        rules += [*_both(f"{stored}.norm", f"{model}.norm")]
        rules += [Rule(f"{stored}.reduction.weight", f"{model}.reduction.weight")]
    return KeyMap(tuple(rules), tuple(Ignore(name, _POSITIONS) for name in derived))
