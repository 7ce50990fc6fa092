"""Which dtype a model is loaded in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from zoo.checkpoint import TensorRecord
from zoo.errors import InvalidInput
from zoo.log import logger
from zoo.weights.mapped import torch_dtype

__all__ = ["choose_dtype", "parse_dtype"]

_SHORT = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
    "fp32": "float32",
    "f32": "float32",
}


def parse_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """A floating-point torch dtype from its name ("bfloat16", "bf16", "torch.bfloat16"). Raises InvalidInput."""
    if isinstance(dtype, torch.dtype):
        found: Any = dtype
    else:
        name = dtype.removeprefix("torch.")
        found = getattr(torch, _SHORT.get(name, name), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InvalidInput(
            f"dtype={dtype!r} is no floating-point dtype; expected 'auto', 'float32', 'bfloat16', 'float16' "
            "or a torch.dtype."
        )
    return found


def choose_dtype(records: Iterable[TensorRecord], requested: str | torch.dtype, declared: object) -> torch.dtype | None:
    """The dtype to cast floating-point parameters to; None to leave each as it is stored.

    "auto" leaves them when all are stored in one dtype. Otherwise a module would meet inputs of another dtype, so they
    are cast to the one that config.json declares or, where it declares none, to the one that holds the most bytes;
    that is said in the log.
    """
    if not isinstance(requested, str) or requested != "auto":
        return parse_dtype(requested)
    stored: Counter[torch.dtype] = Counter()
    for record in records:
        if record.dtype.is_floating:
            stored[torch_dtype(record)] += record.nbytes
    if len(stored) <= 1:
        return None
    chosen = parse_dtype(declared) if isinstance(declared, str) else stored.most_common(1)[0][0]
    listing = ", ".join(f"{dtype} ({count:,} bytes)" for dtype, count in stored.most_common())
    logger.warning(
        "the checkpoint holds several dtypes, %s; all are loaded as %s (dtype=... chooses another)", listing, chosen
    )
    return chosen
