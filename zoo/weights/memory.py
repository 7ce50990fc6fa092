"""A tensor's memory as bytes, without a copy and without numpy."""

from __future__ import annotations

import ctypes

from torch import Tensor

__all__ = ["memory_of"]


def memory_of(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, writable. Valid only while the caller keeps the tensor."""
    size = tensor.numel() * tensor.element_size()
    if size == 0:  # such a tensor may have no address
        return memoryview(bytearray())
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")
