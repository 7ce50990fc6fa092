"""Which dtype a model is loaded in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from zoo.checkpoint import TensorRecord
from zoo.errors import ConfigError, InvalidInput, UnsupportedFeature
from zoo.interfaces.shown import shown
from zoo.log import logger
from zoo.weights.mapped import torch_dtype

__all__ = ["choose_dtype", "declared_dtype", "parse_dtype"]

_SHORT = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
    "fp32": "float32",
    "f32": "float32",
}


_COMPUTED = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def parse_dtype(dtype: str | torch.dtype, *, others: tuple[str, ...] = ()) -> torch.dtype:
    """A floating-point torch dtype from its name ("bfloat16", "bf16", "torch.bfloat16"). Raises InvalidInput.

    others: what else the caller takes, for the message.
    """
    found: object = dtype
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        found = getattr(torch, _SHORT.get(name, name), None)
    if not isinstance(found, torch.dtype) or found not in _COMPUTED:
        raise InvalidInput(
            f"dtype={dtype!r} is no dtype that models compute in; expected "
            f"{', '.join(map(repr, (*others, 'float32', 'bfloat16', 'float16')))} or a torch.dtype."
        )
    return found


def declared_dtype(config: Mapping[str, Any]) -> torch.dtype | None:
    """What config.json declares as `dtype` or, in the old spelling, `torch_dtype`; None when it declares nothing.

    Raises ConfigError naming the field, for anything but a dtype of torch.
    """
    declared = None
    for key in ("torch_dtype", "dtype"):
        value = config.get(key)
        if value is None:
            continue
        name = value.removeprefix("torch.") if isinstance(value, str) else ""
        declared = getattr(torch, _SHORT.get(name, name), None)
        if not isinstance(declared, torch.dtype):
            raise ConfigError(
                f"config.json: field '{key}': expected the name of a dtype ('bfloat16', say) or null, "
                f"found {shown(value)}."
            )
    return declared


def choose_dtype(
    records: Iterable[TensorRecord], requested: str | torch.dtype, declared: torch.dtype | None
) -> torch.dtype | None:
    """The dtype to cast floating-point parameters to; None to leave each as it is stored.

    "auto" leaves them when all are stored in one dtype. Otherwise a module would meet inputs of another dtype, so they
    are cast to the one that config.json declares or, where it declares none, to the one that holds the most bytes;
    that is said in the log.
    """
    if not isinstance(requested, str) or requested != "auto":
        return parse_dtype(requested, others=("auto",))
    stored: Counter[torch.dtype] = Counter()
    for record in records:
        if record.dtype.is_floating:
            stored[torch_dtype(record)] += record.nbytes
    if len(stored) <= 1 and stored.keys() <= set(_COMPUTED):
        return None
    for dtype in stored.keys() - set(_COMPUTED):
        raise UnsupportedFeature(
            f"The checkpoint holds tensors of {dtype}, which models don't compute in.",
            hint="Pass dtype='bfloat16' to load their values as they stand, without any scales.",
        )
    if declared is not None and declared not in _COMPUTED:
        raise ConfigError(
            f"config.json: field 'dtype': {declared} is no dtype that models compute in, and the checkpoint holds "
            "several dtypes.",
            hint="Pass dtype='bfloat16', or another, to choose one.",
        )
    chosen = declared or stored.most_common(1)[0][0]
    listing = ", ".join(f"{dtype} ({count:,} bytes)" for dtype, count in stored.most_common())
    logger.warning(
        "the checkpoint holds several dtypes, %s; all are loaded as %s (dtype=... chooses another)", listing, chosen
    )
    return chosen
