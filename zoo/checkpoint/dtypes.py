"""The element types of safetensors 0.8, by their names there."""

from __future__ import annotations

from enum import Enum

__all__ = ["DType"]


class DType(Enum):
    """An element type. `value` is (name in safetensors, bits per element)."""

    BOOL = ("BOOL", 8)
    F4 = ("F4", 4)
    F6_E2M3 = ("F6_E2M3", 6)
    F6_E3M2 = ("F6_E3M2", 6)
    U8 = ("U8", 8)
    I8 = ("I8", 8)
    F8_E5M2 = ("F8_E5M2", 8)
    F8_E4M3 = ("F8_E4M3", 8)
    F8_E8M0 = ("F8_E8M0", 8)
    F8_E4M3FNUZ = ("F8_E4M3FNUZ", 8)
    F8_E5M2FNUZ = ("F8_E5M2FNUZ", 8)
    I16 = ("I16", 16)
    U16 = ("U16", 16)
    F16 = ("F16", 16)
    BF16 = ("BF16", 16)
    I32 = ("I32", 32)
    U32 = ("U32", 32)
    F32 = ("F32", 32)
    C64 = ("C64", 64)
    F64 = ("F64", 64)
    I64 = ("I64", 64)
    U64 = ("U64", 64)

    def __init__(self, label: str, bits: int) -> None:
        """`bits` is the number per element; an attribute, since `value` is slow to read where tensors are many."""
        self.bits = bits

    @property
    def is_floating(self) -> bool:
        """Whether elements are real floating-point numbers."""
        return self.name.startswith(("F", "BF"))

    def nbytes(self, elements: int) -> int:
        """The bytes that `elements` elements take; ValueError when they don't fill whole bytes."""
        total = elements * self.bits
        if total % 8:
            raise ValueError(f"{elements} elements of {self.name} ({self.bits} bits each) don't fill whole bytes")
        return total // 8
