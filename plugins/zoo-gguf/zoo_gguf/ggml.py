"""The element types of ggml: their numbers in a GGUF file, and how many bytes a block of elements takes.

Written down here, and not taken from the `gguf` library, so that opening a file imports neither that nor numpy; a test
compares the two. The definitions are the structs of llama.cpp's `ggml-common.h`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from zoo.checkpoint.dtypes import DType

__all__ = ["GGML_TYPES", "UNREADABLE_TYPES", "GGMLType"]


@dataclass(frozen=True, slots=True)
class GGMLType:
    """A ggml type. Rows are stored as blocks of `block_elements` elements that take `block_bytes` bytes each.

    stored_as: the type whose elements lie in the file as they are; None for blocks that must be decoded.
    """

    number: int
    name: str
    block_elements: int
    block_bytes: int
    stored_as: DType | None = None


_SUPER = 256  # elements in a block of the K, IQ and TQ families ("super-blocks")

_TYPES = (
    GGMLType(0, "F32", 1, 4, DType.F32),
    GGMLType(1, "F16", 1, 2, DType.F16),
    GGMLType(2, "Q4_0", 32, 18),
    GGMLType(3, "Q4_1", 32, 20),
    GGMLType(6, "Q5_0", 32, 22),
    GGMLType(7, "Q5_1", 32, 24),
    GGMLType(8, "Q8_0", 32, 34),
    GGMLType(10, "Q2_K", _SUPER, 84),
    GGMLType(11, "Q3_K", _SUPER, 110),
    GGMLType(12, "Q4_K", _SUPER, 144),
    GGMLType(13, "Q5_K", _SUPER, 176),
    GGMLType(14, "Q6_K", _SUPER, 210),
    GGMLType(16, "IQ2_XXS", _SUPER, 66),
    GGMLType(17, "IQ2_XS", _SUPER, 74),
    GGMLType(18, "IQ3_XXS", _SUPER, 98),
    GGMLType(19, "IQ1_S", _SUPER, 50),
    GGMLType(20, "IQ4_NL", 32, 18),
    GGMLType(21, "IQ3_S", _SUPER, 110),
    GGMLType(22, "IQ2_S", _SUPER, 82),
    GGMLType(23, "IQ4_XS", _SUPER, 136),
    GGMLType(24, "I8", 1, 1, DType.I8),
    GGMLType(25, "I16", 1, 2, DType.I16),
    GGMLType(26, "I32", 1, 4, DType.I32),
    GGMLType(27, "I64", 1, 8, DType.I64),
    GGMLType(28, "F64", 1, 8, DType.F64),
    GGMLType(29, "IQ1_M", _SUPER, 56),
    GGMLType(30, "BF16", 1, 2, DType.BF16),
    GGMLType(34, "TQ1_0", _SUPER, 54),
    GGMLType(35, "TQ2_0", _SUPER, 66),
    GGMLType(39, "MXFP4", 32, 17),
)

GGML_TYPES: Mapping[int, GGMLType] = MappingProxyType({entry.number: entry for entry in _TYPES})
"""The types that are read, by number."""

UNREADABLE_TYPES: Mapping[int, str] = MappingProxyType(
    {
        4: "Q4_2, which llama.cpp removed in 2023",
        5: "Q4_3, which llama.cpp removed in 2023",
        9: "Q8_1, which exists only inside computations",
        15: "Q8_K, which exists only inside computations",
        31: "Q4_0_4_4, which llama.cpp replaced by repacking Q4_0 when it loads",
        32: "Q4_0_4_8, which llama.cpp replaced by repacking Q4_0 when it loads",
        33: "Q4_0_8_8, which llama.cpp replaced by repacking Q4_0 when it loads",
        36: "IQ4_NL_4_4, which llama.cpp replaced by repacking IQ4_NL when it loads",
        37: "IQ4_NL_4_8, which llama.cpp replaced by repacking IQ4_NL when it loads",
        38: "IQ4_NL_8_8, which llama.cpp replaced by repacking IQ4_NL when it loads",
        40: "NVFP4, whose blocks need scales that lie in other tensors",
        41: "Q1_0, which the gguf library does not decode",
    }
)
"""Types that are known and not read: their name and the reason, by number."""
