"""Loading: from transformers' own directories, zero-copy, strict, and composed by task."""

from __future__ import annotations

import copy
import json
import mmap
import pickle
import shutil
import subprocess
import sys
import textwrap

import pytest
import safetensors.torch
import torch
import transformers

import zoo
from zoo.testing import assert_logits_agree, assert_same_tensors, shake


def tiny_config(**changes):
    values = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
    }
    return transformers.LlamaConfig(**(values | changes))


def reference_directory(path, kind=transformers.LlamaForCausalLM, dtype=torch.float32, max_shard_size="5GB", **changes):
    """A directory that transformers wrote, and the model that it was written from."""
    torch.manual_seed(0)
    model = kind(tiny_config(**changes)).eval().to(dtype)
    shake(model)
    model.save_pretrained(path, max_shard_size=max_shard_size)
    return path, model


def edit_config(path, **changes):
    file = path / "config.json"
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in values.items() if value != "(removed)"}))


def rewrite_tensors(path, change):
    file = path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    change(tensors)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})


@pytest.fixture
def directory(tmp_path):
    return reference_directory(tmp_path / "reference")[0]


IDS = torch.randint(97, (2, 13), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shards", ["5GB", "20KB"])
def test_what_transformers_wrote_gives_the_same_logits_and_is_written_back_byte_for_byte(tmp_path, dtype, tied, shards):
    path, reference = reference_directory(
        tmp_path / "reference", dtype=dtype, max_shard_size=shards, tie_word_embeddings=tied
    )
    model, preprocessor = zoo.load(path)
    assert preprocessor is None
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    with torch.inference_mode():
        assert_logits_agree(
            model({"input_ids": IDS}).logits, reference(IDS).logits, 1e-4 if dtype == torch.float32 else 0.02
        )

    zoo.save(model, tmp_path / "ours", max_shard_size=shards)
    assert_same_tensors(tmp_path / "ours", path)
    again, report = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    with torch.inference_mode():
        assert torch.equal(again.to(dtype)(IDS).logits, reference(IDS).logits)


def test_the_configuration_is_written_back_without_loss(tmp_path, directory):
    edit_config(directory, quirk={"kept": [1, 2]}, rope_parameters="(removed)", rope_theta=5000.0, rope_scaling=None)
    model, _ = zoo.load(directory)
    zoo.save(model, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text()) == json.loads(
        (directory / "config.json").read_text()
    )


def test_generation_config_is_kept(tmp_path, directory):
    (directory / "generation_config.json").write_text('{"eos_token_id": [2, 5], "temperature": 0.6, "do_sample": true}')
    model, _ = zoo.load(directory)
    assert model.generation_config["eos_token_id"] == [2, 5]
    zoo.save(model, tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "generation_config.json").read_text()) == dict(model.generation_config)


def test_parameters_are_the_mapped_file_and_writing_to_them_leaves_the_file_alone(directory):
    before = (directory / "model.safetensors").read_bytes()
    model, _ = zoo.load(directory)
    addresses = sorted(parameter.data_ptr() for parameter in model.parameters())
    assert addresses[-1] - addresses[0] < len(before)  # one mapping holds them all
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert (directory / "model.safetensors").read_bytes() == before


def test_a_misaligned_tensor_is_copied_and_right(tmp_path, directory):
    file = directory / "model.safetensors"
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + size].rstrip(b" ")
    header += b" " * ((3 - len(header)) % 8)  # the data begins at an odd offset
    file.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    model, _ = zoo.load(directory)
    expected = safetensors.torch.load_file(file)
    assert torch.equal(model.backbone.norm.weight, expected["model.norm.weight"])


