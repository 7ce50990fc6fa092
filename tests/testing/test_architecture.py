"""For each check of architectures a plugin with one thing wrong, which that check catches and says, and no other does.

Checks that start processes or compile run where they are what is tried, and on the plugins that keep every promise.
"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import zoo
from zoo.checkpoint import DirectoryFiles
from zoo.testing import ArchitectureConformance, UndeclaredCapability

DECLARED = frozenset({"attention_backends", "compile", "export", "gradient_checkpointing"})
STORED = {
    "patches-authors": [
        "mask",
        "first",
        "patch_embed.weight",
        "patch_embed.bias",
        *(f"layer.{i}.{part}.weight" for i in range(12) for part in ("q", "k", "v", "out", "norm")),
        *(f"layer.{i}.norm.bias" for i in range(12)),
    ]
}
SLOW = frozenset(
    {
        "test_a_spawned_process_finds_it",
        "test_compiles_as_one_graph",
        "test_exports",
        "test_manifest_loads_in_a_fresh_process_without_torch",
    }
)


class Patches(ArchitectureConformance):
    architecture = "patches"
    tiny = {"width": 8, "slope": 0.5}  # noqa: RUF012
    reference = None
    reference_reason = "It was made up here."
    capabilities = DECLARED
    stored_keys = STORED


class Words(ArchitectureConformance):
    architecture = "words"
    tiny = {"vocab_size": 30}  # noqa: RUF012
    reference = None
    reference_reason = "It was made up here."
    capabilities = frozenset({"attention_backends", "cache", "compile", "export", "padding_invariant"})


@pytest.mark.parametrize(("package", "conformance"), [("zoo_patches", Patches), ("zoo_words", Words)])
def test_a_plugin_that_keeps_every_promise_passes(install, outcomes, package, conformance):
    install(package)
    assert outcomes(conformance) == {}


PLUGIN, CONFIG, MODEL, LAYOUTS = "_plugin.py", "config.py", "model.py", "layouts.py"
NORMAL = "nn.init.normal_(parameter, std=0.2, generator=generator)"
RAMP = "        x = x + self.ramp.to(x)\n"
CAT = "x = torch.cat([first, embedded.flatten(2).transpose(1, 2)], dim=1)"
HALVED = """
class Halved:
    def load(self, stored):
        return [stored[0] / 2]

    def save(self, tensors):
        return list(tensors)


