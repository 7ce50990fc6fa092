"""What this package contributes. Strings only: nothing is imported until it is used."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FormatSpec, Manifest


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="Apache-2.0", summary="GGUF, the checkpoint format of llama.cpp")


@hookimpl
def zoo_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            name="gguf",
            open="zoo_gguf.reader:open_file",
            suffixes=(".gguf",),
            magic=b"GGUF",
            summary="llama.cpp's files: quantised tensors, configuration and tokenizer in one; only read",
        )
    ]
