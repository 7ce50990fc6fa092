"""What this package contributes. Strings only: nothing is imported until it is used."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FormatSpec, Manifest


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="The checkpoint format tinyformat")


@hookimpl
def zoo_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            name="tinyformat",
            open="zoo_tinyformat.reader:open_file",
            suffixes=(".tinyformat",),
            magic=b"tinyformat 1\n",
            summary="Tensors behind a table of text lines",
        ),
    ]
