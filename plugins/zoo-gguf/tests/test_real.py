"""On the real SmolLM2-135M-Instruct."""

from __future__ import annotations

import json
import math
from pathlib import Path

import gguf
import numpy
import pytest
from tokenizers import Tokenizer

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.records import Checkpoint, EncodedBytes, StoredBytes
from zoo_gguf.reader import open_file

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def checkpoint(smollm2_gguf: Path) -> Checkpoint:
    return open_file(smollm2_gguf)


def test_its_tensors_and_configuration(checkpoint: Checkpoint) -> None:
    assert len(checkpoint) == 272
    assert sum(math.prod(record.shape) for record in checkpoint.values()) == 134_515_008
    embedding = checkpoint["token_embd.weight"]
    assert (embedding.shape, embedding.dtype) == ((49152, 576), DType.F32)
    assert isinstance(embedding.data, EncodedBytes)
    assert embedding.data.encoding == "Q8_0"
    assert isinstance(checkpoint["output_norm.weight"].data, StoredBytes)
    assert checkpoint.metadata["general.architecture"] == "llama"
    assert checkpoint.metadata["llama.attention.head_count_kv"] == 3
    assert len(checkpoint.metadata["tokenizer.ggml.tokens"]) == 49152


def test_every_tensor_decodes_bit_for_bit_as_in_the_gguf_library(checkpoint: Checkpoint, smollm2_gguf: Path) -> None:
    content = numpy.memmap(smollm2_gguf, dtype=numpy.uint8, mode="r")
    for name, record in checkpoint.items():
        if isinstance(record.data, StoredBytes):
            continue
        raw = content[record.data.offset :][: record.data.nbytes].reshape(record.shape[0], -1)
        expected = gguf.dequantize(raw, gguf.GGMLQuantizationType[record.data.encoding])
        assert b"".join(record.data.decode()) == expected.tobytes(), name


def test_its_tokenizer_and_template(checkpoint: Checkpoint) -> None:
    content = checkpoint.side_files.read("tokenizer.json") or b""
    parts = json.loads(content)
    assert parts["pre_tokenizer"]["pretokenizers"][0] == {"type": "Digits", "individual_digits": True}
    assert len(parts["added_tokens"]) == 17
    tokenizer = Tokenizer.from_str(content.decode())
    assert tokenizer.encode("<|im_start|>user\nHi<|im_end|>").ids[:1] == [1]
    assert tokenizer.encode("<|im_start|>user\nHi<|im_end|>").ids[-1:] == [2]
    assert tokenizer.encode(" 123").tokens == ["Ġ", "1", "2", "3"]
    assert b"<|im_end|>" in (checkpoint.side_files.read("chat_template.jinja") or b"")
    assert json.loads(checkpoint.side_files.read("generation_config.json") or b"") == {
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }
