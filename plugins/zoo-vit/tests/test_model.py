"""What the network does beside computing the reference's numbers."""

from __future__ import annotations

import pytest
import torch

import zoo
from zoo import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.nn.attention import bind_attention
from zoo.tasks.head_configs import ImageClassifierConfig
from zoo.testing import assert_logits_agree, shake
from zoo_vit.config import DeiTConfig, Dinov2Config, ViTConfig
from zoo_vit.heads import ClassAndMeanClassifier, DistilledClassifier
from zoo_vit.model import VisionTransformer

SHAPE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 32, "patch_size": 8}
CONFIGS = {
    "vit": ViTConfig(**SHAPE, intermediate_size=40, pooler=True),
    "deit": DeiTConfig(**SHAPE, intermediate_size=40),
    "dinov2": Dinov2Config(
        **SHAPE, use_swiglu_ffn=True, model_type="dinov2_with_registers", num_register_tokens=2, layerscale_value=0.5
    ),
}


def make(config):
    model = VisionTransformer(config)
    model.init_weights(torch.Generator().manual_seed(0))
    shake(model)
    return model.eval()


@pytest.fixture(params=CONFIGS)
def model(request):
    return make(CONFIGS[request.param])


def test_the_model_with_its_head_compiles_as_one_graph_for_each_size_of_image(images):
    model = make(CONFIGS["dinov2"].replace(num_hidden_layers=1))
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    head = ClassAndMeanClassifier(model.config.feature_specs()[:1], ImageClassifierConfig())
    head.init_weights(torch.Generator().manual_seed(0))
    whole = ComposedTaskModel(model, head)
    compiled = torch.compile(whole, fullgraph=True, backend=backend)
    with torch.inference_mode():
        for size in ((2, 32, 32), (2, 33, 60), (3, 33, 60), (5, 33, 60)):
            pixels = {"pixel_values": images(*size)}
            torch.testing.assert_close(compiled(pixels).logits, whole(pixels).logits)
    torch._dynamo.reset()
    assert len(graphs) == 3  # the second batch size makes the batch an unknown


def test_an_exported_model_takes_any_batch(images):
    model = make(CONFIGS["dinov2"])
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (images(2, 40, 56),), dynamic_shapes={"pixel_values": {0: batch}})
    with torch.inference_mode():
        features = exported.module()(images(5, 40, 56))
        assert isinstance(features, Features)
        torch.testing.assert_close(features.tokens, model(images(5, 40, 56)).tokens)
        assert features.grid == (5, 7)


def test_attention_backends_agree(model, images):
    results = []
    with torch.inference_mode():
        for backend in ("sdpa", "eager"):
            bind_attention(model, backend)
            results.append(model(images(2, 50, 70)).tokens)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_bfloat16_runs_and_is_near(model, images):
    with torch.inference_mode():
        expected = model(images(2, 41, 50)).tokens
        narrow = model.to(torch.bfloat16)(images(2, 41, 50).bfloat16())
    assert narrow.tokens.dtype == narrow.vector.dtype == torch.bfloat16
    assert_logits_agree(narrow.tokens, expected, 0.1)


def test_bfloat16_positions_of_dinov2_are_interpolated_in_float32(images):
    model = make(CONFIGS["dinov2"]).to(torch.bfloat16)
    wide = make(CONFIGS["dinov2"])
    wide.load_state_dict({name: tensor.float() for name, tensor in model.state_dict().items()})
    for size in ((5, 7), (3, 2)):
        expected = wide.embedding._positions(*size).bfloat16()
        assert torch.equal(model.embedding._positions(*size), expected)


def test_recomputing_blocks_gives_the_same_gradients(model, images):
    model.train()
    gradients = []
    for recompute in (False, True):
        model.gradient_checkpointing = recompute
        model.zero_grad()
        model(images(2, 32, 32)).tokens.square().sum().backward()
        gradients.append({name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None})
    assert len(gradients[0]) > 40
    for name, kept in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], kept)