_RIGHT = _backbone("layer", "patch_embed")
AUTHORS = KeyMap(tuple(Rule(rule.stored, rule.model, Halved()) for rule in _RIGHT.rules))"""

IMAGE = {
    # What is wrong: (the change, the checks that catch it, what they say).
    "the plugin's module imports torch": (
        (PLUGIN, "from zoo.plugins import hookimpl", "import torch\nfrom zoo.plugins import hookimpl"),
        {"test_manifest_loads_in_a_fresh_process_without_torch"},
        "Loading zoo_patches._plugin imports numpy, torch",
    ),
    "the configuration imports torch": (
        (CONFIG, "from zoo.interfaces", "import torch\nfrom zoo.interfaces"),
        {"test_manifest_loads_in_a_fresh_process_without_torch"},
        "must work without torch",
    ),
    "a spec names what there is not": (
        (PLUGIN, "zoo_patches.head:PatchScores", "zoo_patches.head:PatchScorer"),
        {"test_every_reference_of_the_distribution_resolves", "test_key_maps_are_bijections"}
        | {"test_every_layout_that_is_written_is_read", "test_key_maps_claim_real_names"},
        "zoo_patches.head has no 'PatchScorer' (did you mean 'PatchScores'?)",
    ),
    "a preset is for an architecture that there is not": (
        (PLUGIN, 'architecture="patches", sources', 'architecture="patchs", sources'),
        {"test_every_name_that_the_distribution_uses_is_known"},
        "PresetSpec 'patches-s': architecture: There is no architecture 'patchs'",
    ),
    "there is no documentation": (
        (PLUGIN, ', docs_url="https://example.org/patches"', ""),
        {"test_documentation_and_licence_are_declared"},
        "Set `docs_url`",
    ),
    "there is no licence": (
        (PLUGIN, 'licence="MIT"', 'licence=""'),
        {"test_documentation_and_licence_are_declared"},
        "has no licence",
    ),
    "a spec has no summary": (
        (PLUGIN, 'summary="Patches that look at each other once"', 'summary=""'),
        {"test_documentation_and_licence_are_declared"},
        "says nothing of patches",
    ),
    "unknown keys of config.json are lost": (
        (
            CONFIG,
            "    depth: int = 2\n",
            "    depth: int = 2\n\n    def to_hub(self):\n"
            "        return {key: value for key, value in super().to_hub().items() if 'made_up' not in key}\n\n",
        ),
        {"test_config_round_trips"},
        "changes 'a_key_that_zoo_testing_made_up'",
    ),
    "the field with a bad value is not named": (
        (
            CONFIG,
            "    depth: int = 2\n",
            "    depth: int = 2\n\n    def invalid(self, name, problem):\n"
            "        from zoo.errors import ConfigError\n        return ConfigError('bad value')\n\n",
        ),
        {"test_config_refuses_bad_values"},
        "without the name of the field: bad value",
    ),
    "a field takes anything": (
        (
            CONFIG,
            "    depth: int = 2\n",
            "    depth: int = 2\n\n    def __post_init__(self):\n"
            "        if isinstance(self.depth, int):\n            super().__post_init__()\n\n",
        ),
        {"test_config_refuses_bad_values"},
        "(depth=<a value of no field's type>) is accepted",
    ),
    "a stride is not that of the map": (
        (CONFIG, "stride=self.patch_size)", "stride=2 * self.patch_size)"),
        {"test_feature_specs_equal_real_shapes"},
        "map 'map': an image of 32 x 32 gives 4 x 4 positions, which is no stride of 16",
    ),
    "there is a prefix token that feature_specs does not say": (
        (CONFIG, "prefix_tokens=1", "prefix_tokens=0"),
        {"test_feature_specs_equal_real_shapes"},
        "5 tokens are 1 more than the grid (2, 2) has",
    ),
    "rows and columns are exchanged": (
        (MODEL, "vector=tokens[:, 0], grid=grid)", "vector=tokens[:, 0], grid=grid[::-1])"),
        {"test_feature_specs_equal_real_shapes"},
        "gives 3 x 2 positions",
    ),
    "building allocates": (
        (MODEL, "self.gain = 1.0", "self.gain = torch.ones(1, device='cpu').item()"),
        {"test_building_on_the_meta_device_allocates_nothing"},
        "allocates tensors: aten.",
    ),
    "random weights are drawn from the global numbers": (
        (MODEL, NORMAL, "nn.init.normal_(parameter, std=0.2)"),
        {"test_initial_weights_come_from_the_generator_alone"},
        "Two models from one seed differ in first",
    ),
    "a layout that is only read lacks a rule": (
        (LAYOUTS, 'AUTHORS = _backbone("layer", "patch_embed")', 'AUTHORS = KeyMap(_backbone("layer", "x").rules[2:])'),
        {"test_key_maps_are_bijections", "test_key_maps_claim_real_names"},
        "has no place on disk for backbone.embedding.weight",
    ),
    "an operation is not undone": (
        (LAYOUTS, 'AUTHORS = _backbone("layer", "patch_embed")', HALVED),
        {"test_key_maps_are_bijections"},
        "what the operation saves, it does not load as it was",
    ),
    "a layout does not know a real name": (
        (LAYOUTS, 'Ignore("mask"', 'Ignore("masks"'),
        {"test_key_maps_claim_real_names"},
        "does not know 1 real names: mask",
    ),
    "the loaded model lacks what init_weights set": (
        (MODEL, NORMAL, f"{NORMAL}\n        self.gain = 2.0"),
        {"test_saved_and_loaded_it_is_the_same"},
        "computes another result than the one that was saved",
    ),
    "the layout with a head loses a setting": (
        (LAYOUTS, '"labels": list(configs.head.labels),', '"labels": ["a", "b", "c"],'),
        {"test_every_layout_that_is_written_is_read"},
        "",
    ),
    "reading the configuration unpickles": (
        (
            LAYOUTS,
            "def read_model(metadata):\n",
            "def read_model(metadata):\n    import pickle\n\n    pickle.loads(pickle.dumps(PatchesConfig))\n",
        ),
        {"test_loading_does_not_unpickle"},
        "unpickles: pickle.loads(...), the global zoo_patches.config.PatchesConfig",
    ),
    "forward makes a tensor in float32": (
        (MODEL, RAMP, "        x = x + torch.ones(x.shape[-1], device=x.device)\n"),
        {"test_forward_takes_any_floating_dtype"},
        "In torch.bfloat16: ",
    ),
    "forward makes a tensor on the CPU": (
        (MODEL, RAMP, "        x = x + torch.ones(x.shape[-1], dtype=x.dtype)\n"),
        {"test_forward_follows_the_device"},
        "Keep tensors that forward needs in buffers",
    ),
    "a call leaves something behind": (
        (
            MODEL,
            RAMP,
            "        x = x + (getattr(self, 'last', grid) != grid)\n        self.last = grid\n",
        ),
        {"test_forward_is_deterministic"},
        "The second call gives another result",
    ),
    "a mean over the batch": (
        (MODEL, RAMP, "        x = x - x.mean(dim=0)\n"),
        {"test_forward_is_batch_invariant"},
        "than each of them alone: maps.0: the largest difference",
    ),
    "a parameter is detached": (
        (MODEL, "first = self.first.expand", "first = self.first.detach().expand"),
        {"test_gradients_reach_every_parameter"},
        "reaches first",
    ),
    "the backend changes the result": (
        (
            MODEL,
            "attended = self.attend(q, k, v)[:, 0]",
            "attended = self.attend(q, k, v)[:, 0] * (1 + ('SDPA' in type(self.attend).__name__))",
        ),
        {"test_attention_backends_agree"},
        "With attention='zoo-sdk:sdpa' the result is another than with 'zoo-sdk:eager'",
    ),
    "the graph breaks": (
        (MODEL, RAMP, f"{RAMP}        torch._dynamo.graph_break()\n"),
        {"test_compiles_as_one_graph"},
        "declares the capability 'compile'",
    ),
    "what is given back can't be exported": (
        (MODEL, "grid=grid)", "grid=grid, extras={'note': object()})"),
        {"test_exports"},
        "declares the capability 'export'",
    ),
    "gradient checkpointing does nothing": (
        (MODEL, "return checkpoint(block, x, use_reentrant=False)", "return block(x)"),
        {"test_gradient_checkpointing_changes_no_gradient"},
        "with gradient_checkpointing forward keeps",
    ),
    "other processes see another model": (
        (
            MODEL,
            "        self.gain = 1.0\n",
            "        self.gain = 1.0\n        import sys\n\n        if 'pytest' not in sys.modules:\n"
            "            self.more = nn.Linear(1, 1)\n",
        ),
        {"test_a_spawned_process_finds_it"},
        "In a fresh process 'patches' is a Patches of",
    ),
    "config.json lacks a field": (
        (
            LAYOUTS,
            '    return configs.architecture.to_hub() | {"model_type": "patches", "architectures": ["PatchesModel"]}',
            "    values = configs.architecture.to_hub()\n    del values['slope']\n"
            "    return values | {'model_type': 'patches', 'architectures': ['PatchesModel']}",
        ),
        {"test_saved_and_loaded_it_is_the_same", "test_saved_in_shards_it_is_the_same"},
        "Saved and loaded, the configuration is",
    ),
}


@pytest.mark.parametrize("wrong", IMAGE)
def test_what_is_wrong_is_caught_by_its_check_alone(install, outcomes, wrong):
    change, checks, said = IMAGE[wrong]
    install("zoo_patches", change)
    failed = outcomes(Patches, left_out=SLOW - checks)
    assert set(failed) == checks, failed
    assert any(said in message for message in failed.values()), failed


TEXT = {
    "feature_specs does not say that it is causal": (
        (CONFIG, "causal=True", "causal=False"),
        "test_causal_features_see_only_what_is_before_them",
        "feature_specs says causal=False",
    ),
    "padding is attended to": (
        (MODEL, "causal_attention_mask(attention_mask, new", "causal_attention_mask(None, new"),
        "test_padding_changes_nothing",
        "With 3 tokens of padding on the left the result is another: tokens: the largest difference",
    ),
    "the cache is not told how many positions there are": (
        (MODEL, "cache.advance(new)", "cache.advance(1)"),
        "test_decoding_with_a_cache_equals_one_pass",
        "the length of the cache is 1: call `cache.advance(new)`",
    ),
    "what is in the cache is not attended to": (
        (MODEL, "k, v = cache.append(k, v)", "cache.append(k, v)\n            mask, causal = None, q.shape[2] > 1"),
        "test_decoding_with_a_cache_equals_one_pass",
        "Decoding with a cache gives another result than one pass",
    ),
}


@pytest.mark.parametrize("wrong", TEXT)
def test_what_is_wrong_with_texts_is_caught_by_its_check_alone(install, outcomes, wrong):
    change, check, said = TEXT[wrong]
    install("zoo_words", change)
    failed = outcomes(Words, left_out=SLOW)
    assert set(failed) == {check}, failed
    assert said in failed[check]


@pytest.fixture
def activations(install, tmp_path):
    """What a right model computes, as files."""
    install("zoo_patches")
    directory = tmp_path / "reference"
    conformance = Patches()
    model = conformance.model()
    zoo.save(model, directory / "checkpoint", sync=False)
    inputs = conformance.inputs(2, (32, 48))
    with torch.no_grad():
        features = model(**inputs)
    save_file(inputs, directory / "inputs.safetensors")
    save_file({"tokens": features.tokens.contiguous()}, directory / "outputs.safetensors")
    return directory


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_another_activation_is_caught_by_what_the_reference_computed(activations, outcomes, monkeypatch, activation):
    from zoo_patches import model

    monkeypatch.setattr(model.F, "gelu", getattr(torch.nn.functional, activation))

    class Compared(Patches):
        reference = activations

    failed = outcomes(Compared, left_out=SLOW)
    if activation == "gelu":
        assert failed == {}
    else:
        assert set(failed) == {"test_agrees_with_the_reference"}
        assert "computes something else from the same weights: tokens" in failed["test_agrees_with_the_reference"]


DECLARATIONS = {
    "no reference and no reason": ({"reference_reason": ""}, "test_agrees_with_the_reference", "names no reference"),
    "a reference of no kind": ({"reference": "timm:swin"}, "test_agrees_with_the_reference", "neither a class nor"),
    "a capability that there is not": (
        {"capabilities": DECLARED | {"compiles"}},
        "test_capabilities_are_known",
        "`capabilities` has compiles",
    ),
    "a capability that is not declared": (
        {"capabilities": DECLARED - {"gradient_checkpointing"}},
        "test_gradient_checkpointing_changes_no_gradient",
        UndeclaredCapability.__name__,
    ),
    "a capability that it has not": (
        {"capabilities": DECLARED | {"cache"}},
        "test_decoding_with_a_cache_equals_one_pass",
        "declares the capability 'cache'",
    ),
    "a parameter that is excused and reached": (
        {"without_gradient": {"blocks.*": "no reason"}},
        "test_gradients_reach_every_parameter",
        "excuses blocks.*, which gradients reach",
    ),
    "real names of no layout": (
        {"stored_keys": {"patches-modle": ()}},
        "test_key_maps_claim_real_names",
        "the layout 'patches-modle', which there is not",
    ),
    "one size of images": ({"image_sizes": ((16, 16),)}, None, "Declare another size"),
}


@pytest.mark.parametrize("wrong", DECLARATIONS)
def test_a_wrong_declaration_is_caught(install, outcomes, wrong):
    attributes, check, said = DECLARATIONS[wrong]
    install("zoo_patches")
    failed = outcomes(type("Declared", (Patches,), attributes), left_out=SLOW)
    if check is not None:
        assert set(failed) == {check}, failed
    assert any(said in message for message in failed.values()), failed


def test_what_only_this_process_knows_is_no_plugin(outcomes):
    files = DirectoryFiles  # any object of a module will do for references that nothing resolves
    spec = zoo.spec.ArchitectureSpec(
        name="made-up-here",
        config=f"{files.__module__}:{files.__name__}",
        model=f"{files.__module__}:{files.__name__}",
        modality="image",
        default_task="image-classification",
        preprocessor="image",
    )
    zoo.register(spec, replace=True)

    class MadeUp(Patches):
        architecture = "made-up-here"

    with pytest.raises(AssertionError, match="is registered by this process alone"):
        MadeUp().test_a_spawned_process_finds_it()
