"""Llama in GGUF: files written as llama.cpp's converter writes them, from transformers' weights."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
import transformers

import zoo
from zoo.testing import assert_logits_agree, shake

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def reference(**changes):
    values = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
    }
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**(values | changes))).eval()
    shake(model)
    return model


def side_by_side(rows: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's converter: the halves of each head interleaved."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def write(path, model, *, divisors=None, leave_out=(), **metadata):
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if "llama__rope__freq_base" not in metadata:
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    for key, value in metadata.items():
        writer.add_key_value(key.replace("__", "."), *value)
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        if name == "model.embed_tokens.weight":
            stored = "token_embd.weight"
        elif name == "model.norm.weight":
            stored = "output_norm.weight"
        elif name == "lm_head.weight":
            stored = "output.weight"
        else:
            _, _, layer, part = name.split(".", 3)
            part, kind = part.rsplit(".", 1)
            stored = f"blk.{layer}.{NAMES[part]}.{kind}"
            if part.endswith(("q_proj", "k_proj")):
                values = side_by_side(
                    values, config.num_attention_heads if "q_proj" in part else config.num_key_value_heads
                )
        if stored not in leave_out:
            writer.add_tensor(stored, np.ascontiguousarray(values))
    if divisors is not None:
        writer.add_tensor(
            "rope_freqs.weight", divisors if divisors.dtype == np.float16 else divisors.astype(np.float32)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("biases", [False, True])
def test_the_permutation_of_q_and_k_is_undone(tmp_path, tied, biases):
    theirs = reference(tie_word_embeddings=tied, attention_bias=biases, mlp_bias=biases)
    ours, _ = zoo.load(write(tmp_path / "model.gguf", theirs))
    assert ours.head.config.tied is tied
    ids = torch.randint(64, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": ids}).logits, theirs(ids).logits)


def test_what_is_loaded_from_gguf_is_saved_for_transformers(tmp_path):
    theirs = reference()
    ours, _ = zoo.load(write(tmp_path / "model.gguf", theirs))
    zoo.save(ours, tmp_path / "out")
    again, report = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert again.config.rms_norm_eps == theirs.config.rms_norm_eps


def llama3_divisors(config):
    plain = 1.0 / 5e5 ** (torch.arange(0, 8, 2) / 8)
    scaled, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config)
    return (plain / scaled).numpy()


def test_llama3_scaling_is_found_back_from_its_divisors(tmp_path):
    theirs = reference(rope_parameters={**LLAMA3, "rope_theta": 5e5})
    ours, _ = zoo.load(write(tmp_path / "model.gguf", theirs, divisors=llama3_divisors(theirs.config)))
    assert (ours.config.rope.rope_type, ours.config.rope.factor) == ("llama3", pytest.approx(32.0))
    ids = torch.randint(64, (1, 120), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": ids}).logits, theirs(ids).logits)


def test_divisors_of_another_scaling_are_refused(tmp_path):
    theirs = reference(rope_parameters={**LLAMA3, "rope_theta": 5e5})
    divisors = llama3_divisors(theirs.config) + np.array([0, 0, 0.5, 0])
    with pytest.raises(zoo.UnsupportedFeature, match=r"rope_freqs\.weight"):
        zoo.load(write(tmp_path / "model.gguf", theirs, divisors=divisors))


@pytest.mark.parametrize(
    ("divisors", "said"),
    [
        (np.array([], np.float32), r"F32 of shape \[0\]"),
        (np.ones(8, np.float32), r"F32 of shape \[8\]; F32 of shape \[4\]"),
        (np.ones((2, 2), np.float32), r"F32 of shape \[2, 2\]"),
        (np.ones(4, np.float16), r"F16 of shape \[4\]"),
        (np.zeros(4, np.float32), "holds 0.0 at 0"),
        (np.array([1, -1, 1, 1], np.float32), "holds -1.0 at 1"),
        (np.array([1, 1, np.nan, 1], np.float32), "holds nan at 2"),
        (np.array([1, 1, 1, np.inf], np.float32), "holds inf at 3"),
    ],
)
def test_what_can_be_no_divisors_is_refused(tmp_path, divisors, said):
    with pytest.raises(zoo.ConfigError, match=rf"'rope_freqs\.weight'.*{said}"):
        zoo.load(write(tmp_path / "model.gguf", reference(), divisors=divisors))


@pytest.mark.parametrize(
    "base",
    [
        ("10000", gguf.GGUFValueType.STRING),
        (0.0, gguf.GGUFValueType.FLOAT32),
        (-1.0, gguf.GGUFValueType.FLOAT32),
        (float("inf"), gguf.GGUFValueType.FLOAT32),
    ],
)
def test_a_rotary_base_that_is_none_is_refused_before_divisors_are_compared(tmp_path, base):
    path = write(tmp_path / "model.gguf", reference(), divisors=np.ones(4), llama__rope__freq_base=base)
    with pytest.raises(zoo.ConfigError, match="rope_theta"):
        zoo.load(path)


def test_an_embedding_that_is_no_matrix_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    for add in (writer.add_embedding_length, writer.add_feed_forward_length, writer.add_block_count):
        add(4)
    writer.add_head_count(2)
    writer.add_context_length(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor("token_embd.weight", np.array(1.0, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(zoo.ConfigError, match=r"'token_embd\.weight' has the shape \[\]"):
        zoo.load(tmp_path / "model.gguf")


def test_linear_scaling_is_read(tmp_path):
    theirs = reference(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0})
    path = write(
        tmp_path / "model.gguf",
        theirs,
        llama__rope__scaling__type=("linear", gguf.GGUFValueType.STRING),
        llama__rope__scaling__factor=(2.0, gguf.GGUFValueType.FLOAT32),
    )
    ours, _ = zoo.load(path)
    ids = torch.arange(30)[None]
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": ids}).logits, theirs(ids).logits)


def test_unknown_scaling_and_experts_are_refused(tmp_path):
    theirs = reference()
    yarn = write(
        tmp_path / "yarn.gguf",
        theirs,
        llama__rope__scaling__type=("yarn", gguf.GGUFValueType.STRING),
        llama__rope__scaling__factor=(2.0, gguf.GGUFValueType.FLOAT32),
    )
    with pytest.raises(zoo.UnsupportedFeature, match="yarn"):
        zoo.load(yarn)
    experts = write(tmp_path / "experts.gguf", theirs, llama__expert_count=(8, gguf.GGUFValueType.UINT32))
    with pytest.raises(zoo.UnsupportedFeature, match="experts"):
        zoo.load(experts)


def test_missing_tensors_and_metadata_are_named(tmp_path):
    theirs = reference()
    with pytest.raises(zoo.WeightsMismatch, match=r"blk\.1\.ffn_up\.weight"):
        zoo.load(write(tmp_path / "model.gguf", theirs, leave_out=("blk.1.ffn_up.weight",)))
    writer = gguf.GGUFWriter(tmp_path / "bare.gguf", "llama")
    writer.add_tensor("token_embd.weight", np.zeros((4, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(zoo.ConfigError, match=r"llama\.embedding_length"):
        zoo.load(tmp_path / "bare.gguf")


def test_another_architecture_is_named(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "rwkv9")
    writer.add_tensor("token_embd.weight", np.zeros((4, 8), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(zoo.NameNotFound, match="rwkv9"):
        zoo.load(tmp_path / "other.gguf")


def test_eps_is_the_decimal_that_was_meant(tmp_path):
    ours, _ = zoo.load(write(tmp_path / "model.gguf", reference(rms_norm_eps=1e-5)))
    assert ours.config.rms_norm_eps == 1e-5