def test_drop_path_leaves_whole_samples_out_only_while_training(images):
    model = make(CONFIGS["dinov2"].replace(drop_path_rate=0.5))
    pixels = images(1, 32, 32).expand(4, -1, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        trained, evaluated = model.train()(pixels).vector, model.eval()(pixels).vector
    assert len({tuple(row.tolist()) for row in trained}) > 1
    torch.testing.assert_close(evaluated[0], evaluated[3])


@pytest.mark.parametrize("field", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_dropout_drops_only_while_training(images, field):
    model = make(CONFIGS["vit"].replace(**{field: 0.5}))
    plain = make(CONFIGS["vit"])
    torch.manual_seed(0)
    with torch.no_grad():
        assert torch.equal(model(images(1, 32, 32)).tokens, plain(images(1, 32, 32)).tokens)
        assert not torch.allclose(model.train()(images(1, 32, 32)).tokens, plain(images(1, 32, 32)).tokens)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 4, 32, 32), (1, 3, 32, 32, 1)])
def test_images_of_another_shape_are_refused(model, shape):
    with pytest.raises(InvalidInput, match="expected \\(batch, 3, height, width\\)"):
        model(torch.zeros(shape))


def test_images_smaller_than_a_patch_are_refused(model):
    with pytest.raises(InvalidInput, match="at least 8 x 8 pixels, a patch"):
        model(torch.zeros(1, 3, 7, 40))


def test_masked_patches_need_a_mask_token(images):
    model = make(CONFIGS["vit"])
    with pytest.raises(InvalidInput, match="no mask token"):
        model(images(1, 32, 32), masked_patches=torch.ones(1, 16, dtype=torch.bool))


def test_a_fresh_network_begins_as_its_configuration_says():
    model = zoo.create(CONFIGS["dinov2"], task=None, seed=3)
    state = model.state_dict()
    assert set(state["layers.0.layer_scale1.weight"].tolist()) == {0.5}
    assert not state["embedding.mask_token"].any()
    assert not state["layers.1.attention.q_proj.bias"].any()
    assert 0.01 < state["embedding.position_embeddings"].std() < 0.03
    assert state["embedding.register_tokens"].std() > 0
    again = zoo.create(CONFIGS["dinov2"], task=None, seed=3).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_dinov2_takes_the_classifier_that_reads_class_and_mean():
    model = zoo.create(CONFIGS["dinov2"], task="image-classification", num_labels=4)
    assert isinstance(model.head, ClassAndMeanClassifier)
    assert model.head.weight.shape == (4, 48)
    assert 0.01 < model.head.weight.std() < 0.03
    assert not model.head.bias.any()


def test_the_mean_leaves_out_what_stands_before_the_patches(images):
    model = make(CONFIGS["dinov2"])
    head = ClassAndMeanClassifier(model.config.feature_specs()[:1], ImageClassifierConfig())
    head.init_weights(torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model(images(1, 32, 32))
        before = head(features).logits
        features.tokens[:, 1:3] += 100  # the registers
        assert torch.equal(head(features).logits, before)
        features.tokens[:, 3:] += 1
        assert not torch.allclose(head(features).logits, before)


def test_a_distilled_classifier_learns_from_labels_and_from_a_teacher(images):
    backbone = make(CONFIGS["deit"])
    head = DistilledClassifier(backbone.config.feature_specs()[:1], ImageClassifierConfig(labels=("a", "b", "c")))
    head.init_weights(torch.Generator().manual_seed(0))
    model = ComposedTaskModel(backbone, head)
    pixels = {"pixel_values": images(2, 32, 32)}
    labels, teacher = torch.tensor([0, 2]), torch.tensor([1, 2])
    alone = model(pixels, labels)
    taught = model(pixels, torch.stack([labels, teacher], dim=1))
    cross_entropy = torch.nn.functional.cross_entropy
    assert torch.allclose(alone.losses["label"], cross_entropy(alone.class_logits, labels))
    assert torch.allclose(taught.losses["distillation"], cross_entropy(taught.distillation_logits, teacher))
    assert torch.allclose(taught.loss, (taught.losses["label"] + taught.losses["distillation"]) / 2)
    assert not torch.allclose(taught.loss, alone.loss)
    with pytest.raises(InvalidInput, match="the teacher's"):
        model(pixels, torch.zeros(2, 3, dtype=torch.int64))
