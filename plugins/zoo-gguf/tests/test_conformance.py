"""GGUF keeps what every checkpoint format promises."""

from __future__ import annotations

import gguf

from zoo.testing import FormatConformance


class TestGGUF(FormatConformance):
    format = "gguf"
    dtypes = ("float32", "float16", "float64", "int8", "int16", "int32", "int64")

    def make(self, path, tensors):
        """With the gguf library."""
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_string("tokenizer.ggml.model", "gpt2")
        writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ab"])
        for name, array in tensors.items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
