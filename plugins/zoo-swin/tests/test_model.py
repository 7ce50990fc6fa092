"""What a user of the model relies on, besides its numbers."""

from __future__ import annotations

import copy

import pytest
import torch

from zoo import InvalidInput
from zoo.nn.attention import bind_attention
from zoo.testing import shake
from zoo_swin.config import SwinConfig, SwinV2Config
from zoo_swin.model import Swin, SwinV2
from zoo_swin.position_bias import PositionBias

SHAPE = {"image_size": 48, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 3}


@pytest.fixture(params=[(Swin, SwinConfig), (SwinV2, SwinV2Config)], ids=["swin", "swinv2"])
def model(request):
    kind, config = request.param
    model = kind(config(**SHAPE)).eval()
    model.init_weights(torch.Generator().manual_seed(0))
    shake(model)
    return model


@pytest.fixture
def computed(monkeypatch):
    """How often a position bias was computed."""
    calls = []
    compute = PositionBias.compute
    monkeypatch.setattr(PositionBias, "compute", lambda self, windows: calls.append(self) or compute(self, windows))
    return calls


def test_biases_are_computed_once_per_image_size(model, images, computed):
    with torch.inference_mode():
        for _ in range(3):
            model(images(2, 48, 48))
        assert len(computed) == 4
        model(images(1, 48, 48))
        assert len(computed) == 4
        model(images(1, 60, 33))
        assert len(computed) == 6  # those of blocks without a shift are the same for every size


def test_a_changed_weight_changes_the_bias(model, images):
    for change in (_in_place, _another_tensor, _past_the_version_counter, _through_numpy, _trained):
        with torch.no_grad():
            model(images(1, 48, 48))
        change(model)
        with torch.no_grad():
            assert torch.equal(model(images(1, 48, 48)).vector, copy.deepcopy(model)(images(1, 48, 48)).vector)


def test_biases_survive_a_cast_and_a_copy(model, images):
    pixels = images(1, 48, 48)
    with torch.no_grad():
        before = model(pixels).vector
        assert torch.equal(copy.deepcopy(model)(pixels).vector, before)
        assert model.to(torch.bfloat16)(pixels.bfloat16()).vector.dtype == torch.bfloat16
        rounded = model.float()(pixels).vector
        fresh = copy.deepcopy(model)
        assert torch.equal(fresh(pixels).vector, rounded)
    fresh.load_state_dict({name: tensor * 1.01 for name, tensor in model.state_dict().items()})
    with torch.no_grad():
        assert not torch.equal(fresh(pixels).vector, rounded)


def test_automatic_casts_leave_no_trace_in_what_is_kept(model, images):
    pixels = images(1, 48, 48)
    with torch.inference_mode():
        expected = copy.deepcopy(model)(pixels).vector
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(pixels)
    with torch.inference_mode():
        assert torch.equal(model(pixels).vector, expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch has no batched form of its attention
def test_weights_that_are_put_in_place_for_one_call_count_for_that_call(model, images):
    """As by torch.func, under its transforms too, and by DataParallel, whose replicas have no parameters."""
    pixels = images(1, 48, 48)
    other = copy.deepcopy(model)
    _in_place(other)
    with torch.no_grad():
        before, expected = model(pixels).vector, other(pixels).vector
        weights = [{name: each.detach() for name, each in one.named_parameters()} for one in (model, other)]
        assert torch.equal(torch.func.functional_call(model, weights[1], (pixels,)).vector, expected)
        stacked = {name: torch.stack([one[name] for one in weights]) for name in weights[0]}
        both = torch.func.vmap(lambda each: torch.func.functional_call(model, each, (pixels,)).vector)(stacked)
        torch.testing.assert_close(both, torch.stack([before, expected]))
        assert torch.equal(model(pixels).vector, before)
        assert torch.equal(_replica(model)(pixels).vector, before)


def test_a_model_that_is_made_without_memory_gets_its_tables_with_it(model, images):
    with torch.device("meta"):
        made = type(model)(model.config).eval()
    made.to_empty(device="cpu").load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(made(images(1, 48, 48)).vector, model(images(1, 48, 48)).vector)


def test_a_batch_of_no_images_gives_no_features(model, images):
    with torch.no_grad():
        features = model(images(1, 48, 48)[:0])
    assert [tuple(each.shape) for each in features.maps] == [(0, 8, 12, 12), (0, 16, 6, 6)]
    with pytest.raises(InvalidInput, match="no pixels"):
        model(torch.zeros(1, 3, 0, 48))


def test_nothing_derived_is_part_of_the_state(model, images):
    with torch.inference_mode():
        model(images(1, 48, 48))
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_the_model_compiles_as_one_graph_for_each_size_of_image(model, images):
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(model, fullgraph=True, backend=backend)
    with torch.inference_mode():
        for size in ((2, 48, 48), (2, 33, 60), (3, 33, 60), (5, 33, 60)):
            pixels = images(*size)
            torch.testing.assert_close(compiled(pixels).vector, model(pixels).vector)
    torch._dynamo.reset()
    assert len(graphs) == 3  # the second batch size makes the batch an unknown


def test_attention_backends_agree(model, images):
    results = []
    with torch.inference_mode():
        for backend in ("sdpa", "eager"):
            bind_attention(model, backend)
            results.append(model(images(2, 50, 70)).vector)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_recomputing_blocks_gives_the_same_gradients(model, images):
    model.train()
    for module in model.modules():
        if hasattr(module, "rate"):
            module.rate = 0.0
    gradients = []
    for recompute in (False, True):
        model.gradient_checkpointing = recompute
        model.zero_grad()
        model(images(2, 48, 48)).vector.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for kept, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, kept)


def test_drop_path_leaves_whole_samples_out_only_while_training(images):
    model = Swin(SwinConfig(**SHAPE, drop_path_rate=0.9))
    model.init_weights(torch.Generator().manual_seed(0))
    shake(model)
    pixels = images(1, 48, 48).expand(4, -1, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        trained, evaluated = model.train()(pixels).vector, model.eval()(pixels).vector
    assert len({tuple(row.tolist()) for row in trained}) > 1
    torch.testing.assert_close(evaluated[0], evaluated[3])


@pytest.mark.parametrize("shape", [(3, 48, 48), (1, 4, 48, 48), (1, 3, 48, 48, 1)])
def test_images_of_another_shape_are_refused(model, shape):
    with pytest.raises(InvalidInput, match="expected \\(batch, 3, height, width\\)"):
        model(torch.zeros(shape))


def _in_place(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)


def _another_tensor(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 1.1


def _past_the_version_counter(model):
    for parameter in model.parameters():
        parameter.data.mul_(1.1)  # as running averages of weights are often kept


def _through_numpy(model):
    for parameter in model.parameters():
        values = parameter.detach().numpy()
        values *= 1.1


def _replica(module):
    """As torch.nn.parallel.replicate makes them, on one device."""
    replica = module._replicate_for_data_parallel()
    for name, parameter in module._parameters.items():
        if parameter is None:
            replica._parameters[name] = None
        else:
            object.__setattr__(replica, name, parameter.detach().clone())
    for name, child in module.named_children():
        replica._modules[name] = _replica(child)
    return replica


def _trained(model):
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 3, 48, 48)).vector.square().sum().backward()
    optimizer.step()
    model.eval()
