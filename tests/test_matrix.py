"""Every vision backbone with every vision head, through every neck: it works, forward and backward, or it is refused
before anything is allocated. There is no third outcome.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import zoo
from zoo.composition import features_after, unmet
from zoo.registry import registry, resolve_object

TINY = {
    "swin": {"embed_dim": 8, "depths": [1, 1, 2, 1], "num_heads": [1, 1, 2, 2], "image_size": 64, "window_size": 2},
    "vit": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16},
}
TINY["swinv2"] = TINY["swin"]
TINY["deit"] = TINY["vit"] = {**TINY["vit"], "image_size": 64}
TINY["dinov2"] = {**TINY["vit"], "image_size": 70}

BACKBONES = [entry.spec.name for entry in registry().architectures if entry.spec.modality == "image"]
HEADS = [
    (head.full_name, task.spec.name)
    for head in registry().heads
    for task in registry().tasks
    if task.goes_by(head.spec.task) and any(each.modality == "image" for each in head.spec.requirements)
]
NECKS = [None, *(neck.spec.name for neck in registry().necks if neck.spec.requires.modality == "image")]


def test_every_vision_backbone_is_in_the_matrix():
    assert BACKBONES and HEADS and len(NECKS) > 1
    assert set(BACKBONES) <= set(TINY), "give the new architecture a tiny configuration above"


@pytest.fixture
def built(monkeypatch):
    """The modules that are built from here on."""
    made: list[nn.Module] = []
    original = nn.Module.__init__

    def counting(self, *args, **kwargs):
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "__init__", counting)
    return made


@pytest.mark.parametrize(
    ("backbone", "head", "task", "neck"),
    [(backbone, *head, neck) for backbone, head, neck in itertools.product(BACKBONES, HEADS, NECKS)],
)
def test_a_pair_runs_or_is_refused_before_it_is_built(backbone, head, task, neck, built):
    architecture = registry().architectures.get(backbone)
    model_type = architecture.spec.model_types[0]
    try:
        model = zoo.create({"model_type": model_type, **TINY[backbone]}, task=task, head=head, neck=neck, num_labels=3)
    except zoo.CompositionError as error:
        assert not built
        assert backbone in error.message and " needs " in error.message
        assert fits(architecture, head, neck) is False
        return
    assert fits(architecture, head, neck) is not False
    pixels = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    shape = (2, 64, 48) if task == "image-segmentation" else (2,)
    target = torch.randint(3, shape, generator=torch.Generator().manual_seed(1))
    output = model.train()({"pixel_values": pixels}, target)
    output.loss.backward()
    assert output.logits.shape[:2] == (2, 3) and output.loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.head.parameters())
    for part in (model.backbone, *([] if model.neck is None else [model.neck])):
        gradients = [parameter.grad for parameter in part.parameters() if parameter.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)


def fits(architecture, head, neck):
    """Whether the pair has to fit, by the features alone; None where the pair's own layout may bring a neck."""
    config = resolve_object(architecture.spec.config).from_hub(TINY[architecture.spec.name])
    features = config.feature_specs()
    if neck is not None:
        entry = registry().necks.get(neck)
        if unmet(entry.spec.requires, features) is not None:
            return False
        features = features_after(entry.spec, resolve_object(entry.spec.config)(), features)
    return any(unmet(each, features) is None for each in registry().heads.get(head).spec.requirements)
