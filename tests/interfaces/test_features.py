"""Features and outputs are pytrees: compile, export and device moves see the tensors inside."""

from __future__ import annotations

import torch
from torch.utils import _pytree

from zoo.interfaces.features import Features
from zoo.tasks.text_classification import ClassificationOutput


def test_tensors_inside_are_leaves_and_the_rest_is_kept():
    features = Features(tokens=torch.ones(1, 2, 3), maps=(torch.zeros(1),), extras={"router": torch.ones(2)})
    doubled = _pytree.tree_map_only(torch.Tensor, lambda tensor: tensor * 2, features)
    assert doubled.tokens.sum() == 12
    assert doubled.extras["router"].sum() == 4
    assert isinstance(doubled.maps, tuple)


def test_an_exported_program_returns_them():
    class Module(torch.nn.Module):
        def forward(self, x):
            return ClassificationOutput(x * 2)

    program = torch.export.export(Module(), (torch.ones(2),))
    assert program.module()(torch.ones(2)).logits.tolist() == [2, 2]
