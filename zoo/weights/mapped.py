"""Tensors over mapped files: what is stored in the wanted dtype, and aligned, is not copied."""

from __future__ import annotations

import mmap
import platform
import sys
from pathlib import Path

import torch
from torch import Tensor

from zoo.checkpoint import EncodedBytes, StoredBytes, StridedBytes, TensorRecord, read_bytes
from zoo.checkpoint.dtypes import DType
from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo.weights.memory import memory_of

__all__ = ["DTYPES", "TORCH_DTYPES", "MappedFiles", "torch_dtype"]

TORCH_DTYPES: dict[DType, torch.dtype] = {
    DType.BOOL: torch.bool,
    DType.U8: torch.uint8,
    DType.I8: torch.int8,
    DType.U16: torch.uint16,
    DType.I16: torch.int16,
    DType.U32: torch.uint32,
    DType.I32: torch.int32,
    DType.U64: torch.uint64,
    DType.I64: torch.int64,
    DType.F16: torch.float16,
    DType.BF16: torch.bfloat16,
    DType.F32: torch.float32,
    DType.F64: torch.float64,
    DType.C64: torch.complex64,
    DType.F8_E5M2: torch.float8_e5m2,
    DType.F8_E4M3: torch.float8_e4m3fn,
    DType.F8_E8M0: torch.float8_e8m0fnu,
    DType.F8_E4M3FNUZ: torch.float8_e4m3fnuz,
    DType.F8_E5M2FNUZ: torch.float8_e5m2fnuz,
}


DTYPES: dict[torch.dtype, DType] = {theirs: ours for ours, theirs in TORCH_DTYPES.items()}


def torch_dtype(record: TensorRecord) -> torch.dtype:
    """The torch dtype of a record. Raises UnsupportedFeature for a type that torch lacks."""
    found = TORCH_DTYPES.get(record.dtype)
    if found is None:
        raise UnsupportedFeature(
            f"{record.data.path}: tensor '{record.name}' is of type {record.dtype.name}, which torch has not."
        )
    return found


class MappedFiles:
    """Opens each file once. The tensors keep their mapping alive; this object need not outlive the loading.

    Mappings are private (a write to a tensor never reaches the file) and reserve no swap.
    """

    def __init__(self) -> None:
        if sys.byteorder != "little":
            raise UnsupportedFeature("Checkpoints are little-endian, and this machine is not.")
        self._mappings: dict[Path, mmap.mmap] = {}

    def tensor(self, record: TensorRecord) -> Tensor:
        """The record as a tensor on the CPU, in its own dtype: over the mapped file, or decoded into memory."""
        dtype = torch_dtype(record)
        data = record.data
        if record.elements == 0:
            return torch.empty(record.shape, dtype=dtype)
        if isinstance(data, EncodedBytes) or (isinstance(data, StridedBytes) and data.swapped):
            return _decoded(record, dtype)
        flat = torch.frombuffer(self._mapping(data), dtype=torch.uint8, offset=data.offset, count=data.nbytes)
        if data.offset % dtype.itemsize:
            flat = flat.clone()
        elements = flat.view(dtype)
        if isinstance(data, StridedBytes):
            return elements.as_strided(data.shape, data.strides).contiguous()
        return elements.view(record.shape)

    def _mapping(self, data: StoredBytes | StridedBytes) -> mmap.mmap:
        mapping = self._mappings.get(data.path)
        if mapping is None:
            with data.path.open("rb") as file:
                mapping = _map_privately(file.fileno())
            self._mappings[data.path] = mapping
        if data.offset + data.nbytes > len(mapping):
            raise MalformedCheckpoint(
                f"{data.path}: bytes {data.offset}..{data.offset + data.nbytes} are wanted, but the file now ends at "
                f"{len(mapping)}; it was cut short after its header was read."
            )
        return mapping


def _decoded(record: TensorRecord, dtype: torch.dtype) -> Tensor:
    flat = torch.empty(record.nbytes, dtype=torch.uint8)
    memory, filled = memory_of(flat), 0
    for chunk in read_bytes(record):
        part = memoryview(chunk).cast("B")
        memory[filled : filled + len(part)] = part
        filled += len(part)
    return flat.view(dtype).view(record.shape)


_NO_RESERVE = 0x4000 if sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64", "riscv64") else 0
"""Python knows MAP_NORESERVE from 3.13 on; the number differs between architectures."""


def _map_privately(descriptor: int) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    no_reserve: int = getattr(mmap, "MAP_NORESERVE", _NO_RESERVE)
    return mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE | no_reserve, prot=mmap.PROT_READ | mmap.PROT_WRITE)
