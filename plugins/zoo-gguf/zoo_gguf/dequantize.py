"""Decoding ggml's quantised blocks to float32, with the arithmetic of the `gguf` library, in chunks that stay in cache.

numpy and gguf are imported with the first chunk, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

if TYPE_CHECKING:
    from zoo_gguf.header import TensorInfo

__all__ = ["CHUNK_BYTES", "dequantize"]

CHUNK_BYTES = 1024 * 1024
"""Bytes of float32 in a chunk. The library makes several temporaries of this size: with more than this they leave the
cache, with less the calls cost more than the arithmetic."""


def dequantize(path: Path, tensor: TensorInfo) -> Iterator[memoryview]:
    """The elements of a tensor as float32, row-major and little-endian, in chunks of whole blocks."""
    import numpy

    decoder = _decoder(path, tensor)
    blocks_per_chunk = CHUNK_BYTES // (4 * tensor.type.block_elements)
    step = blocks_per_chunk * tensor.type.block_bytes
    with open_regular(path) as (descriptor, _):
        for start in range(tensor.offset, tensor.offset + tensor.nbytes, step):
            length = min(step, tensor.offset + tensor.nbytes - start)
            content = read_up_to(descriptor, length, start, path)
            if len(content) < length:
                raise MalformedCheckpoint(
                    f"{shown_path(path)}: tensor {quoted(tensor.name)} spans bytes {tensor.offset}.."
                    f"{tensor.offset + tensor.nbytes}, but the file ends at {start + len(content)}; "
                    "it was cut after it had been opened.",
                    hint="Get the file again.",
                )
            blocks = numpy.frombuffer(content, dtype=numpy.uint8).reshape(-1, tensor.type.block_bytes)
            # Blocks of nonsense (NaN and infinite scales) decode to what they say; that is no reason to warn.
            with numpy.errstate(all="ignore"):
                elements = decoder(blocks)
            yield numpy.ascontiguousarray(elements, dtype="<f4").data.cast("B")


def _decoder(path: Path, tensor: TensorInfo) -> Any:
    """The library's function (blocks, block bytes) uint8 -> (blocks, block elements) float32."""
    from gguf import quants

    traits = getattr(quants, tensor.type.name, None)
    if traits is None:
        raise UnsupportedFeature(
            f"{shown_path(path)}: tensor {quoted(tensor.name)} is of type {tensor.type.name}, which the installed "
            "gguf library does not decode.",
            hint="Upgrade it: `pip install --upgrade gguf`.",
        )
    traits.init_grid()  # the lookup tables of the IQ types; nothing for the others
    return traits.dequantize_blocks
