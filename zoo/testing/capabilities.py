"""What a model may be able to do beyond what every model must: declared by name, and held to.

What is declared and fails is a failure. What is not declared and works is reported, so that it gets declared: users
choose models by it. What is not declared and does not work is skipped, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from zoo.testing.failing import fail

__all__ = ["CAPABILITIES", "NotCapable", "UndeclaredCapability", "hold_to"]

CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "attention_backends": "every registered attention backend that serves the model gives the same features",
        "cache": "decoding step by step with a cache gives what one pass over all tokens gives",
        "compile": "torch.compile takes the model as one graph",
        "export": "torch.export takes the model, and what it makes gives the same features",
        "gradient_checkpointing": "`model.gradient_checkpointing = True` saves activations and changes no gradient",
        "padding_invariant": "padding changes nothing for the tokens that are real",
    }
)
"""The capabilities that there are, and what each of them means."""


class UndeclaredCapability(UserWarning):
    """A model can do what its test class does not declare."""


class NotCapable(AssertionError):
    """There is nothing in the model to check: it has no cache, say, or no attention module."""


def hold_to(capability: str, declared: Collection[str], check: Callable[[], None], owner: str) -> None:
    """Run the check of a capability. owner: of the declaration, for messages.

    Raises AssertionError where it is declared and fails; warns UndeclaredCapability where it is not and does not fail.
    """
    import pytest

    if capability in declared:
        try:
            check()
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise AssertionError(
                f"{owner} declares the capability '{capability}' ({CAPABILITIES[capability]}), and it fails:\n"
                f"{reason if isinstance(error, AssertionError) else f'{type(error).__name__}: {reason}'}\n"
                f"Mend it, or take '{capability}' out of `capabilities`."
            ) from error
        return
    try:
        check()
    except Exception as error:  # whatever it raises, it is no capability of this model
        reason = (str(error).splitlines() or [""])[0]
        pytest.skip(f"'{capability}' is not declared, and does not work: {type(error).__name__}: {reason}")
    warnings.warn(
        f"{owner} does not declare the capability '{capability}' ({CAPABILITIES[capability]}), and it works: add it "
        "to `capabilities`.",
        UndeclaredCapability,
        stacklevel=3,
    )


def require_known(declared: object, owner: str) -> None:
    """Fail where a name is declared that is no capability."""
    known = ", ".join(CAPABILITIES)
    if isinstance(declared, str) or not isinstance(declared, Collection):
        fail(f"{owner}: `capabilities` is {declared!r}.", f"Make it a set of names, of these: {known}.")
    unknown = sorted(str(name) for name in declared if name not in CAPABILITIES)
    if unknown:
        fail(f"{owner}: `capabilities` has {', '.join(unknown)}, which the kit does not know.", f"There are {known}.")
