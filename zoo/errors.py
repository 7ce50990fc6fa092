"""Every error that zoo raises on purpose is a child of ZooError and says what was found, what was expected and the
mend.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousName",
    "AttentionUnavailable",
    "CheckpointError",
    "CompositionError",
    "ConfigError",
    "InvalidInput",
    "MalformedCheckpoint",
    "MissingDependency",
    "NameNotFound",
    "PluginError",
    "PreprocessorError",
    "ReferenceNotFound",
    "SaveError",
    "TemplateError",
    "UnknownFormat",
    "UnsupportedFeature",
    "UntrainedHead",
    "WeightsMismatch",
    "ZooError",
]


class ZooError(Exception):
    """The root of zoo's errors.

    `str(error)` is one readable message; `hint`, when there is one, is the way out and stands on the last lines.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message}\n{hint}")


class NameNotFound(ZooError, LookupError):
    """No plugin contributes this architecture, task, head, preset or other name."""


class AmbiguousName(ZooError, LookupError):
    """Two distributions claim one name and nothing says which is meant."""


class PluginError(ZooError):
    """A plugin could not be loaded or does not keep to the plugin contract."""


class MissingDependency(ZooError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""


class ConfigError(ZooError, ValueError):
    """A configuration is not valid: the message names the file and the field."""


class ReferenceNotFound(ZooError, LookupError):
    """A reference (directory, file, pkg://, preset) leads nowhere."""


class CheckpointError(ZooError):
    """A checkpoint can't be used."""


class MalformedCheckpoint(CheckpointError, ValueError):
    """A checkpoint breaks its format's specification: the message names the file, the tensor and the offset."""


class UnknownFormat(CheckpointError, ValueError):
    """No registered checkpoint format recognises the file or directory."""


class UnsupportedFeature(CheckpointError, NotImplementedError):
    """The file is well formed, but uses something that zoo does not read."""


class WeightsMismatch(CheckpointError, ValueError):
    """Tensors are missing, unexpected or mis-shaped; the message lists all of them.

    missing, unexpected: names as they are stored. mismatched: one line for each tensor of a wrong shape.
    """

    def __init__(
        self,
        message: str,
        *,
        missing: tuple[str, ...] = (),
        unexpected: tuple[str, ...] = (),
        mismatched: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing
        self.unexpected = unexpected
        self.mismatched = mismatched


class CompositionError(ZooError, ValueError):
    """A backbone, neck and head don't fit together, or an architecture has no head for a task."""


class UntrainedHead(CompositionError):
    """The checkpoint holds no trained weights for the head, and `init_head=True` was not given."""


class AttentionUnavailable(ZooError, ValueError):
    """The attention backend that was asked for can't serve this model; the message says why."""


class PreprocessorError(ZooError, ValueError):
    """A tokenizer, image processor or other preprocessor can't be built or used."""


class TemplateError(PreprocessorError):
    """A chat template does not compile, raises, or runs past its bounds."""


class InvalidInput(ZooError, ValueError):
    """An input to a model or pipeline can't be used: an empty prompt, a message without a role, too long a text."""


class SaveError(ZooError):
    """Saving could not be completed; what stood at the target before is still there."""
