"""Attention: what a module needs, the backends that can serve it, and the choice between them.

A module states its need; a backend answers None or the reason why it can't serve it. The choice is made once, when
device and dtype are known (`bind_attention`), never inside forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import AttentionUnavailable, PluginError, ZooError
from zoo.log import logger
from zoo.registry import registry, resolve_object

__all__ = [
    "EAGER_BACKEND",
    "SDPA_BACKEND",
    "Attention",
    "AttentionBackend",
    "AttentionNeed",
    "bind_attention",
    "causal_attention_mask",
]


@dataclass(frozen=True, kw_only=True)
class AttentionNeed:
    """What an attention module asks of a backend.

    bias: an additive bias per head. window: how far a query sees back.
    """

    head_dim: int
    num_heads: int
    num_key_value_heads: int
    causal: bool
    device: torch.device
    dtype: torch.dtype
    bias: bool = False
    window: int | None = None


class AttentionBackend(Protocol):
    """softmax(q kᵀ · scale + mask) v, for grouped heads."""

    def unsupported(self, need: AttentionNeed) -> str | None:
        """Why this backend can't serve the need; None when it can."""
        ...

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        """q: (batch, heads, queries, head_dim); k, v: (batch, key-value heads, keys, head_dim) -> as q.

        mask: boolean (True: may see) or additive, broadcastable to (batch, heads, queries, keys). causal: queries and
        keys are the same positions, and each sees none after itself; not together with a mask. scale: 1 /
        sqrt(head_dim) by default.
        """
        ...


class _SDPA:
    """torch.nn.functional.scaled_dot_product_attention."""

    def unsupported(self, need: AttentionNeed) -> str | None:
        return None

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        heads, queries = q.shape[1], q.shape[2]
        groups = heads // k.shape[1]
        if groups == 1:
            return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale)
        if queries == 1 and (mask is None or mask.shape[1] == 1):
            # While decoding, the heads of a group are taken for the queries of one head: keys are read once, not once
            # per head.
            grouped = q.view(q.shape[0], k.shape[1], groups, q.shape[3])
            return F.scaled_dot_product_attention(grouped, k, v, mask, scale=scale).view(q.shape)
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale, enable_gqa=True)


class _Eager:
    """The formula, step by step; the softmax in float32."""

    def unsupported(self, need: AttentionNeed) -> str | None:
        return None

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None = None,
        *,
        causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        groups = q.shape[1] // k.shape[1]
        if groups > 1:
            k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if causal:
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        elif mask is not None:
            scores = scores + mask
        return scores.softmax(dim=-1, dtype=torch.float32).to(v.dtype) @ v


SDPA_BACKEND: AttentionBackend = _SDPA()
"""torch's own scaled dot product attention, registered as `sdpa`."""

EAGER_BACKEND: AttentionBackend = _Eager()
"""The formula, step by step, registered as `eager`."""


class Attention(nn.Module):
    """The base of attention modules: `self.attend` is the backend, until `bind_attention` torch's own."""

    def __init__(self) -> None:
        super().__init__()
        self.attend: AttentionBackend = SDPA_BACKEND

    def attention_need(self) -> AttentionNeed:
        """What this module asks of a backend, on the device and in the dtype that it now has."""
        raise NotImplementedError


def bind_attention(model: nn.Module, choice: str = "auto") -> None:
    """Give every attention module of a model its backend.

    choice: the name of a registered backend, or "auto" for the one of highest priority that serves the need.
    Raises AttentionUnavailable with the backend's reason, NameNotFound for a name that no plugin contributes.
    """
    chosen: dict[AttentionNeed, AttentionBackend] = {}
    for module in model.modules():
        if not isinstance(module, Attention):
            continue
        need = module.attention_need()
        if need not in chosen:
            chosen[need] = _choose(need, choice)
        module.attend = chosen[need]


def _choose(need: AttentionNeed, choice: str) -> AttentionBackend:
    if choice != "auto":
        backend: AttentionBackend = _backend(registry().attention.get(choice).spec.backend)
        reason = backend.unsupported(need)
        if reason is not None:
            raise AttentionUnavailable(
                f"attention={choice!r} can't serve this model: {reason}.", hint="Use attention='auto'."
            )
        return backend
    reasons = []
    for entry in sorted(registry().attention.entries(), key=lambda entry: -entry.spec.priority):
        try:
            backend = _backend(entry.spec.backend)
            reason = backend.unsupported(need)
        except (ImportError, PluginError) as error:  # no reason to do without the others
            reason = error.message if isinstance(error, ZooError) else str(error)
        if reason is None:
            return backend
        logger.info("attention: %s is passed over: %s", entry.full_name, reason)
        reasons.append(f"{entry.full_name}: {reason}")
    raise AttentionUnavailable(f"No attention backend serves this model: {'; '.join(reasons)}.")


def _backend(reference: str) -> AttentionBackend:
    backend = resolve_object(reference)
    instance: AttentionBackend = backend() if isinstance(backend, type) else backend
    return instance


def causal_attention_mask(
    real: Tensor | None, queries: int, keys: int, device: torch.device
) -> tuple[Tensor | None, bool]:
    """The mask of causal attention, and whether the backend's own causal mode serves instead.

    real: (batch, keys), nonzero where a token is no padding; None when none is padding. The queries are the last of
    the keys. Returns a boolean mask (batch or 1, 1, queries, keys), True where a query may see a key, or None; with it
    the value for `causal`.
    """
    if real is None and queries == 1:
        return None, False
    if real is None and queries == keys:
        return None, True
    key = torch.arange(keys, device=device)
    query = key[keys - queries :, None]
    if real is None:
        return (key <= query)[None, None], False
    # Padding sees itself, since a softmax over nothing has no value.
    return ((key <= query) & real.bool()[:, None, None, :]) | (key == query), False
