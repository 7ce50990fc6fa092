"""What zoo asks of a checkpoint format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.testing import FormatConformance

DTYPES = {"float16": "F16", "float32": "F32"}


class TestTinyformat(FormatConformance):
    format = "zoo-tinyformat:tinyformat"

    def make(self, path: Path, tensors: Mapping[str, Any]) -> None:
        """Writes a file as those do that the reader is for. Where a library writes them, let it do this."""
        lines = [
            f"{name}\t{DTYPES[str(array.dtype)]}\t{','.join(map(str, array.shape))}" for name, array in tensors.items()
        ]
        table = "\n".join(["tinyformat 1", *lines, "", ""]).encode()
        path.write_bytes(table + b"".join(array.tobytes() for array in tensors.values()))
