"""The choice of an attention backend: once, with the reason when a named one can't serve."""

from __future__ import annotations

import pytest
import torch

import zoo
from zoo.nn.attention import EAGER_BACKEND, SDPA_BACKEND, bind_attention, causal_attention_mask

CONFIG = {
    "model_type": "llama",
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
}


PICKY = """
@hookimpl
def zoo_attention():
    return [AttentionSpec(name="picky", backend="zoo_picky.backend:Picky", priority=99)]
"""
BACKEND = """
class Picky:
    def unsupported(self, need):
        return f"it needs 128 channels per head, this model has {need.head_dim}"
"""


def test_a_plugins_backend_is_passed_over_by_auto_and_refused_by_name_with_its_reason(fake_plugin, run_python):
    plugin = fake_plugin("zoo-picky", PICKY)
    plugin.with_name("backend.py").write_text(BACKEND)
    result = run_python(
        f"""
        import zoo
        from zoo.nn.attention import SDPA_BACKEND, bind_attention
        model = zoo.create({CONFIG!r})
        assert all(layer.self_attn.attend is SDPA_BACKEND for layer in model.backbone.layers)
        try:
            bind_attention(model, "picky")
        except zoo.AttentionUnavailable as error:
            print(error)
        """
    )
    assert "it needs 128 channels per head, this model has 4" in result.stdout, result.stderr


def test_a_backend_whose_dependency_is_absent_is_passed_over_by_auto_and_refused_by_name(fake_plugin, run_python):
    plugin = fake_plugin("zoo-picky", PICKY)
    plugin.with_name("backend.py").write_text("import no_such_library")
    result = run_python(
        f"""
        import zoo
        from zoo.nn.attention import SDPA_BACKEND, bind_attention
        model = zoo.create({CONFIG!r})
        assert all(layer.self_attn.attend is SDPA_BACKEND for layer in model.backbone.layers)
        try:
            bind_attention(model, "picky")
        except zoo.MissingDependency as error:
            print(error)
        """
    )
    assert "zoo_picky.backend needs no_such_library" in result.stdout, result.stderr


def test_a_backend_is_bound_by_its_name():
    model = zoo.create(CONFIG, attention="eager")
    assert {layer.self_attn.attend for layer in model.backbone.layers} == {EAGER_BACKEND}
    bind_attention(model)
    assert {layer.self_attn.attend for layer in model.backbone.layers} == {SDPA_BACKEND}


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("queries", "keys"), [(5, 5), (1, 7), (3, 7)])
@pytest.mark.parametrize("padded", [False, True])
def test_the_backends_agree(groups, queries, keys, padded):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 2 * groups, queries, 8, generator=generator)
    k, v = torch.randn(2, 2, 2, keys, 8, generator=generator)
    real = None
    if padded:
        real = torch.ones(2, keys)
        real[1, :2] = 0
    mask, causal = causal_attention_mask(real, queries, keys, q.device)
    expected = EAGER_BACKEND(q, k, v, mask, causal=causal)
    torch.testing.assert_close(SDPA_BACKEND(q, k, v, mask, causal=causal), expected)
    assert expected.isfinite().all()


def test_a_query_sees_itself_and_what_is_before_it_but_no_padding():
    mask, causal = causal_attention_mask(torch.tensor([[0, 1, 1]]), 3, 3, torch.device("cpu"))
    assert not causal
    assert mask[0, 0].tolist() == [[True, False, False], [False, True, False], [False, True, True]]
    assert causal_attention_mask(None, 1, 9, torch.device("cpu")) == (None, False)
    assert causal_attention_mask(None, 4, 4, torch.device("cpu")) == (None, True)