def test_a_cast_is_asked_for_by_name(directory):
    model, _ = zoo.load(directory, dtype="bf16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(zoo.InvalidInput, match="dtype='int8'"):
        zoo.load(directory, dtype="int8")


def test_several_stored_dtypes_become_the_declared_one_and_it_is_said(directory, caplog):
    rewrite_tensors(
        directory, lambda tensors: tensors.update({"model.norm.weight": tensors["model.norm.weight"].half()})
    )
    edit_config(directory, dtype="float32")
    model, _ = zoo.load(directory)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert "several dtypes" in caplog.text


@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("value", [5, 0, "", "x", "nn", [], float("nan"), {}, False])
def test_a_declared_dtype_that_is_none_is_refused_by_the_name_of_its_field(directory, field, value):
    config = json.loads((directory / "config.json").read_text())
    config.pop("dtype", None)
    (directory / "config.json").write_text(json.dumps(config | {field: value}))
    for asked in ("auto", "float32"):
        with pytest.raises(zoo.ConfigError, match=f"config.json: field '{field}': expected the name of a dtype"):
            zoo.load(directory, dtype=asked)


@pytest.mark.parametrize("field", ["eos_token_id", "pad_token_id"])
def test_an_id_that_is_none_is_refused_before_anything_is_generated(directory, field):
    edit_config(directory, **{field: "x"})
    with pytest.raises(zoo.ConfigError, match=f"config.json: .*field '{field}': expected int .*found str 'x'"):
        zoo.load(directory)


def test_the_meta_device_allocates_nothing(directory):
    model, _ = zoo.load(directory, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_an_unknown_device_or_attention_is_refused(directory):
    with pytest.raises(zoo.InvalidInput, match="device='gpu0'"):
        zoo.load(directory, device="gpu0")
    with pytest.raises(zoo.NameNotFound, match="flashier"):
        zoo.load(directory, attention="flashier")


class TestTasks:
    def test_the_bare_backbone(self, tmp_path):
        path, reference = reference_directory(tmp_path / "r")
        backbone, _ = zoo.load(path, task=None)
        with torch.inference_mode():
            assert_logits_agree(backbone(IDS).tokens, reference.model(IDS).last_hidden_state)
        assert "lm_head.weight" in backbone.origin.report.ignored
        zoo.save(backbone, tmp_path / "bare")
        theirs = transformers.LlamaModel.from_pretrained(tmp_path / "bare")
        assert torch.equal(theirs(IDS).last_hidden_state, reference.model(IDS).last_hidden_state)

    def test_a_bare_checkpoint_is_refused_for_a_task_and_loads_bare(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", transformers.LlamaModel)
        with pytest.raises(zoo.UntrainedHead, match="task=None"):
            zoo.load(path)
        backbone, _ = zoo.load(path, task=None)
        zoo.save(backbone, tmp_path / "again")
        assert_same_tensors(tmp_path / "again", path)

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_a_trained_classifier(self, tmp_path, side):
        path, reference = reference_directory(
            tmp_path / "r", transformers.LlamaForSequenceClassification, num_labels=3, pad_token_id=0
        )
        edit_config(path, id2label={"0": "bad", "1": "good", "2": "odd"}, label2id={"bad": 0, "good": 1, "odd": 2})
        model, _ = zoo.load(path)
        assert model.task == "text-classification"
        assert model.head.config.labels == ("bad", "good", "odd")
        ids = IDS.clone().clamp(min=1)
        real = torch.ones_like(ids)
        padded = slice(0, 4) if side == "left" else slice(9, 13)
        ids[0, padded] = 0
        real[0, padded] = 0
        with torch.inference_mode():
            expected = reference(ids, attention_mask=real).logits
            assert_logits_agree(model({"input_ids": ids, "attention_mask": real}).logits, expected)
        zoo.save(model, tmp_path / "ours")
        assert_same_tensors(tmp_path / "ours", path)
        assert (
            transformers.LlamaForSequenceClassification.from_pretrained(tmp_path / "ours").config.id2label[2] == "odd"
        )

    def test_an_untrained_head_is_refused_unless_asked_for(self, tmp_path, directory):
        with pytest.raises(zoo.UntrainedHead, match="init_head=True"):
            zoo.load(directory, task="text-classification")
        model, _ = zoo.load(directory, task="text-classification", init_head=True, labels=["no", "yes"])
        assert model.origin.report.untrained == ("head.weight",)
        assert model({"input_ids": IDS}).logits.shape == (2, 2)
        same, _ = zoo.load(directory, task="sentiment-analysis", init_head=True, num_labels=2)
        assert torch.equal(same.head.weight, model.head.weight)
        zoo.save(model, tmp_path / "ours")
        theirs = transformers.LlamaForSequenceClassification.from_pretrained(tmp_path / "ours")
        assert theirs.config.label2id == {"no": 0, "yes": 1}

    def test_the_loss_is_transformers_loss(self, tmp_path):
        path, reference = reference_directory(tmp_path / "r")
        model, _ = zoo.load(path)
        target = IDS.clone()
        target[:, :5] = -100
        output = model({"input_ids": IDS}, target)
        assert_logits_agree(output.loss, reference(IDS, labels=target).loss)
        assert output.losses["next_token"] is output.loss

    def test_losses_of_parts_add_up_to_the_loss_of_the_whole(self, directory):
        model, _ = zoo.load(directory)
        target = IDS.clone()
        target[0, :9] = -100
        whole = model.head.count(target)
        parts = [model({"input_ids": IDS[i : i + 1]}, target[i : i + 1], whole).loss for i in (0, 1)]
        assert_logits_agree(sum(parts), model({"input_ids": IDS}, target).loss, 1e-6)

    def test_contradictory_choices_are_refused(self, directory):
        with pytest.raises(zoo.InvalidInput, match="task=None"):
            zoo.load(directory, task=None, head="causal-lm")
        with pytest.raises(zoo.CompositionError, match="text-classification"):
            zoo.load(directory, task="text-generation", head="last-token-classifier")
        with pytest.raises(zoo.InvalidInput, match="no labels"):
            zoo.load(directory, num_labels=3)


class TestRefusals:
    def test_missing_unexpected_and_misshaped_tensors_are_one_error(self, directory):
        def change(tensors):
            for layer in (0, 1):
                del tensors[f"model.layers.{layer}.mlp.up_proj.weight"]
            del tensors["model.norm.weight"]
            tensors["model.layers.7.mlp.up_proj.weight"] = torch.zeros(48, 32)
            tensors["stray"] = torch.zeros(2)
            tensors["lm_head.weight"] = torch.zeros(97, 31)

        rewrite_tensors(directory, change)
        with pytest.raises(zoo.WeightsMismatch) as caught:
            zoo.load(directory)
        error = caught.value
        assert set(error.missing) == {
            "model.norm.weight",
            "model.layers.0.mlp.up_proj.weight",
            "model.layers.1.mlp.up_proj.weight",
        }
        assert set(error.unexpected) == {"model.layers.7.mlp.up_proj.weight", "stray"}
        assert "missing (3)" in str(error) and "model.layers.{0-1}.mlp.up_proj.weight" in str(error)
        assert "'lm_head.weight' [97, 31]: the configuration makes it [97, 32]" in str(error)

    def test_a_tied_tensor_that_differs_is_refused_and_an_equal_one_is_dropped(self, tmp_path):
        path, reference = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        embedding = reference.model.embed_tokens.weight.detach()
        rewrite_tensors(path, lambda tensors: tensors.update({"lm_head.weight": embedding.clone()}))
        model, _ = zoo.load(path)
        assert model.origin.report.duplicates == ("lm_head.weight",)
        rewrite_tensors(path, lambda tensors: tensors.update({"lm_head.weight": embedding + 1}))
        with pytest.raises(zoo.WeightsMismatch, match="tie_word_embeddings"):
            zoo.load(path)

    def test_a_tied_tensor_under_its_other_name_only_serves(self, tmp_path):
        path, reference = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        rewrite_tensors(
            path, lambda tensors: tensors.update({"lm_head.weight": tensors.pop("model.embed_tokens.weight")})
        )
        model, _ = zoo.load(path)
        assert torch.equal(model.backbone.embed_tokens.weight, reference.model.embed_tokens.weight)
        assert model.head.weight is model.backbone.embed_tokens.weight

    def test_old_files_with_derived_frequencies_load_and_say_so(self, directory):
        name = "model.layers.0.self_attn.rotary_emb.inv_freq"
        rewrite_tensors(directory, lambda tensors: tensors.update({name: torch.zeros(4)}))
        model, _ = zoo.load(directory)
        assert "computed" in model.origin.report.ignored[name]

    def test_quantised_weights_of_another_kind_are_refused(self, directory):
        name = "model.layers.0.mlp.up_proj.weight"
        rewrite_tensors(directory, lambda tensors: tensors.update({name: torch.zeros(48, 32, dtype=torch.int8)}))
        with pytest.raises(zoo.UnsupportedFeature, match="int8"):
            zoo.load(directory)

    def test_no_config_json(self, directory):
        (directory / "config.json").unlink()
        with pytest.raises(zoo.ConfigError, match=r"there is no config\.json"):
            zoo.load(directory)

    def test_broken_config_json(self, directory):
        (directory / "config.json").write_text('{"model_type": "llama",')
        with pytest.raises(zoo.ZooError, match=r"config\.json.*byte 23"):
            zoo.load(directory)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"hidden_size": "32"}, r"config\.json: .*'hidden_size': expected int"),
            ({"num_key_value_heads": 3}, r"config\.json: .*'num_key_value_heads': 3 does not divide"),
            ({"model_type": "(removed)"}, r"config\.json: field 'model_type' is missing"),
            ({"model_type": 7}, r"field 'model_type': expected str, found int 7"),
            ({"model_type": "lama"}, r"no installed plugin reads model_type='lama'"),
            ({"architectures": ["LlamaForOddities"]}, "LlamaForOddities"),
            ({"rope_parameters": [1]}, "rope_parameters"),
            ({"id2label": [1], "architectures": ["LlamaForSequenceClassification"]}, "id2label"),
        ],
    )
    def test_a_bad_field_of_config_json_is_named(self, directory, changes, said):
        edit_config(directory, **changes)
        with pytest.raises(zoo.ZooError, match=said):
            zoo.load(directory)

    def test_a_truncated_shard_is_named(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", max_shard_size="20KB")
        shard = sorted(path.glob("model-*.safetensors"))[1]
        shard.write_bytes(shard.read_bytes()[:-40])
        with pytest.raises(zoo.MalformedCheckpoint, match=shard.name):
            zoo.load(path)

    def test_a_missing_shard_is_named(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", max_shard_size="20KB")
        shard = sorted(path.glob("model-*.safetensors"))[1]
        shard.unlink()
        with pytest.raises(zoo.CheckpointError, match=shard.name):
            zoo.load(path)

    def test_an_index_that_leads_out_of_the_directory_is_refused(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", max_shard_size="20KB")
        index = path / "model.safetensors.index.json"
        values = json.loads(index.read_text())
        values["weight_map"]["model.norm.weight"] = "../secret.safetensors"
        index.write_text(json.dumps(values))
        with pytest.raises(zoo.MalformedCheckpoint, match=r"\.\./secret"):
            zoo.load(path)

    def test_an_empty_directory(self, tmp_path):
        with pytest.raises(zoo.CheckpointError):
            zoo.load(tmp_path)

    @pytest.mark.parametrize(
        ("reference", "said"),
        [
            ("./nowhere", "no such file or directory"),
            ("lamma", "llama"),
            ("pkg://no-such-package/a.gguf", "'no-such-package' is not installed"),
            ("pkg://pytest/no/such/file.gguf", "installs no"),
            ("pkg://pytest/../../etc/passwd", "installs no"),
            ("pkg://", "pkg://DISTRIBUTION/path"),
            ("hf://org/name", "not yet the Hub"),
        ],
    )
    def test_references_that_lead_nowhere(self, reference, said):
        with pytest.raises(zoo.ZooError, match=said):
            zoo.load(reference)

    def test_an_unknown_task_names_the_near_one(self, directory):
        with pytest.raises(zoo.NameNotFound, match="text-generation"):
            zoo.load(directory, task="text-generatoin")


class TestCreate:
    def test_the_same_seed_gives_the_same_weights_in_any_dtype(self):
        from zoo_llama.config import LlamaConfig

        config = LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4
        )
        first, second = zoo.create(config, seed=3), zoo.create(config, seed=3, dtype="bfloat16")
        other = zoo.create(config, seed=4)
        for name, parameter in first.state_dict().items():
            assert torch.equal(parameter.bfloat16(), second.state_dict()[name])
        assert not torch.equal(first.backbone.embed_tokens.weight, other.backbone.embed_tokens.weight)
        assert first.backbone.norm.weight.eq(1).all()

    def test_creating_leaves_torchs_own_generator_alone(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        zoo.create(
            {
                "model_type": "llama",
                "vocab_size": 10,
                "hidden_size": 16,
                "num_attention_heads": 2,
                "num_hidden_layers": 1,
            }
        )
        assert torch.equal(torch.get_rng_state(), before)

    def test_by_preset_on_the_meta_device(self):
        model = zoo.create("smollm2-135m-instruct", device="meta")
        assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
        assert model.head.weight is model.backbone.embed_tokens.weight

    def test_from_a_directory_with_another_head(self, directory):
        model = zoo.create(directory, task="text-classification", num_labels=5)
        assert model({"input_ids": IDS}).logits.shape == (2, 5)

    def test_what_was_created_is_saved_and_loaded(self, tmp_path, directory):
        model = zoo.create(directory, seed=1)
        zoo.save(model, tmp_path / "out")
        again, _ = zoo.load(tmp_path / "out")
        assert torch.equal(again({"input_ids": IDS}).logits, model({"input_ids": IDS}).logits)

    def test_a_configuration_of_no_known_type_is_refused(self):
        with pytest.raises(zoo.NameNotFound, match="object"):
            zoo.create(object())
        with pytest.raises(zoo.ConfigError, match="model_type"):
            zoo.create({"hidden_size": 3})


class TestSaving:
    def test_the_bytes_depend_on_the_contents_alone(self, tmp_path, directory):
        model, _ = zoo.load(directory)
        zoo.save(model, tmp_path / "a")
        zoo.save(model, tmp_path / "b")
        assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()

    def test_a_model_can_be_saved_over_the_files_that_it_is_mapped_from(self, directory):
        model, _ = zoo.load(directory)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        zoo.save(model, directory, max_shard_size="20KB")
        assert not (directory / "model.safetensors").exists()
        again, _ = zoo.load(directory)
        for name, tensor in again.state_dict().items():
            assert torch.equal(tensor, before[name])

    def test_a_failed_save_keeps_what_was_there(self, tmp_path, directory):
        class Unwritable:
            def files(self):
                raise OSError("no more")

        model, _ = zoo.load(directory)
        copy = tmp_path / "copy"
        shutil.copytree(directory, copy)
        with torch.no_grad():
            model.backbone.norm.weight.add_(1)
        with pytest.raises(OSError, match="no more"):
            zoo.save(model, copy, preprocessor=Unwritable())
        assert_same_tensors(copy, directory)

    def test_progress_ends_at_the_total(self, tmp_path, directory):
        seen = []
        model, _ = zoo.load(directory, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1] > 0
        seen.clear()
        zoo.save(model, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1] > 0

    @pytest.mark.parametrize(
        "name",
        [
            "tokenizer_config.json",
            "merges.txt",
            "tokenizer.model",
            "chat_template.json",
            "added_tokens.json",
            "preprocessor_config.json",
        ],
    )
    def test_nothing_of_an_earlier_tokenizer_stays_beside_the_new_one(self, tmp_path, directory, name):
        class Tokenizer:
            def files(self):
                return {"tokenizer.json": b"{}", "additional_chat_templates/rag.jinja": b"{{ messages }}"}

        model, _ = zoo.load(directory)
        target = tmp_path / "out"
        (target / "additional_chat_templates").mkdir(parents=True)
        for stale in (name, "tokenizer.json"):
            (target / stale).write_text("of another model")
        zoo.save(model, target)  # without a preprocessor, what is there is taken to belong to the model
        assert (target / name).exists()
        zoo.save(model, target, preprocessor=Tokenizer())
        assert not (target / name).exists()
        assert (target / "tokenizer.json").read_bytes() == b"{}"

    def test_no_chat_template_of_an_earlier_tokenizer_stays(self, tmp_path, directory):
        class Tokenizer:
            def files(self):
                return {"tokenizer.json": b"{}", "additional_chat_templates/rag.jinja": b"{{ messages }}"}

        model, _ = zoo.load(directory)
        folder = tmp_path / "out" / "additional_chat_templates"
        folder.mkdir(parents=True)
        (folder / "mine.jinja").write_text("of another model")
        zoo.save(model, tmp_path / "out", preprocessor=Tokenizer())
        assert [path.name for path in folder.iterdir()] == ["rag.jinja"]

    def test_a_model_that_lost_parameters_is_not_saved(self, tmp_path, directory):
        model, _ = zoo.load(directory)
        del model.backbone.layers[2], model.backbone.norm.weight
        with pytest.raises(zoo.SaveError, match=r"backbone\.layers\.2\.input_layernorm\.weight"):
            zoo.save(model, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_the_home_directory_is_meant_by_its_sign(self, tmp_path, directory, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path)
        assert zoo.save(zoo.load(directory)[0], "~/out") == tmp_path / "home" / "out"
        assert not (tmp_path / "~").exists()
        with pytest.raises(zoo.ReferenceNotFound, match="home directory"):
            zoo.save(zoo.load(directory)[0], "~no-such-user-here/out")

    def test_what_is_no_model_or_directory_is_named(self, tmp_path, directory):
        with pytest.raises(zoo.InvalidInput, match=r"model: .* found int 5"):
            zoo.save(5, tmp_path / "out")
        for target in (5, None, ""):
            with pytest.raises(zoo.InvalidInput, match="directory: "):
                zoo.save(zoo.load(directory)[0], target)

    def test_a_model_without_a_name_is_refused(self, tmp_path, directory):
        model, _ = zoo.load(directory)
        model.origin = None
        with pytest.raises(zoo.SaveError, match="origin"):
            zoo.save(model, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_loading_touches_no_weights(tmp_path):
    """The pages of the mapping stay on disk: their residency is asked of the kernel, file by file."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        pytest.skip("there are no private mappings here")
    path, _ = reference_directory(tmp_path / "r", vocab_size=50_000, hidden_size=64)
    import psutil

    zoo.load(path)  # imports what is imported
    before = psutil.Process().memory_info().rss
    model, _ = zoo.load(path)
    grown = psutil.Process().memory_info().rss - before
    assert grown < 0.05 * (path / "model.safetensors").stat().st_size
    assert model.backbone.embed_tokens.weight.numel() == 50_000 * 64


def test_side_files_of_an_earlier_save_are_not_read_with_the_new_ones(tmp_path, directory):
    (directory / "generation_config.json").write_text('{"eos_token_id": 5}')
    model, _ = zoo.load(directory)
    zoo.save(model, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    zoo.save(zoo.create(directory), tmp_path / "out")
    assert not (tmp_path / "out" / "generation_config.json").exists()
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_named_chat_templates_are_saved_in_their_folder(tmp_path, directory):
    class Templates:
        def files(self):
            return {"additional_chat_templates/rag.jinja": b"{{ messages }}"}

    model, _ = zoo.load(directory)
    for _ in range(2):
        zoo.save(model, tmp_path / "out", preprocessor=Templates())
        assert (tmp_path / "out" / "additional_chat_templates" / "rag.jinja").read_bytes() == b"{{ messages }}"
    assert not (tmp_path / "out" / ".zoo-save").exists()


class TestModelsAsObjects:
    def test_a_model_can_be_copied_and_pickled_and_stays_tied(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        model, _ = zoo.load(path)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert copied.config == model.config
            assert copied.head.weight is copied.backbone.embed_tokens.weight
            assert torch.equal(copied({"input_ids": IDS}).logits, model({"input_ids": IDS}).logits)

    def test_moving_to_another_kind_of_device_keeps_the_tie(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        model = zoo.load(path)[0].to("meta")
        assert model.head.weight is model.backbone.embed_tokens.weight

    def test_a_tie_that_was_broken_is_not_saved_as_if_it_held(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        model, _ = zoo.load(path)
        model.head.weight = torch.nn.Parameter(torch.zeros(97, 32))
        with pytest.raises(zoo.SaveError, match=r"head\.weight.*tied"):
            zoo.save(model, tmp_path / "out")

    def test_what_would_not_load_again_is_not_saved(self, tmp_path, directory):
        model, _ = zoo.load(directory)
        model.backbone.embed_tokens = torch.nn.Embedding(98, 32)
        with pytest.raises(zoo.SaveError, match=r"embed_tokens\.weight.*\[98, 32\].*\[97, 32\]"):
            zoo.save(model, tmp_path / "out")
        with pytest.raises(zoo.SaveError, match="meta device"):
            zoo.save(zoo.load(directory, device="meta")[0], tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestHeads:
    def test_a_classifier_of_a_tied_configuration_becomes_a_language_model(self, tmp_path):
        path, reference = reference_directory(
            tmp_path / "r", transformers.LlamaForSequenceClassification, tie_word_embeddings=True
        )
        model, _ = zoo.load(path, task="text-generation")  # its head is the embedding, so nothing is untrained
        assert torch.equal(model.head.weight, reference.model.embed_tokens.weight)
        assert "score.weight" in model.origin.report.ignored

    def test_a_bare_tied_checkpoint_has_a_language_model_head(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        backbone, _ = zoo.load(path, task=None)
        zoo.save(backbone, tmp_path / "bare")
        model, _ = zoo.load(tmp_path / "bare", task="text-generation")
        assert model.origin.report.untrained == ()

    def test_another_number_of_labels_is_another_head(self, tmp_path):
        path, _ = reference_directory(tmp_path / "r", transformers.LlamaForSequenceClassification, num_labels=3)
        with pytest.raises(zoo.UntrainedHead, match=r"with 5 labels.*for 3 labels"):
            zoo.load(path, num_labels=5)
        model, _ = zoo.load(path, num_labels=5, init_head=True)
        assert model.head.weight.shape == (5, 32)
        assert "score.weight" in model.origin.report.ignored
        renamed, _ = zoo.load(path, labels=["x", "y", "z"])
        assert renamed.origin.report.untrained == ()
        zoo.save(zoo.load(path, task="text-generation", init_head=True)[0], tmp_path / "lm")
        assert "id2label" not in json.loads((tmp_path / "lm" / "config.json").read_text())

    @pytest.mark.parametrize("labels", ["abc", [1, 2]])
    def test_labels_are_a_list_of_texts(self, directory, labels):
        with pytest.raises(zoo.InvalidInput, match="labels"):
            zoo.load(directory, task="text-classification", init_head=True, labels=labels)


class TestMoreRefusals:
    def test_an_identical_duplicate_with_nan_is_equal_and_another_dtype_is_not_decided(self, tmp_path):
        path, reference = reference_directory(tmp_path / "r", tie_word_embeddings=True)
        embedding = reference.model.embed_tokens.weight.detach().clone()
        embedding[0, 0] = float("nan")
        twins = {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding.clone()}
        rewrite_tensors(path, lambda tensors: tensors.update(twins))
        assert zoo.load(path)[0].origin.report.duplicates == ("lm_head.weight",)
        rewrite_tensors(path, lambda tensors: tensors.update({"lm_head.weight": embedding.half()}))
        with pytest.raises(zoo.WeightsMismatch, match="float16"):
            zoo.load(path)

    def test_weights_that_need_more_than_their_numbers_are_refused(self, directory):
        edit_config(directory, quantization_config={"quant_method": "gptq"})
        with pytest.raises(zoo.UnsupportedFeature, match="gptq"):
            zoo.load(directory)
        edit_config(directory, quantization_config=None)
        name = "model.layers.0.mlp.up_proj.weight"
        rewrite_tensors(directory, lambda tensors: tensors.update({name: tensors[name].to(torch.float8_e4m3fn)}))
        with pytest.raises(zoo.UnsupportedFeature, match="float8_e4m3fn"):
            zoo.load(directory)
        assert zoo.load(directory, dtype="float32")[0].backbone.layers[0].mlp.up_proj.weight.dtype == torch.float32

    def test_layers_beyond_reason_are_refused_before_they_are_built(self, directory):
        edit_config(directory, num_hidden_layers=10**9)
        with pytest.raises(zoo.ConfigError, match="num_hidden_layers"):
            zoo.load(directory)

    def test_an_empty_config_json_is_no_missing_one(self, directory):
        (directory / "config.json").write_text("{}")
        with pytest.raises(zoo.ConfigError, match="'model_type' is missing"):
            zoo.load(directory)

    @pytest.mark.parametrize("reference", ["", None, b"x"])
    def test_what_is_no_reference(self, reference):
        with pytest.raises(zoo.InvalidInput, match="reference"):
            zoo.load(reference)

    def test_a_repository_name_says_how_to_get_it(self):
        with pytest.raises(zoo.ReferenceNotFound, match="hf download"):
            zoo.load("HuggingFaceTB/SmolLM2-135M-Instruct")

    @pytest.mark.parametrize(
        "options",
        [
            {"dtype": None},
            {"dtype": 3},
            {"device": None},
            {"device": "cuda:99"},
            {"task": 5},
            {"head": 5},
            {"attention": None},
            {"seed": "x"},
            {"seed": None},
            {"seed": 2**64},
            {"seed": -(2**63) - 1},
            {"num_labels": "3"},
            {"num_labels": 2.5},
            {"num_labels": True},
            {"num_labels": 10**9},
            {"labels": 5},
        ],
        ids=str,
    )
    def test_a_bad_option_is_named(self, directory, options):
        needed = {"task": "text-classification", "init_head": True} if {"labels", "num_labels"} & options.keys() else {}
        for use in (zoo.load, zoo.create):
            said = {key: value for key, value in needed.items() if key == "task" or use is zoo.load}
            with pytest.raises(zoo.InvalidInput, match=next(iter(options))):
                use(directory, **(said | options))

    def test_the_dtypes_that_create_takes_are_those_it_names(self, directory):
        with pytest.raises(zoo.InvalidInput, match=r"expected 'float32'"):
            zoo.create(directory, dtype="auto")
        with pytest.raises(zoo.InvalidInput, match=r"expected 'auto', 'float32'"):
            zoo.load(directory, dtype="int8")

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"vocab_size": 2**63}, "'vocab_size'"),
            ({"vocab_size": 2**40, "hidden_size": 2**40}, "'vocab_size'"),
            ({"intermediate_size": 2**62}, "'intermediate_size'"),
            ({"rms_norm_eps": 10**400}, "'rms_norm_eps'"),
            ({"vocab_size": 2**31 - 1, "hidden_size": 2**31 - 4, "head_dim": 64}, "can be built"),
        ],
        ids=["no int64", "both", "no tensor", "no float", "no product"],
    )
    def test_sizes_that_no_tensor_has_are_refused(self, directory, changes, said):
        edit_config(directory, **changes)
        with pytest.raises(zoo.ConfigError, match=said):
            zoo.load(directory)

    def test_broken_side_files_are_found_before_any_weight_is_read(self, directory):
        for name in ("generation_config.json", "tokenizer.json"):
            (directory / name).write_text("{")
            seen = []
            with pytest.raises(zoo.ZooError, match=name):
                zoo.load(directory, progress=lambda done, total, seen=seen: seen.append(done))
            assert not seen
            (directory / name).unlink()

    def test_create_says_what_it_takes(self, directory):
        with pytest.raises(zoo.InvalidInput, match="is a file"):
            zoo.create(directory / "config.json")


def test_loading_in_another_dtype_holds_one_tensor_twice_and_not_the_model(tmp_path):
    """In a process of its own, whose peak is measured: half the bytes of the file, and no more than a tensor on top."""
    path, _ = reference_directory(
        tmp_path / "r", vocab_size=8, hidden_size=512, intermediate_size=2048, num_hidden_layers=16
    )
    script = """
        import resource, sys, zoo, zoo_llama.model, zoo.tasks.text_generation
        zoo.create("llama", device="meta")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        model, _ = zoo.load(sys.argv[1], dtype="bfloat16", device="cpu")
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    """
    size = (path / "model.safetensors").stat().st_size
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(path)], capture_output=True, text=True, check=True
    )
    # What is mapped counts as resident while it is read: the file, and its copy in half the bytes.
    assert int(result.stdout) < 1.75 * size


def test_loading_does_not_import_torchs_compiler(directory):
    script = "import sys, zoo; zoo.load(sys.argv[1]); print('torch._dynamo' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script, str(directory)], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_the_name_of_an_architecture_without_a_default_preset_means_its_default_configuration():
    from zoo.registry import registry
    from zoo.spec import ArchitectureSpec

    architectures = registry().architectures
    before = architectures.entries()
    llama = architectures.get("llama").spec
    fields = {name: getattr(llama, name) for name in ("config", "model", "modality", "default_task", "preprocessor")}
    zoo.register(ArchitectureSpec(name="no-preset", **fields))
    try:
        model = zoo.create("no-preset", task=None, device="meta")
        with pytest.raises(zoo.NameNotFound, match="no default preset"):
            zoo.load("no-preset")
    finally:
        architectures.replace(before)
    assert model.config == type(model.config)()
