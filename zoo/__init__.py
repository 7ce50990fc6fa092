"""zoo: any architecture, any task, from checkpoints that can't bite.

Names are resolved when they are first used, so that `import zoo` costs next to nothing and imports neither torch nor
numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.errors import AmbiguousName as AmbiguousName
    from zoo.errors import AttentionUnavailable as AttentionUnavailable
    from zoo.errors import CheckpointError as CheckpointError
    from zoo.errors import CompositionError as CompositionError
    from zoo.errors import ConfigError as ConfigError
    from zoo.errors import InvalidInput as InvalidInput
    from zoo.errors import MalformedCheckpoint as MalformedCheckpoint
    from zoo.errors import MissingDependency as MissingDependency
    from zoo.errors import NameNotFound as NameNotFound
    from zoo.errors import PluginError as PluginError
    from zoo.errors import PreprocessorError as PreprocessorError
    from zoo.errors import ReferenceNotFound as ReferenceNotFound
    from zoo.errors import SaveError as SaveError
    from zoo.errors import TemplateError as TemplateError
    from zoo.errors import UnknownFormat as UnknownFormat
    from zoo.errors import UnsupportedFeature as UnsupportedFeature
    from zoo.errors import UntrainedHead as UntrainedHead
    from zoo.errors import WeightsMismatch as WeightsMismatch
    from zoo.errors import ZooError as ZooError
    from zoo.interfaces.config import Config as Config
    from zoo.interfaces.head import Head as Head
    from zoo.interfaces.model import Model as Model
    from zoo.interfaces.preprocessor import Preprocessor as Preprocessor
    from zoo.interfaces.task_model import TaskModel as TaskModel
    from zoo.loading import create as create
    from zoo.loading import load as load
    from zoo.pipelines import pipeline as pipeline
    from zoo.plugins import plugins as plugins
    from zoo.registry import architectures as architectures
    from zoo.registry import register as register
    from zoo.registry import tasks as tasks
    from zoo.saving import save as save

__version__ = "0.1.0"

_HOME = {
    "architectures": "zoo.registry",
    "Config": "zoo.interfaces.config",
    "create": "zoo.loading",
    "Head": "zoo.interfaces.head",
    "load": "zoo.loading",
    "Model": "zoo.interfaces.model",
    "pipeline": "zoo.pipelines",
    "plugins": "zoo.plugins",
    "Preprocessor": "zoo.interfaces.preprocessor",
    "register": "zoo.registry",
    "save": "zoo.saving",
    "TaskModel": "zoo.interfaces.task_model",
    "tasks": "zoo.registry",
}
_ERRORS = (
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
)
_HOME |= dict.fromkeys(_ERRORS, "zoo.errors")

__all__ = [  # noqa: PLE0604  (the names of _HOME, which are all strings)
    "__version__",
    *_HOME,
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "numpy"):
            raise
        from zoo.errors import MissingDependency
        from zoo.installing import install_hint

        raise MissingDependency(
            f"zoo.{name} needs {error.name}, which is not installed.", hint=install_hint("torch")
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
