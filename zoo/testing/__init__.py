"""The conformance kit for authors of plugins, and what other tests of models need.

A plugin's test file derives a class for each thing that it contributes, and says what it can do:

    from zoo.testing import ArchitectureConformance

    class TestSwin(ArchitectureConformance):
        architecture = "swin"
        tiny = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 4)}
        reference = "transformers:SwinModel"
        capabilities = {"gradient_checkpointing", "compile"}

Names are resolved when they are first used; torch is imported when a test runs. The kit needs pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.testing.architecture import ArchitectureConformance as ArchitectureConformance
    from zoo.testing.capabilities import CAPABILITIES as CAPABILITIES
    from zoo.testing.capabilities import UndeclaredCapability as UndeclaredCapability
    from zoo.testing.format import FormatConformance as FormatConformance
    from zoo.testing.head import HeadConformance as HeadConformance
    from zoo.testing.parity import assert_logits_agree as assert_logits_agree
    from zoo.testing.parity import assert_same_tensors as assert_same_tensors
    from zoo.testing.parity import shake as shake
    from zoo.testing.preprocessor import PreprocessorConformance as PreprocessorConformance
    from zoo.testing.task import TaskConformance as TaskConformance

_HOME = {
    "ArchitectureConformance": "zoo.testing.architecture",
    "CAPABILITIES": "zoo.testing.capabilities",
    "FormatConformance": "zoo.testing.format",
    "HeadConformance": "zoo.testing.head",
    "PreprocessorConformance": "zoo.testing.preprocessor",
    "TaskConformance": "zoo.testing.task",
    "UndeclaredCapability": "zoo.testing.capabilities",
    "assert_logits_agree": "zoo.testing.parity",
    "assert_same_tensors": "zoo.testing.parity",
    "shake": "zoo.testing.parity",
}

__all__ = [*_HOME]  # noqa: PLE0604  (all of them are strings)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo.testing' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
