from __future__ import annotations

import gguf
import pytest

from zoo_gguf.ggml import GGML_TYPES, UNREADABLE_TYPES, GGMLType


@pytest.mark.parametrize("entry", GGML_TYPES.values(), ids=lambda entry: entry.name)
def test_sizes_are_those_of_the_gguf_library(entry: GGMLType) -> None:
    kind = gguf.GGMLQuantizationType[entry.name]
    assert entry.number == kind.value
    assert (entry.block_elements, entry.block_bytes) == gguf.GGML_QUANT_SIZES[kind]
    if entry.stored_as is not None:
        assert entry.stored_as.name == entry.name
        assert entry.stored_as.nbytes(1) == entry.block_bytes


def test_every_type_of_the_gguf_library_is_read_or_refused_with_a_reason() -> None:
    known = GGML_TYPES.keys() | UNREADABLE_TYPES.keys()
    assert [kind.name for kind in gguf.GGMLQuantizationType if kind.value <= 41 and kind.value not in known] == []
    assert not GGML_TYPES.keys() & UNREADABLE_TYPES.keys()


def test_what_is_encoded_can_be_decoded_by_the_gguf_library() -> None:
    for entry in GGML_TYPES.values():
        assert entry.stored_as is not None or hasattr(gguf.quants, entry.name), entry.name
