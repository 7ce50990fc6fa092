"""From the reference in a spec, "package.module:Object", to the object."""

from __future__ import annotations

import importlib
from typing import Any

from zoo.errors import MissingDependency, PluginError, ZooError
from zoo.installing import install_hint

__all__ = ["EXTRAS", "resolve_object"]

EXTRAS = {
    "PIL": "image",
    "gguf": "gguf",
    "jinja2": "torch",
    "numpy": "torch",
    "tokenizers": "torch",
    "torch": "torch",
}
"""The extra of zoo-sdk that brings a module."""


def resolve_object(reference: str) -> Any:
    """Import what "package.module:Object" (or "package.module:Object.attribute") refers to.

    Raises MissingDependency when an optional dependency is not installed, PluginError when the module or the object
    does not exist or the module raises.
    """
    module_name, colon, path = reference.partition(":")
    if not (module_name and colon and path):
        raise PluginError(f"The reference {reference!r} is not of the form 'package.module:Object'.")
    try:
        value: Any = importlib.import_module(module_name)
    except ZooError:
        raise  # says all there is to say
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # A name with a dot is missing from a package that is there.
        if not missing or "." in missing or missing == module_name.partition(".")[0]:
            raise _broken(reference, f"{error}") from error
        raise _missing_dependency(reference, missing) from error
    except (Exception, SystemExit) as error:
        raise _broken(reference, f"importing {module_name} raised {type(error).__name__}: {error}") from error
    for name in path.split("."):
        if not hasattr(value, name):
            raise _broken(reference, f"{module_name} has no {path!r}{_near(value, name)}")
        value = getattr(value, name)
    return value


def _broken(reference: str, problem: str) -> PluginError:
    package = reference.partition(":")[0].partition(".")[0]
    return PluginError(
        f"The reference {reference!r} can't be used: {problem}.",
        hint=f"Install the distribution that holds {package} again, or report it to its author.",
    )


def _near(value: object, name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, dir(value), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _missing_dependency(reference: str, module: str) -> MissingDependency:
    package = reference.partition(":")[0].partition(".")[0]
    # The name of a module says nothing of who holds that name on a package index.
    hint = install_hint(EXTRAS[module]) if module in EXTRAS else f"The documentation of {package} says what brings it."
    return MissingDependency(f"{reference.partition(':')[0]} needs {module}, which is not installed.", hint=hint)
